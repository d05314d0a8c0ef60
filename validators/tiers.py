"""An app and a sample in; what one of the two cheap tiers found out, or None: only the oracle can tell.

Tier 1 is free: how the run ended, whether there is an output, whether it fits the app's labels and output schema.
Tier 2 is cheap: the app's own checks. A tier that decides stops the climb.

An abstained answer is not an answer: it is `unsure`, and no estimate of agreement counts it. A run that ended in an
error, a timeout or a kill *is* counted, as a mismatch: the app was owed an answer and got none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import jsonschema_rs
import msgspec

from loopai.apps import LoopApp
from loopai.hashing import content_id
from loopai.records import Sample, Tier, Verdict
from validators.comparators import comparator_for

SCHEMAS_KEPT = 1_000


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier decided, and the stable word that says why."""

    tier: Tier
    verdict: Verdict
    reason: str | None = None
    expected: Any = None
    similarity: float | None = None


class TypeTier:
    """Tier 1. Compiled schemas are kept per app and revision."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[tuple[str, int], jsonschema_rs.Validator | None] = OrderedDict()

    def find(self, app: LoopApp, sample: Sample) -> Finding | None:
        """A mismatch, an `unsure` abstention, an `error` when the app's own schema is unusable, or None: looks fine."""
        if sample.outcome == "abstained":
            return Finding(tier=1, verdict="unsure", reason="abstained")
        if sample.outcome != "ok":
            return Finding(tier=1, verdict="mismatch", reason=sample.outcome)
        reason = self.misfit(app, sample.output)
        if reason is None:
            return None
        if reason == "output_schema":
            return Finding(tier=1, verdict="error", reason=reason)
        return Finding(tier=1, verdict="mismatch", reason="missing" if sample.output is None else reason)

    def misfit(self, app: LoopApp, output: Any) -> str | None:
        """Why `output` can be no answer of this app: `label`, `schema`, `missing`, or `output_schema` when the app's
        own schema is unusable. None: it can."""
        if app.kind == "classification" and app.labels and output not in app.labels:
            return "label"
        if not app.output_schema:
            return "missing" if output is None else None
        validator = self._validator(app)
        if validator is None:
            return "output_schema"
        return None if validator.is_valid(output) else "schema"

    def _validator(self, app: LoopApp) -> jsonschema_rs.Validator | None:
        key = (app.id, app.revision)
        if key not in self._compiled:
            try:
                # Offline: a `$ref` of a user's schema must never make this process fetch anything.
                self._compiled[key] = jsonschema_rs.validator_for(app.output_schema, offline=True)
            except (jsonschema_rs.ValidationError, ValueError):
                self._compiled[key] = None
            if len(self._compiled) > SCHEMAS_KEPT:
                self._compiled.popitem(last=False)
        return self._compiled[key]


class Check(Protocol):
    """A cheap check of an app's answers, run in tier 2. None: it has nothing to say about this sample. Never blocks."""

    def find(self, app: LoopApp, sample: Sample) -> Finding | None: ...


class Counterexamples:
    """Inputs whose right answer is known for good: a program that gets one wrong again is told so without an oracle.

    Only confirmed answers belong here. What an oracle said in passing does not: under concept drift the right answer
    to the same text changes, and a check that remembers the old one would hide exactly what is looked for.
    """

    def __init__(self, kept: int = 10_000) -> None:
        self._kept = kept
        self._known: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def add(self, app: str, input: Any, expected: Any) -> None:
        """Remembers one; the oldest is forgotten beyond the limit."""
        self._known[app, content_key(input)] = expected
        self._known.move_to_end((app, content_key(input)))
        if len(self._known) > self._kept:
            self._known.popitem(last=False)

    def find(self, app: LoopApp, sample: Sample) -> Finding | None:
        """Match or mismatch with the known answer."""
        if not self._known:
            return None
        try:
            expected = self._known[app.id, content_key(sample.input)]
        except KeyError:
            return None
        comparator = comparator_for(app.kind)
        similarity = comparator.similarity(sample.output, expected)
        same = comparator.same(sample.output, expected)
        return Finding(
            tier=2,
            verdict="match" if same else "mismatch",
            reason="counterexample",
            expected=expected,
            similarity=similarity,
        )


class Tiers:
    """Tiers 1 and 2 in order."""

    def __init__(self, checks: Sequence[Check] = ()) -> None:
        self.types = TypeTier()
        self._checks = tuple(checks)

    def find(self, app: LoopApp, sample: Sample) -> Finding | None:
        """The first finding, or None: only an oracle can tell."""
        if (finding := self.types.find(app, sample)) is not None:
            return finding
        for check in self._checks:
            if (finding := check.find(app, sample)) is not None:
                return finding
        return None


def content_key(input: Any) -> str:
    """The address of an input's content: the same record has the same one whatever its id or the order of its keys."""
    return content_id(msgspec.json.encode(input, order="sorted"))
