"""Several models as one: asked in order until one answers; a model that failed is passed over for a while.

Order is preference. `answer_within` seconds is how long every model but the last may take (None: its own timeout);
passing over keeps a dead first provider from costing each call that long. When all are resting, all are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from loopai.clock import Clock
from programs.providers.chat import (
    AnswerError,
    ChatModel,
    ChatReply,
    ChatRequest,
    ProviderError,
    ProviderUnavailable,
)


class Rests:
    """Which of some endpoints are passed over, and until when; shared by all who ask them."""

    def __init__(self, count: int, clock: Clock, seconds: float = 15.0) -> None:
        self._until = [float("-inf")] * count
        self._clock = clock
        self._seconds = seconds

    def begin(self, index: int) -> None:
        """This one failed."""
        self._until[index] = self._clock.monotonic() + self._seconds

    def order(self) -> list[int]:
        """Who is to be asked, in order: those awake, or all when none is."""
        now = self._clock.monotonic()
        return [i for i, until in enumerate(self._until) if until <= now] or list(range(len(self._until)))


class FailoverModel:
    """The first is asked for the model that the request names; the others answer with a model of their own."""

    def __init__(self, models: Sequence[ChatModel], rests: Rests, *, answer_within: float | None = None) -> None:
        if not models:
            raise ValueError("A failover needs at least one model.")
        self._models = tuple(models)
        self._rests = rests
        self._answer_within = answer_within
        self.failovers = 0

    @property
    def provider(self) -> str:
        """The preferred one's."""
        return self._models[0].provider

    @property
    def model(self) -> str:
        """The preferred one's."""
        return self._models[0].model

    def worst_cost(self, request: ChatRequest) -> float | None:
        """The dearest of all; None when any price is unknown."""
        costs = [model.worst_cost(self._for(i, request)) for i, model in enumerate(self._models)]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    async def complete(self, request: ChatRequest) -> ChatReply:
        """The first answer. An answer outside the schema is an answer: it was paid for, and is not asked twice."""
        order = self._rests.order()
        for place, index in enumerate(order):
            last = place == len(order) - 1
            try:
                async with asyncio.timeout(None if last else self._answer_within):
                    return await self._models[index].complete(self._for(index, request))
            except AnswerError:
                raise
            except (ProviderError, ProviderUnavailable):
                self._rests.begin(index)
                if last:
                    raise
            except TimeoutError:
                self._rests.begin(index)
            self.failovers += 1
        raise AssertionError("unreachable: the last model returns or raises")

    def _for(self, index: int, request: ChatRequest) -> ChatRequest:
        return request if index == 0 else msgspec.structs.replace(request, model="")
