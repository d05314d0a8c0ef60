"""Decisions about one app in, the same decisions stored so that a crash at any point neither loses nor doubles one.

Order of writing: the journal (with the offsets and the evidence behind it) before the effect, then the deployment,
whose revision is the lock, then the rollout. A message that is delivered again finds its entry in the journal and
answers the same once more, with the same event ids. What a crash left between journal and effect is done on loading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from loopai.deployments import Deployment
from loopai.errors import ConflictError, TransientError
from loopai.records import Event, Rollout
from rollouts.evidence import AppEvidence, EvidenceState
from rollouts.improver import Job
from rollouts.machine import Decision, Fact, Situation
from rollouts.packing import packed, unpacked
from rollouts.ports import Store

JOURNAL: Final = 8
"""Entries kept. A worker that works in order has one message unacknowledged, so one would do."""

HISTORY: Final = 200
"""Rollouts looked at for the latch."""

Side = Literal["validations", "commands"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One decision with its events. `source` is the command, run or validation that it answers."""

    source: str
    deployment: Deployment | None = None
    rollout: Rollout | None = None
    events: tuple[Event, ...] = ()


class Ledger(msgspec.Struct, kw_only=True):
    """What one side has handled. Offsets are the last handled, by `topic-partition`; `jobs` are unfinished runs."""

    offsets: dict[str, int] = {}
    journal: list[Entry] = []
    jobs: dict[str, Job] = {}
    evidence: EvidenceState | None = None


Stamp = Callable[[Fact, str, int], Event]
"""Makes an event of a fact, the source it answers and its place among the source's facts."""


class Book:
    """One app. Validations and commands may be handled by different controllers, so each side has a ledger of its own;
    the deployment's revision settles who was first."""

    def __init__(self, store: Store, app: str) -> None:
        self._store = store
        self._app = app
        self._revisions: dict[Side, int] = {}
        self.ledgers: dict[Side, Ledger] = {}
        self.dirty = False
        self.situation: Situation
        self.evidence = AppEvidence()

    async def load(self) -> None:
        """Reads everything and finishes what a crash interrupted. Raises `NotFoundError` without the app."""
        for side in ("validations", "commands"):
            await self._load(side)
        self.evidence = AppEvidence(self.ledgers["validations"].evidence)
        self.ledgers["validations"].evidence = self.evidence.state
        await self.refresh()
        for ledger in self.ledgers.values():
            for entry in ledger.journal:
                await self._recover(entry)

    async def refresh(self) -> None:
        """Reads what runs now, as another controller or the gateway may have changed it."""
        app = await self._store.get_app(self._app)
        deployment = await self._store.get_deployment(self._app)
        history = await self._store.list_rollouts(self._app, HISTORY)
        newest: dict[int, Rollout] = {}
        for rollout in history:
            newest.setdefault(rollout.to_version, rollout)
        self.situation = Situation(
            app=app,
            deployment=deployment,
            rollout=history[0] if history else None,
            programs={p.version: p.id for p in await self._store.list_programs(self._app)},
            latched=frozenset(v for v, r in newest.items() if r.state == "rolled_back"),
        )
        self.evidence.follow(deployment, self.situation.trial)

    def answered(self, side: Side, source: str) -> list[Entry]:
        """The entries that answer a source already."""
        return [entry for entry in self.ledgers[side].journal if entry.source == source]

    async def enter(
        self, side: Side, source: str, decide: Callable[[Situation], Sequence[Decision]], stamp: Stamp
    ) -> Entry:
        """Decides, stores and returns the entry. Decides anew when somebody else was quicker."""
        ledger = self.ledgers[side]
        for _ in range(5):
            entry = _entry(source, decide(self.situation), stamp)
            ledger.journal = [*ledger.journal[1 - JOURNAL :], entry]
            await self.save(side)
            try:
                await self._apply(entry)
            except ConflictError:
                ledger.journal.pop()
                await self.refresh()
                continue
            return entry
        raise TransientError(f"{self._app} is being changed by others all the time.")

    async def save(self, side: Side) -> None:
        """Writes one side. `TransientError` when another controller wrote it: load the book again."""
        revision = self._revisions[side] + 1
        try:
            await self._store.put_state(side, self._app, packed(self.ledgers[side]), revision)
        except ConflictError as error:
            raise TransientError(f"Another controller decides for {self._app}: {error.message}") from None
        self._revisions[side] = revision
        if side == "validations":
            self.dirty = False

    async def _apply(self, entry: Entry) -> None:
        if entry.deployment is not None:
            await self._store.put_deployment(entry.deployment)
        if entry.rollout is not None:
            await self._store.put_rollout(entry.rollout)
        self._adopt(entry)

    def _adopt(self, entry: Entry) -> None:
        s = self.situation
        latched = s.latched
        if entry.rollout is not None:
            back = entry.rollout.state == "rolled_back"
            latched = latched - {entry.rollout.to_version} | ({entry.rollout.to_version} if back else set())
        self.situation = msgspec.structs.replace(
            s, deployment=entry.deployment or s.deployment, rollout=entry.rollout or s.rollout, latched=latched
        )
        self.evidence.follow(self.situation.deployment, self.situation.trial)
        self.dirty = True

    async def _load(self, side: Side) -> None:
        stored = await self._store.get_state(side, self._app)
        self._revisions[side] = stored[1] if stored else 0
        self.ledgers[side] = unpacked(stored[0], Ledger) if stored else Ledger()

    async def _recover(self, entry: Entry) -> None:
        """Does what the journal says was decided, unless it was done or something newer is in force."""
        known = {str(version): id for version, id in self.situation.programs.items()}
        if entry.deployment is None or not entry.deployment.programs.items() <= known.items():
            return  # nothing to do, or the journal is of an app that was deleted and made anew under the same id
        present = self.situation.deployment.revision if self.situation.deployment else 0
        if entry.deployment.revision == present + 1:
            await self._apply(entry)
        elif entry.deployment == self.situation.deployment and entry.rollout is not None:
            await self._store.put_rollout(entry.rollout)
            self._adopt(entry)


def _entry(source: str, decisions: Sequence[Decision], stamp: Stamp) -> Entry:
    deployment = next((d.deployment for d in reversed(decisions) if d.deployment is not None), None)
    rollout = next((d.rollout for d in reversed(decisions) if d.rollout is not None), None)
    facts = [fact for decision in decisions for fact in decision.facts]
    events = tuple(stamp(fact, source, place) for place, fact in enumerate(facts))
    return Entry(source=source, deployment=deployment, rollout=rollout, events=events)
