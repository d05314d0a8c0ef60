"""Model name to price in USD per million tokens, from a dated table; an unknown model has no price, never a guess.

Standard tier, prompts under 200,000 tokens. Gathered in November 2026 from published tables, not from an invoice: the
ledger is an estimate until it is compared with one. A model served by yourself is priced by the settings.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

AS_OF: Final = "2026-11"

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Price(NamedTuple):
    """USD per million tokens: fresh input, output, and input that the provider had cached."""

    fresh: float
    output: float
    cached: float

    def cost(self, tokens_in: int, tokens_out: int, cached_tokens: int = 0) -> float:
        """USD for a call; `cached_tokens` are part of `tokens_in`."""
        cached = min(cached_tokens, tokens_in)
        return ((tokens_in - cached) * self.fresh + cached * self.cached + tokens_out * self.output) / 1e6


FREE: Final = Price(0.0, 0.0, 0.0)

TABLE: Final[dict[str, Price]] = {
    "gpt-5": Price(1.25, 10.0, 0.125),
    "gpt-5-mini": Price(0.25, 2.0, 0.025),
    "gpt-5-nano": Price(0.05, 0.4, 0.005),
    "gpt-5.1": Price(1.25, 10.0, 0.125),
    "gpt-5.2": Price(1.75, 14.0, 0.175),
    "gpt-5.4": Price(2.5, 15.0, 0.25),
    "gpt-5.4-mini": Price(0.75, 4.5, 0.075),
    "gpt-5.4-nano": Price(0.2, 1.25, 0.02),
    "gpt-5.5": Price(5.0, 30.0, 0.5),
    "gpt-4.1": Price(2.0, 8.0, 0.5),
    "gpt-4.1-mini": Price(0.4, 1.6, 0.1),
    "gpt-4.1-nano": Price(0.1, 0.4, 0.025),
    "gpt-4o": Price(2.5, 10.0, 1.25),
    "gpt-4o-mini": Price(0.15, 0.6, 0.075),
    "o3": Price(2.0, 8.0, 0.5),
    "o4-mini": Price(1.1, 4.4, 0.275),
    "loopai-local": FREE,
}
"""Base names; `gpt-5-mini-2025-08-07` is priced as `gpt-5-mini`."""


def price_of(model: str) -> Price | None:
    """The price of a model by its exact or dated name; None when it is not in the table."""
    return TABLE.get(model) or TABLE.get(_DATED.sub("", model))
