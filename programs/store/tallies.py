"""Apps in, what a page shows of each out: a handful of statements, however many apps there are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from loopai.deployments import Deployment
from loopai.records import Rollout
from programs.store.ledger import Spending, spending_of
from programs.store.rows import Rows, row_key
from programs.store.tables import budgets, deployments, examples, programs, rollouts, validation_counts

_DEPLOYMENT = msgspec.json.Decoder(Deployment)
_ROLLOUT = msgspec.json.Decoder(Rollout)


class Tally(msgspec.Struct, kw_only=True):
    """What is stored about one app. `checks` counts verdicts by version; `spending` is of the day that was asked."""

    deployment: Deployment | None = None
    last_rollout: Rollout | None = None
    examples: int = 0
    programs: int = 0
    checks: dict[int, dict[str, int]] = msgspec.field(default_factory=dict)
    spending: Spending = msgspec.field(default_factory=Spending)


class Tallies(Rows):
    """Reads over several nouns at once."""

    async def tallies(self, apps: Sequence[str], day: str) -> dict[str, Tally]:
        """A tally for each of the apps, also for one that has nothing yet."""
        found = {app: Tally() for app in apps}
        keys = {row_key(app): tally for app, tally in found.items()}
        if keys:
            async with self.reading() as connection:
                await _running(connection, keys)
                await _counted(connection, keys, day)
        return found


async def _running(connection: AsyncConnection, keys: dict[str, Tally]) -> None:
    rows = await connection.execute(select(deployments).where(deployments.c.app.in_(keys)))
    for row in rows:
        keys[row.app].deployment = _DEPLOYMENT.decode(row.body)
    last = select(func.max(rollouts.c.number)).where(rollouts.c.app.in_(keys)).group_by(rollouts.c.app)
    rows = await connection.execute(select(rollouts.c.app, rollouts.c.body).where(rollouts.c.number.in_(last)))
    for row in rows:
        keys[row.app].last_rollout = _ROLLOUT.decode(row.body)


async def _counted(connection: AsyncConnection, keys: dict[str, Tally], day: str) -> None:
    for table, name in ((examples, "examples"), (programs, "programs")):
        counting = select(table.c.app, func.count()).where(table.c.app.in_(keys)).group_by(table.c.app)
        for app, n in await connection.execute(counting):
            setattr(keys[app], name, int(n))
    counts = await connection.execute(select(validation_counts).where(validation_counts.c.app.in_(keys)))
    for row in counts:
        keys[row.app].checks.setdefault(int(row.version), {})[row.verdict] = int(row.n)
    today = (budgets.c.day == day) & budgets.c.app.in_(keys)
    for row in await connection.execute(select(budgets).where(today)):
        keys[row.app].spending = spending_of(row)
