"""Bounds of two versions in, a judgement on the candidate out: surely bad, good enough for a step, or not yet known.

What is surely true is read from intervals that hold at every look (`rollouts.betting`), since every check is a look.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from loopai.apps import RolloutPolicy
from rollouts import words
from rollouts.estimates import Interval

MARGIN: Final = 0.02
"""How much worse (a ratio) than the stable version a candidate may surely be before it is taken back."""

CONTROL: Final = 30
"""Checks of the stable version during the trial before it is compared with."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Checks of the candidate at this stage, and both versions' bounds since the trial began."""

    stage_checks: int
    candidate: Interval
    control: Interval = Interval()


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence says. `guardrail`, `value` and `limit` (ratios) name what was breached."""

    verdict: Literal["hold", "step", "back"]
    reason: str = ""
    guardrail: str = ""
    value: float | None = None
    limit: float | None = None


def judge(policy: RolloutPolicy, evidence: Evidence, stable: int) -> Judgement:
    """Whether the candidate is surely bad, good enough for a step, or not yet known.

    Where the stable version itself is under the limit, going back would help nobody: then it is the measure.
    """
    c, control = evidence.candidate, evidence.control
    if c.estimate is None or not math.isfinite(c.estimate) or c.checks < 1:
        return Judgement(verdict="hold", reason="no checks yet")
    limit, reference = policy.min_agreement, _reference(control)
    floor = limit if reference is None else reference - MARGIN
    helpless = reference is not None and reference < limit
    if c.high < limit and not helpless:
        reason = words.fell_under_limit(c.estimate, limit, c.checks)
        return Judgement(verdict="back", reason=reason, guardrail="agreement", value=c.estimate, limit=limit)
    if reference is not None and c.high < control.low - MARGIN:
        reason = words.worse_than(c.estimate, stable, reference, c.checks)
        return Judgement(verdict="back", reason=reason, guardrail="stable", value=c.estimate, limit=reference)
    if evidence.stage_checks < policy.min_checks:
        return Judgement(verdict="hold", reason=f"{evidence.stage_checks} of {policy.min_checks} checks at this stage")
    if c.estimate < (floor if helpless else max(floor, limit)):
        return Judgement(verdict="hold", reason="right answers are under the measure, not surely so")
    return Judgement(verdict="step", reason=words.checks(evidence.stage_checks))


def _reference(control: Interval) -> float | None:
    """What the stable version reached during the trial, once it was checked often enough."""
    known = control.checks >= CONTROL and control.estimate is not None and math.isfinite(control.estimate)
    return control.estimate if known else None
