"""Validations, samples and commands in, decisions out: the `streams.worker.Handler` of the controller role.

Topics in: `loopai.validations`, `loopai.commands`, `loopai.samples`, one group. Topics out: `loopai.deployments`,
`loopai.programs`, `loopai.rollouts`, `loopai.drift-alerts`, `loopai.metrics`.

Every id is made from what was read (a command's id, a validation's offset), so a message that is delivered again makes
the same events and the same revision, never second ones. What runs and its programs are published again at start:
compacted topics that lost their data are healed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from loopai.clock import Clock, iso
from loopai.deployments import Deployment
from loopai.errors import NotFoundError, RecordError, TransientError
from loopai.records import Agreement, Command, Event, Sample, ValidationResult
from rollouts import machine, outputs, words
from rollouts.book import Book, Entry, Side
from rollouts.drift import MIN_RISE, Signal
from rollouts.improver import Improver, Job, Outcome
from rollouts.machine import Decision, Fact, Situation
from rollouts.ports import Store
from streams.broker import Message
from streams.codec import decode
from streams.topics import COMMANDS, SAMPLES, VALIDATIONS
from streams.worker import Output

TOPICS: Final = (VALIDATIONS, COMMANDS, SAMPLES)

FLUSH_SECONDS: Final = 0.05
"""A check is stored with the evidence at once, unless the last one was stored less than this ago: a crash may then
uncount this much of a fast stream. Decisions are always stored at once."""

PAGE: Final = 200


class Controller:
    """One replica. `handle` and `tick` may be called at the same time; they take turns."""

    def __init__(self, store: Store, improver: Improver, clock: Clock) -> None:
        self._store = store
        self._improver = improver
        self._clock = clock
        self._books: dict[str, Book] = {}
        self._turn = asyncio.Lock()
        self._published: set[str] = set()
        self._checked: set[str] = set()
        self._flushed = -1.0
        self._begun = False
        self.rollbacks = 0
        self.drifts = 0

    async def handle(self, message: Message) -> Sequence[Output]:
        """Raises `RecordError` for what is no validation, sample or command of a known app."""
        async with self._turn:
            if message.topic == SAMPLES.name:
                sample = decode(message.value, Sample)
                await self._improver.sampled(sample, len(message.value or b""))
                return []
            try:
                return await (self._validation if message.topic == VALIDATIONS.name else self._command)(message)
            except NotFoundError as error:  # the app was deleted under way
                self._books.pop((message.key or b"").decode("utf-8", "replace"), None)
                raise RecordError(error.message, reason="unknown_app") from None

    async def tick(self) -> Sequence[Output]:
        """About once a second: finished programs to their app, agreement to the page, evidence to the store.

        A `TransientError` on the way ends the tick, not what it had done: the rest waits for the next one.
        """
        async with self._turn:
            done: list[Output] = []
            with suppress(TransientError):
                await self._beat(done)
            return done

    async def _beat(self, done: list[Output]) -> None:
        if not self._begun:
            done += await self._begin()
        for outcome in self._improver.finished():
            done += await self._written(outcome)
        for app in self._improver.wanting():
            done += await self._improve(app)
        while self._checked:
            app = self._checked.pop()
            try:
                book = await self._book(app)
                await book.refresh()
            except NotFoundError:
                self._books.pop(app, None)  # deleted meanwhile
                continue
            done += self._agreement(book)
        for book in [book for book in self._books.values() if book.dirty]:
            await self._save(book)
        await self._improver.persist()

    async def close(self) -> None:
        """Ends what runs in the background. Call it after the worker has stopped."""
        await self._improver.close()

    async def _begin(self) -> list[Output]:
        """What runs now, told again; what a restart interrupted, begun again."""
        done: list[Output] = []
        page = await self._store.list_apps(limit=PAGE)
        while True:
            for app in page.items:
                book = await self._book(app.id)
                if book.situation.deployment is not None:
                    done += await self._deployed(book.situation.deployment)
                for job in book.ledgers["commands"].jobs.values():
                    await self._improver.submit(job)
            if page.next_cursor is None:
                break
            page = await self._store.list_apps(limit=PAGE, cursor=page.next_cursor)
        self._begun = True
        return done

    async def _validation(self, message: Message) -> list[Output]:
        v = decode(message.value, ValidationResult)
        if not 0 < v.inclusion_probability <= 1:
            raise RecordError(f"inclusion probability {v.inclusion_probability} is not in (0, 1]", reason="schema")
        book = await self._book(v.app)
        place = f"{message.topic}-{message.partition}"
        source = f"{place}-{message.offset}"
        ledger = book.ledgers["validations"]
        if message.offset <= ledger.offsets.get(place, -1):
            return await self._again(book, "validations", source)
        signal = book.evidence.observe(v, book.situation.deployment)
        await self._improver.validated(v, book.evidence.state.seen)
        ledger.offsets[place] = message.offset
        book.dirty = True
        self._checked.add(v.app)
        noticed = await self._noticed(book, signal) if signal is not None else None
        evidence = book.evidence.of_trial()

        def decide(s: Situation) -> list[Decision]:
            weighed = machine.on_evidence(s, evidence, self._now()) if evidence is not None else None
            return [d for d in (noticed, weighed) if d is not None]

        if decide(book.situation):
            try:
                entry = await book.enter("validations", source, decide, self._stamp(v.app))
            except TransientError:
                del self._books[v.app]  # counted in memory, not in the store: read it again before the next try
                raise
            return await self._outputs(entry)
        if self._clock.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flushed = self._clock.monotonic()
            await self._save(book)
        return []

    async def _command(self, message: Message) -> list[Output]:
        command = decode(message.value, Command)
        try:
            book = await self._book(command.app)
        except NotFoundError:
            refusal = machine.refuse(f"There is no loop app {command.app!r}.", "Create it first.")
            event = self._stamp(command.app, command.id)(refusal.facts[0], command.id, 0)
            return [outputs.event(event)]
        if book.answered("commands", command.id):
            return await self._again(book, "commands", command.id)
        place = f"{message.topic}-{message.partition}"
        ledger = book.ledgers["commands"]
        if message.offset <= ledger.offsets.get(place, -1):
            return []
        ledger.offsets[place] = message.offset
        try:
            await book.refresh()
            if command.verb == "program.generate":
                return await self._generate(book, command)
            entry = await book.enter(
                "commands",
                command.id,
                lambda s: [machine.on_command(s, command, self._now())],
                self._stamp(command.app, command.id),
            )
        except TransientError:
            del self._books[command.app]
            raise
        return await self._outputs(entry)

    async def _generate(self, book: Book, command: Command) -> list[Output]:
        arguments = command.arguments
        seed = arguments.get("seed", 0)
        job = Job(
            id=arguments["run"] if isinstance(arguments.get("run"), str) else command.id,
            app=command.app,
            seed=seed if type(seed) is int else 0,
            strategy=arguments["strategy"] if isinstance(arguments.get("strategy"), str) else "",
            reason=arguments["reason"] if isinstance(arguments.get("reason"), str) else "",
            rollout=arguments.get("rollout") is True,
            fresh=arguments.get("fresh") is not False,
            command=command.id,
        )
        return await self._ask(book, job, command.actor)

    async def _improve(self, app: str) -> list[Output]:
        book = await self._book(app)
        if book.situation.trial is not None or not book.situation.app.rollout.automatic:
            return []
        job = self._improver.claim(app)
        return await self._ask(book, job, "loopai") if job is not None else []

    async def _ask(self, book: Book, job: Job, actor: str) -> list[Output]:
        refusal = await self._improver.submit(job)
        if refusal is not None:
            decision = machine.refuse(refusal, "Wait for it, then ask again.", run=job.id)
        else:
            book.ledgers["commands"].jobs[job.id] = job
            n = len(await self._improver.examples(job))
            data = {"run": job.id, "actor": actor, "reason": job.reason, "trigger": job.trigger, "examples": n}
            decision = Decision(
                facts=(Fact(type="program.generating", summary=words.generating(n, job.reason), data=data),)
            )
        source = job.command or job.id
        entry = await book.enter("commands", source, lambda _: [decision], self._stamp(job.app, job.command))
        return await self._outputs(entry)

    async def _written(self, outcome: Outcome) -> list[Output]:
        """A generation ended: take the program in, activate the first one, try a later one where that was asked."""
        job = outcome.job
        try:
            await self._store.get_app(job.app)
        except NotFoundError:
            await self._improver.close_run(outcome, {})
            return []  # the app was deleted meanwhile
        book = await self._book(job.app)
        book.ledgers["commands"].jobs.pop(job.id, None)
        result: dict[str, Any] = {}
        if outcome.program is None:
            data = {"run": job.id, "reason": outcome.error, "trigger": job.trigger}
            rejected = Fact(type="program.rejected", summary=words.rejected(outcome.error), data=data)
            plan = [Decision(facts=(rejected,))]
        else:
            plan, result = await self._take_in(book, outcome)
        entry = await book.enter("commands", f"run-{job.id}", lambda _: plan, self._stamp(job.app, job.command))
        await self._improver.close_run(outcome, result)
        return await self._outputs(entry)

    async def _take_in(self, book: Book, outcome: Outcome) -> tuple[list[Decision], dict[str, Any]]:
        job, program = outcome.job, outcome.program
        assert program is not None  # the caller looked
        known = book.situation.programs
        version = await self._store.add_program(job.app, program)
        await book.refresh()
        score = program.manifest.score
        result: dict[str, Any] = {
            "program": version,
            "version": version,
            "program_id": program.id,
            "strategy": program.strategy,
            "run": job.id,
            "trigger": job.trigger,
            "model": program.manifest.model,
            "cost_usd": program.manifest.cost_usd,
            "n": score.n if score else 0,
            "accuracy": score.accuracy if score else None,
            "low": score.low if score else None,
            "high": score.high if score else None,
        }
        if version in known:
            summary = words.same_again(version)
        elif score is None:
            summary = words.generated(version, program.strategy, None, 0.0, 1.0, 0)
        else:
            summary = words.generated(version, program.strategy, score.accuracy, score.low, score.high, score.n)
        plan = [Decision(facts=(Fact(type="program.generated", summary=summary, data=result),))]
        s = book.situation
        first = s.deployment is None or s.deployment.stable is None
        if first or (job.rollout and not (s.deployment and s.deployment.stable == version)):
            verb: Any = "program.activate" if first else "rollout.start"
            arguments = {"version": version, "reason": job.reason}
            wish = Command(id=job.id, app=job.app, verb=verb, arguments=arguments, actor="loopai")
            next_step = machine.on_command(s, wish, self._now())
            # Nobody asked when the trigger was drift, so nobody is to be refused.
            if not (next_step.refused and job.command is None):
                plan.append(next_step)
        return plan, result

    async def _noticed(self, book: Book, signal: Signal) -> Decision:
        app = book.situation.app.id
        state = book.evidence.state
        data = {
            "loop": app,
            "detector": book.evidence.detector.name,
            "feature": "agreement",
            "score": signal.after - signal.before,
            "threshold": MIN_RISE,
            "before": 1 - signal.before,
            "after": 1 - signal.after,
            "window": signal.since,
            "reference_window": signal.reference,
            "version": state.stable,
        }
        if signal.kind == "cleared":
            await self._improver.relax(app)
            summary = words.drift_over(signal.after, signal.since)
            return Decision(facts=(Fact(type="drift.cleared", summary=summary, data=data),))
        self.drifts += 1
        summary = words.drift(signal.before, signal.after, signal.since)
        if book.situation.app.rollout.automatic:
            await self._improver.want(app, state.seen - signal.since, "answers disagree more")
        under = 1 - signal.after < book.situation.app.rollout.min_agreement
        data |= {"severity": "critical" if under else "warning", "example_ids": list(state.mistakes)}
        return Decision(facts=(Fact(type="drift.detected", summary=summary, data=data),))

    async def _book(self, app: str) -> Book:
        if app not in self._books:
            book = Book(self._store, app)
            await book.load()
            self._books[app] = book
        return self._books[app]

    async def _save(self, book: Book) -> None:
        try:
            await book.save("validations")
        except TransientError:
            self._books.pop(book.situation.app.id, None)
            raise

    async def _again(self, book: Book, side: Side, source: str) -> list[Output]:
        return [o for entry in book.answered(side, source) for o in await self._outputs(entry)]

    async def _outputs(self, entry: Entry) -> list[Output]:
        deployed = await self._deployed(entry.deployment) if entry.deployment is not None else []
        self.rollbacks += any(e.type == "rollout.rolled_back" for e in entry.events)
        for event in entry.events:
            if event.type == "rollout.completed":
                self._improver.adopted(event.app)
        return [*deployed, *(outputs.event(event) for event in entry.events)]

    async def _deployed(self, d: Deployment) -> list[Output]:
        """A deployment, after the programs it names."""
        found = []
        for version, id in d.programs.items():
            if id not in self._published:
                found.append(outputs.program(d.app, await self._store.get_program(d.app, int(version))))
                self._published.add(id)
        return [*found, outputs.deployment(d, self._now())]

    def _agreement(self, book: Book) -> list[Output]:
        d = book.situation.deployment
        if d is None:
            return []
        found = []
        for variant, version in (("stable", d.stable), ("candidate", d.candidate)):
            if version is not None and version in book.evidence.state.tallies:
                now = book.evidence.state.tallies[version].rolling()
                agreement = Agreement(
                    app=d.app,
                    version=version,
                    variant="stable" if variant == "stable" else "candidate",
                    checks=now.checks,
                    estimate=now.estimate,
                    low=now.low,
                    high=now.high,
                    drift_score=book.evidence.detector.score() if variant == "stable" else 0.0,
                    at=self._now(),
                )
                found.append(outputs.agreement(agreement, seen=book.evidence.state.seen))
        return found

    def _stamp(self, app: str, command: str | None = None) -> Any:
        def stamp(fact: Fact, source: str, place: int) -> Event:
            return Event(
                id=f"{source}-{place}",
                type=fact.type,
                app=app,
                at=self._now(),
                summary=fact.summary,
                data=fact.data,
                command=command,
            )

        return stamp

    def _now(self) -> str:
        return iso(self._clock.now())
