"""An answer in, whether it is checked out: by a hash of the record's id, so that every replica and replay agree.

Rates nest: what is sampled at 1 % is sampled at 10 % too. The probability goes with each sample, so that estimates
stay unbiased whatever the sampler (Horvitz & Thompson, 1952).
"""

from __future__ import annotations

from loopai.apps import Sampling
from loopai.hashing import fraction, seed_of


class RandomSampler:
    """Each id alike, with probability `rate`."""

    def __init__(self, app: str, policy: Sampling) -> None:
        self._seed = seed_of(f"sample/{app}")
        self.rate = min(1.0, max(0.0, policy.rate))

    def probability(self, record_id: bytes) -> float | None:
        """The inclusion probability when the record is chosen, else None."""
        if self.rate >= 1.0:
            return 1.0
        return self.rate if fraction(self._seed, record_id) < self.rate else None
