"""What is asked of a language model and what comes back: the request, the reply, the protocol and its errors.

LoopaiError
├── ProviderError            the provider answered, and the answer is of no use: asking it again gives the same
│   └── AnswerError          a reply arrived and was paid for, but it is outside the schema that was demanded
└── UnavailableError
    └── ProviderUnavailable  the provider is unwell: retry, or ask the next one
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from loopai.errors import LoopaiError, UnavailableError
from loopai.hashing import content_id

Role = Literal["system", "user", "assistant"]
Purpose = Literal["validate", "generate"]

FRAMING_TOKENS = 64
"""Allowed for what a provider adds around the messages, so that the upper bound on tokens stays one."""


class ChatMessage(msgspec.Struct, frozen=True):
    """One turn."""

    role: Role
    content: str


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked. An empty `model` means the provider's own.

    With `schema` the reply must be JSON of that shape; `strict` asks the provider to decode under it, which OpenAI
    grants only to closed objects with every property required. `seed` tells apart several candidates for one prompt.
    `temperature` is left out unless set: reasoning models refuse it.
    """

    messages: tuple[ChatMessage, ...]
    model: str = ""
    schema: dict[str, Any] | None = None
    schema_name: str = "answer"
    strict: bool = True
    max_output_tokens: int = 2_000
    temperature: float | None = None
    seed: int | None = None

    def digest(self) -> str:
        """The address of the request: sorted JSON, hashed. The same question has the same one on any day."""
        return content_id(msgspec.json.encode(self, order="sorted"))

    def most_input_tokens(self) -> int:
        """An upper bound: byte-level tokenisers never make more tokens than there are bytes."""
        text = sum(len(message.content.encode()) + 8 for message in self.messages)
        return text + (len(msgspec.json.encode(self.schema)) if self.schema else 0) + FRAMING_TOKENS


class ChatReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back. `request` is the digest of the request; `cost_usd` is None when the model's price is unknown.

    `parsed` is the decoded answer when the request had a schema. A `replayed` reply cost nothing this time; its
    `cost_usd` is what the recording cost.
    """

    text: str
    model: str
    provider: str
    request: str
    parsed: Any = None
    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None
    ms: float = 0.0
    finish: str = "stop"
    replayed: bool = False


class ProviderError(LoopaiError):
    """The provider refused the request. `reason` is a stable word for counters: `key`, `refused`, `quota`, `schema`."""

    code = "provider"

    def __init__(self, message: str, *, reason: str = "refused", next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.reason = reason


class AnswerError(ProviderError):
    """A reply outside the demanded schema. It was paid for: `reply` carries its tokens and cost."""

    def __init__(self, message: str, reply: ChatReply) -> None:
        super().__init__(message, reason="schema")
        self.reply = reply


class ProviderUnavailable(UnavailableError):
    """No usable answer this time. `maybe_billed`: the request may have been worked on, so its money is gone.

    `reason` is a stable word: `rate_limit`, `server`, `timeout`, `connection`, `garbled`. `retry_after` in seconds is
    what the provider asked for.
    """

    def __init__(
        self, message: str, *, reason: str, maybe_billed: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.maybe_billed = maybe_billed
        self.retry_after = retry_after


class ChatModel(Protocol):
    """A model that can be asked; safe to share between tasks.

    `complete` answers one request or raises `ProviderUnavailable` (unwell now), `ProviderError` (refused),
    `AnswerError` (answered outside the schema), `BudgetError` (not allowed to ask) or `ConfigurationError` (cannot
    work at all). `worst_cost` is an upper bound in USD of what the request may cost, or None when the price of its
    model is unknown. Wrappers (retries, budget, cassettes, failover) are models too, so they nest.
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    def worst_cost(self, request: ChatRequest) -> float | None: ...
    async def complete(self, request: ChatRequest) -> ChatReply: ...


def user(text: str) -> ChatMessage:
    """A user's turn."""
    return ChatMessage("user", text)


def system(text: str) -> ChatMessage:
    """The instructions."""
    return ChatMessage("system", text)
