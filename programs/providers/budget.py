"""A model that may only be asked within an app's budget of the day: reserve the worst case, ask, settle what it cost.

The reservation is an upper bound on the cost and is taken before the request leaves, so no number of parallel calls
overruns the limit. A call whose fate is unknown (timed out, broken
off, cancelled) is settled at its full reservation: the ledger may be too high, never too low.

A model without a known price reserves no money, because there is no honest number; its calls are still limited.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Protocol

import msgspec

from loopai.apps import Budget
from loopai.clock import Clock, iso
from loopai.errors import BudgetError, TransientError
from programs.providers.chat import AnswerError, ChatModel, ChatReply, ChatRequest, ProviderUnavailable, Purpose

log = logging.getLogger(__name__)


class Ledger(Protocol):
    """Where money is reserved and accounted for; the store keeps the durable one.

    `day` is `YYYY-MM-DD` in UTC. `reserve` takes `usd` and `calls` from what is left of the two limits, atomically
    over every process, and says whether it could; a limit of 0 allows nothing. `settle` gives back what was reserved
    and not spent, and writes the spending down.
    """

    async def reserve(
        self, app: str, day: str, *, usd: float, calls: int, limit_usd: float, limit_calls: int
    ) -> bool: ...

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
    ) -> None: ...


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whose budget is used, and what for."""

    app: str
    budget: Budget
    purpose: Purpose = "validate"


class BudgetedModel:
    """Asks `inner` only with a reservation. Put it *inside* retries: every attempt is a call of its own."""

    def __init__(self, inner: ChatModel, ledger: Ledger, account: Account, clock: Clock) -> None:
        self._inner = inner
        self._ledger = ledger
        self._account = account
        self._clock = clock
        self.unsettled = 0

    @property
    def provider(self) -> str:
        """The inner model's."""
        return self._inner.provider

    @property
    def model(self) -> str:
        """The inner model's."""
        return self._inner.model

    def worst_cost(self, request: ChatRequest) -> float | None:
        """The inner model's."""
        return self._inner.worst_cost(request)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """The inner model's reply.

        Raises:
            BudgetError: the day's money or calls do not allow it; nothing was sent.
        """
        account, day = self._account, iso(self._clock.now())[:10]
        reserved = self._inner.worst_cost(request) or 0.0
        allowed = await self._ledger.reserve(
            account.app,
            day,
            usd=reserved,
            calls=1,
            limit_usd=account.budget.usd_per_day,
            limit_calls=account.budget.calls_per_day,
        )
        if not allowed:
            raise BudgetError(
                f"What is left of the budget of {account.app} for {day} ({account.budget.usd_per_day:g} USD, "
                f"{account.budget.calls_per_day} calls) does not allow a call that may cost {reserved:.4f} USD.",
                next_step="Raise the app's budget, or wait for the next day (UTC).",
            )
        spent, reply = reserved, None
        try:
            reply = await self._inner.complete(request)
            spent = _spent(reply, reserved)
        except AnswerError as error:
            reply = error.reply
            spent = _spent(reply, reserved)
            raise
        except ProviderUnavailable as error:
            spent = reserved if error.maybe_billed else 0.0
            raise
        except asyncio.CancelledError:
            raise  # the request may have been worked on: settled in full
        except BaseException:
            spent = 0.0
            raise
        finally:
            # Shielded, so that a caller that gives up does not leave the reservation hanging.
            await asyncio.shield(self._settle(request, day, reserved, spent, reply))
        return reply

    async def _settle(
        self, request: ChatRequest, day: str, reserved: float, spent: float, reply: ChatReply | None
    ) -> None:
        """A ledger that does not answer now must not cost the reply as well: the reservation then stays in force."""
        try:
            await self._ledger.settle(
                self._account.app,
                day,
                reserved_usd=reserved,
                spent_usd=spent,
                purpose=self._account.purpose,
                provider=reply.provider if reply else self.provider,
                model=reply.model if reply else (request.model or self.model),
                tokens_in=reply.tokens_in if reply else 0,
                tokens_out=reply.tokens_out if reply else 0,
            )
        except TransientError as error:
            self.unsettled += 1
            log.warning("The cost of a call for %s is not in the ledger: %s", self._account.app, error)


def _spent(reply: ChatReply, reserved: float) -> float:
    """What the reply cost; without a known price, what was reserved."""
    return reserved if reply.cost_usd is None else reply.cost_usd


class MemoryLedger:
    """A ledger of one process, for the embedded default and for backtests."""

    def __init__(self) -> None:
        self._usd: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._calls: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.spent_usd: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)

    async def reserve(self, app: str, day: str, *, usd: float, calls: int, limit_usd: float, limit_calls: int) -> bool:
        """No awaiting between the look and the taking, so it is atomic within the process."""
        key = (app, day)
        money_allows = limit_usd > 0 and self._usd[key] + usd <= limit_usd + 1e-12
        if not money_allows or self._calls[key] + calls > limit_calls:
            return False
        self._usd[key] += usd
        self._calls[key] += calls
        return True

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
        """What was reserved and not spent becomes free again."""
        key = (app, day)
        self._usd[key] += spent_usd - reserved_usd
        self.spent_usd[key] += spent_usd
        self.tokens[key] += tokens_in + tokens_out
