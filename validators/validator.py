"""Samples in, validation results out: the role's handler. Cheap tiers first, then the oracle, then the comparator.

A sample carries all that is needed, so a version that is gone is no problem. Its inclusion probability is passed on as
it came: filtering by the cheap tiers changes who decides, never how likely the sample was.

Verdicts: `match` and `mismatch` count in the agreement. `unsure` does not: the program abstained, or there is nobody to
ask. `error` does not either: the check itself failed (label never came, budget out, oracle dead or outside its schema),
and its reason says which. Every sample ends in one of the four.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Protocol

import msgspec

from loopai.apps import LoopApp
from loopai.clock import Clock, iso
from loopai.errors import NotFoundError, RecordError
from loopai.events import ce_type
from loopai.records import Event, Sample, ValidationResult
from streams.broker import Message, Outgoing
from streams.cloudevents import event_headers
from streams.codec import decode, encode
from streams.topics import DRIFT_ALERTS, VALIDATIONS
from streams.tracing import processing
from streams.worker import Output
from validators.budget import BudgetNews
from validators.comparators import comparator_for
from validators.journal import Journal, ValidationStore
from validators.oracles import BUDGET, ORACLE_SCHEMA, NoAnswer, Oracle
from validators.tiers import Finding, Tiers

SOURCE = "loopai/validator"
APP_SECONDS = 2.0
"""How old an app's definition may be: a change of oracle or budget is in force within this time."""

APPS_KEPT = 10_000
QUIET_SECONDS = 60.0

log = logging.getLogger(__name__)


class AppSource(Protocol):
    """Where apps are defined. `get_app` raises `NotFoundError`, or `TransientError` when it does not answer."""

    async def get_app(self, app: str) -> LoopApp: ...


class Store(AppSource, ValidationStore, Protocol):
    """What the validator needs of the store."""


class Counters:
    """Plain integers for `/metrics`; whoever serves it reads them when asked."""

    def __init__(self) -> None:
        self.validations: Counter[tuple[str, str, str]] = Counter()
        """By app, program and verdict."""
        self.tiers: Counter[tuple[str, int]] = Counter()
        """By app and the tier that decided."""
        self.oracle_requests: Counter[tuple[str, str]] = Counter()
        """By oracle and how it ended: `ok`, `cached`, or the reason of `NoAnswer`."""
        self.oracle_seconds: dict[str, float] = {}
        self.cost_usd: dict[str, float] = {}


