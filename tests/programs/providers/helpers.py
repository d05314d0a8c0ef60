"""A request to the local server's model, and the model itself."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from loopai.settings import Oracle
from programs.providers.chat import ChatRequest, system, user
from programs.providers.local_server import LocalModelServer
from programs.providers.openai_model import OpenAIModel
from programs.providers.prices import Price

DEAR = Price(1_000.0, 1_000.0, 1_000.0)
LABEL: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["ham", "spam"]}},
    "required": ["answer"],
    "additionalProperties": False,
}


def judge(text: str = "hello", **more: Any) -> ChatRequest:
    return ChatRequest(
        messages=(system("Judge."), user(f'<data>\n{{"text": "{text}"}}\n</data>')), schema=LABEL, **more
    )


def endpoint(server: LocalModelServer, *, timeout: float = 5.0, price: Price | None = None) -> OpenAIModel:
    settings = Oracle(
        base_url=server.base_url, api_key=SecretStr("k"), model="loopai-local", timeout_seconds=timeout, max_retries=0
    )
    return OpenAIModel(settings, price=price)
