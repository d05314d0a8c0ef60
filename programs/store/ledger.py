"""The cost ledger: money reserved before a call and settled after it, so that a budget is never overrun.

Sums are whole nano-dollars, so that twenty times 0.05 is exactly 1. A process that dies between `reserve` and `settle`
leaves its reservation until the day ends: that errs on the safe side.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from sqlalchemy import Row, case, select, update

from programs.store.rows import Rows, row_key
from programs.store.tables import budgets, ledger

_NANO = 1_000_000_000


class Spending(msgspec.Struct, frozen=True):
    """A day of an app: `usd` is settled, `reserved_usd` is not yet; `calls` counts both."""

    usd: float = 0.0
    calls: int = 0
    reserved_usd: float = 0.0


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's calls of one purpose to one model came to."""

    purpose: str
    provider: str
    model: str
    calls: int
    usd: float
    tokens_in: int
    tokens_out: int


class Ledger(Rows):
    """`day` is `YYYY-MM-DD` in UTC."""

    async def reserve(self, app: str, day: str, *, usd: float, calls: int, limit_usd: float, limit_calls: int) -> bool:
        """Whether the calls may be made; if so their cost is set aside. A limit of 0 forbids every call.

        The check and the reservation are one statement on one row: fifty at once cannot pass where twenty fit.
        """
        if calls < 1:
            raise ValueError("at least one call is reserved")
        cost, limit = _nano(usd), _nano(limit_usd)
        if limit <= 0 or limit_calls <= 0:
            return False
        key = row_key(app)
        fits = (budgets.c.spent_nano_usd + budgets.c.reserved_nano_usd + cost <= limit) & (
            budgets.c.calls + calls <= limit_calls
        )
        taken = {"reserved_nano_usd": budgets.c.reserved_nano_usd + cost, "calls": budgets.c.calls + calls}
        async with self.writing() as connection:
            empty = self.insert(budgets).values(app=key, day=day, spent_nano_usd=0, reserved_nano_usd=0, calls=0)
            await connection.execute(empty.on_conflict_do_nothing(index_elements=["app", "day"]))
            today = (budgets.c.app == key) & (budgets.c.day == day)
            taking = update(budgets).where(today & fits).values(taken).returning(budgets.c.calls)
            return (await connection.execute(taking)).first() is not None

    async def settle(
        self,
        app: str,
        day: str,
        *,
        reserved_usd: float,
        spent_usd: float,
        purpose: str,
        provider: str,
        model: str,
        tokens_in: int,
        tokens_out: int,
    ) -> None:
        """Turns a reservation into what the call cost; 0 gives it back. The call itself stays counted."""
        reserved, spent, key = _nano(reserved_usd), _nano(spent_usd), row_key(app)
        left = budgets.c.reserved_nano_usd - reserved
        line = {"app": key, "day": day, "purpose": purpose, "provider": provider, "model": row_key(model)}
        sums = {"calls": 1, "nano_usd": spent, "tokens_in": tokens_in, "tokens_out": tokens_out}
        async with self.writing() as connection:
            first = self.insert(budgets).values(app=key, day=day, spent_nano_usd=spent, reserved_nano_usd=0, calls=1)
            await connection.execute(
                first.on_conflict_do_update(
                    index_elements=["app", "day"],
                    set_={
                        "spent_nano_usd": budgets.c.spent_nano_usd + spent,
                        "reserved_nano_usd": case((left > 0, left), else_=0),
                    },
                )
            )
            entry = self.insert(ledger).values(**line, **sums)
            added = {name: ledger.c[name] + value for name, value in sums.items()}
            await connection.execute(entry.on_conflict_do_update(index_elements=list(line), set_=added))

    async def spent(self, app: str, day: str) -> Spending:
        """What the app spent and reserved on a day."""
        today = (budgets.c.app == row_key(app)) & (budgets.c.day == day)
        async with self.reading() as connection:
            row = (await connection.execute(select(budgets).where(today))).first()
        return Spending() if row is None else spending_of(row)

    async def ledger(self, app: str, day: str) -> list[LedgerLine]:
        """The day by purpose, provider and model."""
        today = (ledger.c.app == row_key(app)) & (ledger.c.day == day)
        statement = select(ledger).where(today).order_by(ledger.c.purpose, ledger.c.provider, ledger.c.model)
        async with self.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            LedgerLine(
                purpose=row.purpose,
                provider=row.provider,
                model=row.model,
                calls=int(row.calls),
                usd=row.nano_usd / _NANO,
                tokens_in=int(row.tokens_in),
                tokens_out=int(row.tokens_out),
            )
            for row in rows
        ]


def spending_of(row: Row[Any]) -> Spending:
    """A row of `budgets` in dollars."""
    return Spending(row.spent_nano_usd / _NANO, int(row.calls), row.reserved_nano_usd / _NANO)


def _nano(usd: float) -> int:
    if not math.isfinite(usd) or usd < 0:
        raise ValueError(f"not an amount of money: {usd}")
    return round(usd * _NANO)