class Validator:
    """The handler; give it to a `Worker` over `loopai.samples`. Safe for many messages at once."""

    def __init__(self, store: Store, oracle: Oracle, clock: Clock, *, tiers: Tiers | None = None) -> None:
        self._store = store
        self._oracle = oracle
        self._clock = clock
        self._tiers = tiers or Tiers()
        self._journal = Journal(store)
        self._news = BudgetNews(clock)
        self._apps: OrderedDict[str, tuple[float, LoopApp]] = OrderedDict()
        self._quiet_until: dict[tuple[str, str], float] = {}
        self.counters = Counters()

    async def handle(self, message: Message) -> Sequence[Output]:
        """One sample to one result. Raises `RecordError` for what is no sample, or of no app."""
        with processing(message) as trace_headers:
            return await self._handle(message, trace_headers)

    async def _handle(self, message: Message, trace_headers: Sequence[tuple[str, bytes]]) -> Sequence[Output]:
        try:
            sample = decode(message.value, Sample)
            app = await self._app(sample.app)
            result = await self.validate(app, sample)
        except RecursionError:
            raise RecordError("The sample is nested too deeply to be compared.", reason="depth") from None
        await self._journal.write(result)
        self._count(result)
        headers = event_headers(
            id=result.id, type=ce_type("validation.completed"), source=SOURCE, app=app.id, time=result.validated_at
        )
        outputs = [Output(VALIDATIONS, Outgoing(app.id.encode(), encode(result), [*headers, *trace_headers]))]
        if result.reason == BUDGET and (event := self._news.ran_out(app, sample.id)) is not None:
            outputs.append(Output(DRIFT_ALERTS, _event(event)))
        return outputs

    async def tick(self) -> Sequence[Output]:
        """Nothing is held back between samples."""
        return ()

    async def validate(self, app: LoopApp, sample: Sample) -> ValidationResult:
        """The climb itself, without store and stream. Never raises for a sample of the right shape."""
        finding = self._tiers.find(app, sample)
        if finding is not None:
            return self._result(app, sample, finding)
        try:
            answer = await self._oracle.ask(app, sample)
        except NoAnswer as silence:
            self._asked(silence.oracle, silence.reason, silence.ms, silence.cost_usd)
            self._tell(app, silence)
            finding = Finding(tier=3, verdict=silence.verdict, reason=silence.reason)
            return self._result(
                app, sample, finding, oracle=silence.oracle, cost_usd=silence.cost_usd, oracle_ms=silence.ms
            )
        self._asked(answer.oracle, "cached" if answer.cached else "ok", answer.ms, answer.cost_usd)
        comparator = comparator_for(app.kind)
        if self._tiers.types.misfit(app, answer.expected) is not None:
            # An answer that no program may give says nothing about this one: the app or its oracle is wrong.
            finding = Finding(tier=3, verdict="error", reason=ORACLE_SCHEMA, expected=answer.expected)
            return self._result(
                app, sample, finding, oracle=answer.oracle, cost_usd=answer.cost_usd, oracle_ms=answer.ms
            )
        finding = Finding(
            tier=3,
            verdict="match" if comparator.same(sample.output, answer.expected) else "mismatch",
            expected=answer.expected,
            similarity=comparator.similarity(sample.output, answer.expected),
        )
        return self._result(app, sample, finding, oracle=answer.oracle, cost_usd=answer.cost_usd, oracle_ms=answer.ms)

    def _result(
        self,
        app: LoopApp,
        sample: Sample,
        finding: Finding,
        *,
        oracle: str = "",
        cost_usd: float = 0.0,
        oracle_ms: float = 0.0,
    ) -> ValidationResult:
        return ValidationResult(
            id=sample.id,
            app=app.id,
            version=sample.version,
            program=sample.program,
            variant=sample.variant,
            tier=finding.tier,
            verdict=finding.verdict,
            expected=finding.expected,
            output=sample.output,
            similarity=finding.similarity,
            comparator=comparator_for(app.kind).name,
            inclusion_probability=sample.inclusion_probability,
            oracle=oracle,
            cost_usd=cost_usd,
            oracle_ms=oracle_ms,
            reason=finding.reason,
            revision=sample.revision,
            validated_at=iso(self._clock.now()),
        )

    async def _app(self, id: str) -> LoopApp:
        now = self._clock.monotonic()
        known = self._apps.get(id)
        if known is not None and now - known[0] < APP_SECONDS:
            return known[1]
        try:
            app = await self._store.get_app(id)
        except NotFoundError:
            self._apps.pop(id, None)
            raise RecordError(f"There is no loop app {id[:80]!r}.", reason="unknown_app") from None
        self._apps[id] = (now, app)
        if len(self._apps) > APPS_KEPT:
            self._apps.popitem(last=False)
        return app

    def _count(self, result: ValidationResult) -> None:
        self.counters.validations[result.app, result.program, result.verdict] += 1
        self.counters.tiers[result.app, result.tier] += 1

    def _tell(self, app: LoopApp, silence: NoAnswer) -> None:
        """One line a minute for each app and reason: the result carries only the word, a person needs the sentence."""
        now, key = self._clock.monotonic(), (app.id, silence.reason)
        if now >= self._quiet_until.get(key, now):
            self._quiet_until[key] = now + QUIET_SECONDS
            log.warning("No answer from the oracle %s for %s (%s): %s", silence.oracle, app.id, silence.reason, silence)

    def _asked(self, oracle: str, outcome: str, ms: float, cost_usd: float) -> None:
        counters = self.counters
        counters.oracle_requests[oracle, outcome] += 1
        counters.oracle_seconds[oracle] = counters.oracle_seconds.get(oracle, 0.0) + ms / 1e3
        counters.cost_usd[oracle] = counters.cost_usd.get(oracle, 0.0) + cost_usd


def _event(event: Event) -> Outgoing:
    headers = event_headers(id=event.id, type=ce_type(event.type), source=SOURCE, app=event.app, time=event.at)
    return Outgoing(event.app.encode(), msgspec.json.encode(event), headers)
