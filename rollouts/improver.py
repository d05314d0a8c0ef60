"""Requests and fresh examples in, written programs out, in the background and within bounds.

One program is written at a time for one app; at most sixteen requests wait. What is finished lies ready for the
controller, which decides in its own time: nothing here deploys anything.

By itself it acts on drift: when enough freshly labelled examples from after the change are there, it asks for a
program learned from the old ones and the new, at most three times an hour for one app, and each time only after twice
as many examples as the last, so a drift that cannot be learned does not become a storm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Literal

import msgspec

from loopai.clock import Clock, iso
from loopai.errors import ConflictError, LoopaiError, NotFoundError, TransientError
from loopai.records import Example, Run, Sample, ValidationResult
from programs.artifact import Program
from rollouts.fresh import KEPT, FreshExamples, FreshRow, combine, surplus
from rollouts.packing import packed, unpacked
from rollouts.ports import Generate, Store

HOUR: Final = 3_600.0

PERSIST_SECONDS: Final = 10.0

PATIENCE: Final = 300
"""Examples that a new version gets before drift that goes on asks for another."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One program to be written. `strategy` "" leaves the choice to the router; `fresh` learns from what was checked
    lately too; `rollout` tries it on live inputs; `command` is the command that asked, if one did."""

    id: str
    app: str
    seed: int = 0
    strategy: str = ""
    trigger: Literal["command", "drift"] = "command"
    reason: str = ""
    rollout: bool = False
    fresh: bool = True
    command: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: a program, or the sentence that says why there is none."""

    job: Job
    run: Run
    program: Program | None = None
    error: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds. `seconds` ends a generation that takes longer; `enough` fresh examples start the first one by itself."""

    queue: int = 16
    parallel: int = 2
    seconds: float = 600.0
    enough: int = 60
    per_hour: int = 3


class Wanted(msgspec.Struct, kw_only=True):
    """An open drift: `since` is the count of validations when it began, `fresh` the examples labelled since then,
    `enough` how many of them are waited for."""

    since: int
    enough: int
    fresh: int = 0
    reason: str
    attempts: int = 0


class Memory(msgspec.Struct, kw_only=True):
    """What is kept for one app, in the store as state `fresh`."""

    rows: list[FreshRow] = []
    size: int = 0
    wanted: Wanted | None = None


class Improver:
    """See the module. Every method but `close` returns at once or after one look into the store."""

    def __init__(self, store: Store, generate: Generate, clock: Clock, options: Options | None = None) -> None:
        self._store = store
        self._generate = generate
        self._clock = clock
        self._options = options or Options()
        self._waiting_room = FreshExamples()
        self._memories: dict[str, Memory] = {}
        self._revisions: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._queue: deque[Job] = deque()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._told: dict[str, Run] = {}
        self._finished: list[Outcome] = []
        self._starts: dict[str, deque[float]] = {}
        self._persisted = clock.monotonic()

    def busy(self, app: str) -> bool:
        """Whether a program for the app is being written, waits to be, or waits to be taken."""
        return (
            app in self._running
            or any(job.app == app for job in self._queue)
            or any(o.job.app == app for o in self._finished)
        )

    async def submit(self, job: Job) -> str | None:
        """Puts a job into the queue. Returns why not, as a sentence, when it cannot be."""
        if self.busy(job.app):
            return f"A program for {job.app} is being written already."
        if len(self._queue) >= self._options.queue:
            return f"{len(self._queue)} programs wait to be written already."
        now = iso(self._clock.now())
        self._runs[job.id] = Run(id=job.id, app=job.app, what="generate", created_at=now, updated_at=now)
        await self._tell(job.id)
        self._queue.append(job)
        self._pump()
        return None

    async def remember(self, app: str) -> Memory:
        """The app's fresh examples, read from the store the first time."""
        if app not in self._memories:
            stored = await self._store.get_state("fresh", app)
            self._memories[app] = unpacked(stored[0], Memory) if stored else Memory()
            self._revisions[app] = stored[1] if stored else 0
        return self._memories[app]

    async def sampled(self, sample: Sample, size: int) -> None:
        """Takes an input that may turn out to be an example; `size` in bytes."""
        if (row := self._waiting_room.sample(sample, size)) is not None:
            await self._keep(sample.app, row)

    async def validated(self, v: ValidationResult, at: int) -> None:
        """Takes a right answer; `at` is how many validations of the app came before."""
        if (row := self._waiting_room.validation(v, at)) is not None:
            await self._keep(v.app, row)

    async def want(self, app: str, since: int, reason: str) -> None:
        """A drift began at the app's validation `since`: write a better program when there is enough to learn."""
        memory = await self.remember(app)
        fresh = sum(row.at >= since for row in memory.rows)
        memory.wanted = Wanted(since=since, enough=self._options.enough, fresh=fresh, reason=reason)
        self._dirty.add(app)

    async def relax(self, app: str) -> None:
        """The drift is over."""
        memory = await self.remember(app)
        memory.wanted = None
        self._dirty.add(app)

    def wanting(self) -> list[str]:
        """The apps for which evidence asks for a better program now."""
        return [
            app
            for app, memory in self._memories.items()
            if memory.wanted is not None and memory.wanted.fresh >= memory.wanted.enough and not self.busy(app)
        ]

    def claim(self, app: str) -> Job | None:
        """The job for an app that is wanting; None when the hour's attempts are used up."""
        memory = self._memories[app]
        wanted = memory.wanted
        if wanted is None or not self._may_start(app):
            return None
        wanted.attempts += 1
        wanted.enough = wanted.fresh + min(wanted.fresh, KEPT)
        self._dirty.add(app)
        id = f"{app}-drift-{wanted.since}-{wanted.attempts}"
        return Job(id=id, app=app, seed=wanted.attempts, trigger="drift", reason=wanted.reason, rollout=True)

    def adopted(self, app: str) -> None:
        """Another version answers everything now: give it time to end the drift before the next attempt."""
        memory = self._memories.get(app)
        if memory is not None and memory.wanted is not None:
            memory.wanted.enough = max(memory.wanted.enough, memory.wanted.fresh + PATIENCE)
            self._dirty.add(app)

    def finished(self) -> list[Outcome]:
        """What is finished and was not closed."""
        return list(self._finished)

    async def persist(self, *, now: bool = False) -> None:
        """Writes progress, and every ten seconds (or `now`) the fresh examples: a crash may lose those since."""
        for id in [id for id, run in self._runs.items() if self._told.get(id) != run]:
            await self._tell(id)
        if not now and self._clock.monotonic() - self._persisted < PERSIST_SECONDS:
            return
        self._persisted = self._clock.monotonic()
        while self._dirty:
            app = self._dirty.pop()
            self._revisions[app] += 1
            try:
                await self._store.put_state("fresh", app, packed(self._memories[app]), self._revisions[app])
            except ConflictError:
                del self._memories[app]  # another controller's newer word: read it when it is needed
            except TransientError:
                self._revisions[app] -= 1
                self._dirty.add(app)
                raise

    async def close_run(self, outcome: Outcome, result: dict[str, object]) -> None:
        """The last word on a run: succeeded with `result`, or failed."""
        run = msgspec.structs.replace(
            outcome.run,
            state="succeeded" if outcome.program else "failed",
            progress=1.0 if outcome.program else outcome.run.progress,
            step="",
            result=result,
            error=outcome.error,
            updated_at=iso(self._clock.now()),
        )
        self._runs[run.id] = run
        await self._tell(run.id)
        self._runs.pop(run.id, None)
        self._told.pop(run.id, None)
        self._finished.remove(outcome)

    async def close(self) -> None:
        """Stops what is under way; it begins anew after a restart."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self.persist(now=True)

    async def _keep(self, app: str, row: FreshRow) -> None:
        memory = await self.remember(app)
        memory.rows.append(row)
        if memory.wanted is not None and row.at >= memory.wanted.since:
            memory.wanted.fresh += 1
        memory.size += row.size
        old = surplus(memory.rows, memory.size)
        memory.size -= sum(row.size for row in memory.rows[:old])
        del memory.rows[:old]
        self._dirty.add(app)

    def _may_start(self, app: str) -> bool:
        starts = self._starts.setdefault(app, deque())
        now = self._clock.monotonic()
        while starts and now - starts[0] >= HOUR:
            starts.popleft()
        if len(starts) >= self._options.per_hour:
            return False
        starts.append(now)
        return True

    def _pump(self) -> None:
        while self._queue and len(self._running) < self._options.parallel:
            job = self._queue.popleft()
            self._running[job.app] = asyncio.create_task(self._work(job))

    async def _work(self, job: Job) -> None:
        program, error = None, ""
        try:
            async with asyncio.timeout(self._options.seconds):
                program = await self._write(job)
        except TimeoutError:
            error = f"writing took longer than {self._options.seconds:.0f} s"
        except LoopaiError as problem:
            error = str(problem)
        del self._running[job.app]
        self._finished.append(Outcome(job=job, run=self._runs[job.id], program=program, error=error))
        self._pump()

    async def _write(self, job: Job) -> Program:
        app = await self._store.get_app(job.app)
        examples = await self.examples(job)
        if not examples:
            raise NotFoundError(f"There are no labelled examples for {job.app}.", next_step="Add some, then ask again.")
        loop = asyncio.get_running_loop()

        def progress(done: float, step: str) -> None:
            loop.call_soon_threadsafe(self._progress, job.id, done, step)

        self._progress(job.id, 0.0, "starting")
        return await self._generate(app, examples, seed=job.seed, progress=progress, strategy=job.strategy)

    async def examples(self, job: Job) -> list[Example]:
        """What the job learns from."""
        memory = await self.remember(job.app)
        fresh = [row.example for row in memory.rows] if job.fresh else []
        return combine(await self._store.examples(job.app), fresh)

    def _progress(self, id: str, done: float, step: str) -> None:
        run = self._runs.get(id)
        if run is not None and run.state in ("queued", "running"):
            done = min(1.0, max(run.progress, done))
            self._runs[id] = msgspec.structs.replace(run, state="running", progress=done, step=step)

    async def _tell(self, id: str) -> None:
        run = self._runs[id]
        try:
            await self._store.put_run(run)
        except (ConflictError, NotFoundError):
            pass  # finished by a person (cancelled), or the app is gone
        except TransientError:
            return
        self._told[id] = run
