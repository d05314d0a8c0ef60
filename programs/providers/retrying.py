"""A model that is asked again when it is unwell; the one place in Loopai where provider calls are retried.

Pauses double from `first_pause` with full jitter and never undercut what the provider asked for in Retry-After. When
the next pause would end after `patience_seconds` the last error is raised at once, so that a failover does not wait.
"""

from __future__ import annotations

import random

import msgspec

from loopai.clock import Clock
from programs.providers.chat import ChatModel, ChatReply, ChatRequest, ProviderUnavailable


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`attempts` includes the first. `patience_seconds` bounds the sum of attempts and pauses before the last try."""

    attempts: int = 4
    first_pause: float = 0.25
    longest_pause: float = 8.0
    patience_seconds: float = 60.0


class RetryingModel:
    """Asks `inner` up to `policy.attempts` times."""

    def __init__(self, inner: ChatModel, clock: Clock, policy: RetryPolicy | None = None) -> None:
        self._inner = inner
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self.retries = 0

    @property
    def provider(self) -> str:
        """The inner model's."""
        return self._inner.provider

    @property
    def model(self) -> str:
        """The inner model's."""
        return self._inner.model

    def worst_cost(self, request: ChatRequest) -> float | None:
        """One attempt's: each further attempt reserves for itself."""
        return self._inner.worst_cost(request)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """The first reply, or the last `ProviderUnavailable`. Other errors are not retried."""
        policy = self._policy
        began = self._clock.monotonic()
        pause = policy.first_pause
        for attempt in range(1, policy.attempts + 1):
            try:
                return await self._inner.complete(request)
            except ProviderUnavailable as error:
                wait = max(pause * random.uniform(0.5, 1.0), error.retry_after or 0.0)  # noqa: S311 - jitter
                spent = self._clock.monotonic() - began
                if attempt == policy.attempts or spent + wait > policy.patience_seconds:
                    raise
            self.retries += 1
            await self._clock.sleep(wait)
            pause = min(pause * 2, policy.longest_pause)
        raise AssertionError("unreachable: the last attempt returns or raises")
