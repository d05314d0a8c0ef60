"""An app, a sample, a message, and a store in memory."""

from __future__ import annotations

from typing import Any

import msgspec

from loopai.apps import LoopApp
from loopai.errors import NotFoundError
from loopai.records import Sample
from streams.broker import Headers
from validators.journal import MemoryValidations

SPAM = LoopApp(
    id="sms",
    description="Is the message spam?",
    labels=("ham", "spam"),
    output_schema={"type": "string", "enum": ["ham", "spam"]},
)


def sample(id: str = "r1", output: Any = "ham", **more: Any) -> Sample:
    fields: dict[str, Any] = {
        "id": id,
        "app": "sms",
        "version": 1,
        "program": "p1",
        "variant": "stable",
        "outcome": "ok",
        "input": {"text": "hello"},
        "output": output,
        "inclusion_probability": 0.1,
        "revision": 3,
        "sampled_at": "1970-01-12T13:46:40.000Z",
    }
    return Sample(**{**fields, **more})


class Sent(msgspec.Struct, frozen=True):
    """A message as a handler sees it."""

    value: bytes | None
    topic: str = "loopai.samples"
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Headers = ()


def sent(one: Sample) -> Sent:
    return Sent(msgspec.json.encode(one))


class MemoryStore(MemoryValidations):
    """Apps and validations."""

    def __init__(self, *apps: LoopApp) -> None:
        super().__init__()
        self.apps = {app.id: app for app in apps}
        self.looked_up = 0

    async def get_app(self, app: str) -> LoopApp:
        self.looked_up += 1
        if app not in self.apps:
            raise NotFoundError(f"no {app}")
        return self.apps[app]
