"""Validations in, running agreement of a version out: estimate, 95 % interval, and a bound for deciding.

Two intervals, for two uses. What people read is the Wilson interval on the effective number of checks (E. B. Wilson,
JASA 22, 1927; L. Kish, "Survey Sampling", 1965, for n_eff = (sum w)^2 / sum w^2): narrow, right for one look. What
decides is the confidence sequence of `rollouts.betting`: wider, right at every look.

The estimate is Hájek's: sum(w y) / sum(w) with w = 1 / inclusion probability (J. Hájek, 1971), the ratio form of
Horvitz and Thompson (JASA 47, 1952): the number of records need not be known, and a constant p cancels.
`unsure` and `error` verdicts say nothing about agreement and are only counted.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from loopai.records import Verdict
from rollouts.betting import Betting

WINDOW: Final = 500
"""Checks in the rolling window."""

Z: Final = 1.959963984540054
SMALLEST_PROBABILITY: Final = 1e-6
"""A smaller inclusion probability is a fault of the sampler; it is cut here, or one check would outweigh all."""


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Ratios 0..1. `estimate` is None without checks, and then the interval is everything."""

    checks: int = 0
    estimate: float | None = None
    low: float = 0.0
    high: float = 1.0


def wilson(estimate: float, n: float, z: float = Z) -> tuple[float, float]:
    """The score interval of a ratio over `n` (effective) checks; (0, 1) when n is not positive."""
    if not n > 0:
        return 0.0, 1.0
    centre = (estimate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(estimate * (1 - estimate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def probability_weight(inclusion_probability: float) -> float:
    """1 / p, with p cut to [1e-6, 1]. Raises `ValueError` when p is not a positive number."""
    if not inclusion_probability > 0:
        raise ValueError(f"an inclusion probability is in (0, 1], got {inclusion_probability}")
    return 1.0 / min(1.0, max(SMALLEST_PROBABILITY, inclusion_probability))


class Tally(msgspec.Struct, kw_only=True):
    """The running agreement of one version since it was begun. Serialisable; `recent` holds +w for right, -w for wrong.

    `unsure` and `errors` count the checks that could not tell.
    """

    checks: int = 0
    unsure: int = 0
    errors: int = 0
    weight: float = 0.0
    weight_squared: float = 0.0
    right: float = 0.0
    recent: list[float] = []
    betting: Betting = msgspec.field(default_factory=Betting)

    def update(self, verdict: Verdict, inclusion_probability: float = 1.0) -> bool | None:
        """Takes one verdict. True when it was right, False when wrong, None when it is not counted."""
        if verdict == "unsure":
            self.unsure += 1
            return None
        if verdict == "error":
            self.errors += 1
            return None
        right = verdict == "match"
        weight = probability_weight(inclusion_probability)
        self.checks += 1
        self.weight += weight
        self.weight_squared += weight * weight
        self.right += weight if right else 0.0
        self.betting.update(1.0 if right else 0.0, weight)
        self.recent.append(weight if right else -weight)
        if len(self.recent) > WINDOW:
            del self.recent[0]
        return right

    def since_start(self) -> Interval:
        """Over every check: Hájek's estimate and the Wilson interval on n_eff."""
        return _interval(self.checks, self.right, self.weight, self.weight_squared)

    def rolling(self) -> Interval:
        """Over the last 500 checks."""
        right = sum(w for w in self.recent if w > 0)
        total = sum(abs(w) for w in self.recent)
        return _interval(len(self.recent), right, total, sum(w * w for w in self.recent))

    def bound(self, alpha: float = 0.05) -> Interval:
        """Over every check, valid at every look: the estimate with the confidence sequence of `rollouts.betting`."""
        low, high = self.betting.interval(alpha)
        return Interval(checks=self.checks, estimate=self.since_start().estimate, low=low, high=high)


def _interval(checks: int, right: float, weight: float, weight_squared: float) -> Interval:
    if checks == 0 or not weight > 0:
        return Interval()
    estimate = min(1.0, max(0.0, right / weight))
    low, high = wilson(estimate, weight * weight / weight_squared)
    return Interval(checks=checks, estimate=estimate, low=low, high=high)
