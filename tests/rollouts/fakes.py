"""A store in memory with the rules of the real one, and a controller on a broker in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from loopai.apps import LoopApp, RolloutPolicy, Sampling
from loopai.clock import ManualClock
from loopai.deployments import Deployment
from loopai.errors import ConflictError, NotFoundError, TransientError
from loopai.records import Agreement, Command, Event, Example, Rollout, Run, Sample, ValidationResult
from programs.artifact import Manifest, Program, Score
from programs.store.rows import Page
from rollouts.controller import Controller
from rollouts.improver import Improver, Options
from rollouts.ports import Progress
from streams.codec import encode
from streams.topics import (
    COMMANDS,
    DEPLOYMENTS,
    DRIFT_ALERTS,
    METRICS,
    PROGRAMS,
    ROLLOUTS,
    SAMPLES,
    VALIDATIONS,
)
from streams.worker import Output


class Line(NamedTuple):
    version: int
    id: str


class MemoryStore:
    """`crash_after` writes, every further one raises `TransientError` until it is set to None again."""

    def __init__(self) -> None:
        self.apps: dict[str, LoopApp] = {}
        self.deployments: dict[str, Deployment] = {}
        self.rollouts: dict[str, Rollout] = {}
        self.runs: dict[str, Run] = {}
        self.programs: dict[str, list[Program]] = {}
        self.rows: dict[str, list[Example]] = {}
        self.states: dict[tuple[str, str], tuple[bytes, int]] = {}
        self.crash_after: int | None = None
        self.writes = 0

    def _write(self) -> None:
        self.writes += 1
        if self.crash_after is not None:
            if self.crash_after == 0:
                raise TransientError("the store does not answer")
            self.crash_after -= 1

    async def get_app(self, app: str) -> LoopApp:
        if app not in self.apps:
            raise NotFoundError(f"There is no loop app {app!r}.")
        return self.apps[app]

    async def list_apps(self, *, limit: int = 50, cursor: str | None = None) -> Page[LoopApp]:
        ids = sorted(self.apps)
        start = ids.index(cursor) + 1 if cursor else 0
        found = ids[start : start + limit]
        return Page([self.apps[id] for id in found], found[-1] if ids[start + limit :] else None)

    async def get_deployment(self, app: str) -> Deployment | None:
        return self.deployments.get(app)

    async def put_deployment(self, d: Deployment) -> None:
        self._write()
        if d.app in self.deployments and self.deployments[d.app].revision >= d.revision:
            raise ConflictError("revision")
        self.deployments[d.app] = d

    async def put_rollout(self, r: Rollout) -> None:
        self._write()
        old = self.rollouts.get(r.id)
        if old is not None and old.state in ("completed", "rolled_back") and old.state != r.state:
            raise ConflictError("finished")
        others = [o for o in self.rollouts.values() if o.app == r.app and o.id != r.id]
        if r.state in ("running", "paused") and any(o.state in ("running", "paused") for o in others):
            raise ConflictError("another one is running")
        self.rollouts[r.id] = r

    async def list_rollouts(self, app: str, limit: int = 50) -> list[Rollout]:
        return [r for r in reversed(self.rollouts.values()) if r.app == app][:limit]

    async def put_run(self, run: Run) -> None:
        self._write()
        self.runs[run.id] = run

    async def get_program(self, app: str, version: int) -> Program:
        if not 0 < version <= len(self.programs.get(app, [])):
            raise NotFoundError(f"no v{version}")
        return self.programs[app][version - 1]

    async def add_program(self, app: str, program: Program) -> int:
        self._write()
        known = self.programs.setdefault(app, [])
        for version, old in enumerate(known, 1):
            if old.id == program.id:
                return version
        known.append(program)
        return len(known)

    async def list_programs(self, app: str) -> list[Line]:
        return [Line(version, p.id) for version, p in enumerate(self.programs.get(app, []), 1)]

    async def examples(self, app: str) -> list[Example]:
        return list(self.rows.get(app, []))

    async def put_state(self, kind: str, key: str, value: bytes, revision: int) -> None:
        self._write()
        if (kind, key) in self.states and self.states[kind, key][1] >= revision:
            raise ConflictError("revision")
        self.states[kind, key] = (value, revision)

    async def get_state(self, kind: str, key: str) -> tuple[bytes, int] | None:
        return self.states.get((kind, key))


def program(n: int, accuracy: float = 0.98) -> Program:
    score = Score(n=400, accuracy=accuracy, low=accuracy - 0.01, high=accuracy + 0.01, macro_f1=accuracy)
    return Program.make(
        kind="classification",
        strategy="rule",
        source=f"def run(record):\n    return {n!r}\n",
        manifest=Manifest(score=score),
    )


class Writer:
    """A generation that numbers its programs and remembers what it was given. `fail` makes it raise."""

    def __init__(self) -> None:
        self.calls: list[list[Example]] = []
        self.fail: Exception | None = None

    async def __call__(
        self, app: LoopApp, examples: Sequence[Example], *, seed: int, progress: Progress, strategy: str = ""
    ) -> Program:
        self.calls.append(list(examples))
        progress(0.5, "trying rules")
        if self.fail is not None:
            raise self.fail
        return program(100 + len(self.calls))


class Message(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Bench:
    """A controller without a worker: messages in by hand, outputs collected by topic."""

    def __init__(self, *, automatic: bool = True, versions: int = 2, **policy: Any) -> None:
        self.store = MemoryStore()
        self.clock = ManualClock()
        self.writer = Writer()
        rollout = RolloutPolicy(automatic=automatic, **policy)
        self.store.apps["spam"] = LoopApp(id="spam", rollout=rollout, sampling=Sampling(rate=0.5))
        self.store.programs["spam"] = [program(n) for n in range(1, versions + 1)]
        self.store.rows["spam"] = [Example(id=f"e{i}", input={"text": f"t{i}"}, expected="ham") for i in range(20)]
        self.outputs: list[Output] = []
        self.offsets = {name: itertools.count() for name in (VALIDATIONS.name, COMMANDS.name, SAMPLES.name)}
        self.restart()

    def restart(self) -> None:
        """Another controller over the same store."""
        self.improver = Improver(self.store, self.writer, self.clock, Options())
        self.controller = Controller(self.store, self.improver, self.clock)

    def message(self, topic: str, value: Any) -> Message:
        raw = value if isinstance(value, bytes) else encode(value)
        return Message(topic, 0, next(self.offsets[topic]), 0, b"spam", raw)

    async def feed(self, message: Message) -> list[Output]:
        outputs = list(await self.controller.handle(message))
        self.outputs += outputs
        self.clock.advance(0.1)
        return outputs

    async def tick(self) -> list[Output]:
        outputs = list(await self.controller.tick())
        self.outputs += outputs
        return outputs

    async def command(self, verb: Any, *, id: str = "", **arguments: Any) -> Event:
        """Sends a command and returns the last event that answers it."""
        id = id or f"c{len(self.outputs)}-{verb}"
        message = self.message(COMMANDS.name, Command(id=id, app="spam", verb=verb, arguments=arguments, actor="anna"))
        outputs = await self.feed(message)
        return [e for e in events(outputs) if e.command == id][-1]

    def validation(self, right: bool, version: int = 1, **fields: Any) -> ValidationResult:
        n = len(self.outputs)
        given: dict[str, Any] = {
            "id": f"r{n}",
            "app": "spam",
            "version": version,
            "program": "p",
            "variant": "stable",
            "tier": 3,
            "verdict": "match" if right else "mismatch",
            "expected": "ham",
            "output": "ham" if right else "spam",
            "inclusion_probability": 0.5,
        }
        return ValidationResult(**(given | fields))

    async def check(self, right: bool, version: int = 1, **fields: Any) -> list[Output]:
        return await self.feed(self.message(VALIDATIONS.name, self.validation(right, version, **fields)))

    async def sample(self, id: str, text: str) -> None:
        sample = Sample(
            id=id,
            app="spam",
            version=1,
            program="p",
            variant="stable",
            outcome="ok",
            input={"text": text},
            output="ham",
        )
        await self.feed(self.message(SAMPLES.name, sample))

    @property
    def deployment(self) -> Deployment:
        return self.store.deployments["spam"]

    def said(self) -> list[str]:
        """Every sentence so far."""
        return [e.summary for e in events(self.outputs)]

    def types(self) -> list[str]:
        return [e.type for e in events(self.outputs)]


def events(outputs: Sequence[Output]) -> list[Event]:
    topics = (ROLLOUTS.name, DRIFT_ALERTS.name)
    return [msgspec.json.decode(o.record.value or b"", type=Event) for o in outputs if o.topic.name in topics]


def deployments(outputs: Sequence[Output]) -> list[Deployment]:
    return [
        msgspec.json.decode(o.record.value or b"", type=Deployment) for o in outputs if o.topic.name == DEPLOYMENTS.name
    ]


def agreements(outputs: Sequence[Output]) -> list[Agreement]:
    return [msgspec.json.decode(o.record.value or b"", type=Agreement) for o in outputs if o.topic.name == METRICS.name]


def published_programs(outputs: Sequence[Output]) -> list[bytes]:
    return [o.record.key or b"" for o in outputs if o.topic.name == PROGRAMS.name]
