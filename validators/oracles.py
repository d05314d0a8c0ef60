"""Who says what is right: an app and a sample in, the right answer out, or why there is none.

Every question ends: with an answer, or with `NoAnswer` whose reason becomes the validation's. Nothing is pending for
ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from loopai.apps import LoopApp, OracleKind
from loopai.errors import LoopaiError
from loopai.records import Sample, Verdict

BUDGET: Final = "budget"
"""The reason of a question that the app's budget did not allow."""

ORACLE_SCHEMA: Final = "oracle_schema"
"""The reason of an oracle's answer that is none of the app's labels, or outside its output schema."""


class OracleAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is right, who said so, what it cost and how long it took. `cached`: it was known from an equal input."""

    expected: Any
    oracle: str
    cost_usd: float = 0.0
    ms: float = 0.0
    cached: bool = False


class NoAnswer(LoopaiError):
    """The oracle cannot say. `verdict` is `error` when asking went wrong and `unsure` when there is nobody to ask.

    Reasons: `expired` (no answer in time), `no_label`, `no_oracle`, `budget`, `unavailable`, `refused`,
    `oracle_schema` (an answer outside the schema), `too_long`.
    """

    code = "no_answer"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        oracle: str,
        verdict: Verdict = "error",
        cost_usd: float = 0.0,
        ms: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.oracle = oracle
        self.verdict: Verdict = verdict
        self.cost_usd = cost_usd
        self.ms = ms


class Oracle(Protocol):
    """The last tier. Many samples are asked about at once.

    `ask` returns within `app.oracle.wait_seconds`, give or take a second, or raises `NoAnswer`. It never raises for
    trouble outside: a sample must end even when the oracle is dead.
    """

    async def ask(self, app: LoopApp, sample: Sample) -> OracleAnswer: ...


class NoOracle:
    """For apps that have nobody to ask: the cheap tiers still find what they can."""

    def __init__(self, name: str = "none") -> None:
        self._name = name

    async def ask(self, app: LoopApp, sample: Sample) -> OracleAnswer:
        """Always raises `NoAnswer` with `no_oracle`."""
        raise NoAnswer(f"No oracle answers for {app.id}.", reason="no_oracle", oracle=self._name, verdict="unsure")


class Oracles:
    """Each app's oracle by its policy. A kind that this process was not given is nobody, and says so by its name."""

    def __init__(self, by_kind: Mapping[OracleKind, Oracle]) -> None:
        self._by_kind = dict(by_kind)

    async def ask(self, app: LoopApp, sample: Sample) -> OracleAnswer:
        """The answer of the oracle that the app's policy names."""
        kind = app.oracle.kind
        if (oracle := self._by_kind.get(kind)) is None:
            oracle = self._by_kind[kind] = NoOracle(kind)
        return await oracle.ask(app, sample)
