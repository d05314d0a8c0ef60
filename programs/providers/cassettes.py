"""Recorded replies, one JSON file a request, named by the request's digest; replayed they cost nothing and never vary.

A re-run of a generation from its recordings makes the same program, and so the same id. Modes: `replay` answers from
files alone and refuses what was not recorded; `record` asks and writes; `auto` asks only what is missing.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from loopai.errors import NotFoundError
from programs.providers.chat import ChatModel, ChatReply, ChatRequest

Mode = Literal["replay", "record", "auto"]


class _Cassette(msgspec.Struct, frozen=True):
    request: ChatRequest
    reply: ChatReply


class CassetteModel:
    """Put it outermost: a replayed call needs no budget. `inner` may be None in mode `replay`."""

    def __init__(self, folder: Path, inner: ChatModel | None = None, mode: Mode = "auto") -> None:
        if inner is None and mode != "replay":
            raise ValueError("Recording needs a model to ask.")
        self._folder = folder
        self._inner = inner
        self._mode = mode
        self.replayed = 0
        self.recorded = 0

    @property
    def provider(self) -> str:
        """The inner model's, else `cassette`."""
        return self._inner.provider if self._inner else "cassette"

    @property
    def model(self) -> str:
        """The inner model's; empty without one. A request keeps its digest only if it names its own model."""
        return self._inner.model if self._inner else ""

    def worst_cost(self, request: ChatRequest) -> float | None:
        """0 for what is recorded."""
        if self._mode != "record" and self._path(request).exists():
            return 0.0
        return self._inner.worst_cost(request) if self._inner else 0.0

    async def complete(self, request: ChatRequest) -> ChatReply:
        """The recorded reply, or the inner model's, which is then recorded.

        Raises:
            NotFoundError: nothing is recorded and nothing may be asked.
        """
        path = self._path(request)
        if self._mode != "record" and (raw := await asyncio.to_thread(_read, path)) is not None:
            self.replayed += 1
            reply = msgspec.json.decode(raw, type=_Cassette).reply
            return msgspec.structs.replace(reply, replayed=True)
        if self._inner is None or self._mode == "replay":
            raise NotFoundError(
                f"No recorded reply for the request {request.digest()[:12]} in {self._folder}.",
                next_step="The prompt has changed since the recording; record again.",
            )
        reply = await self._inner.complete(request)
        await asyncio.to_thread(_write, path, msgspec.json.format(msgspec.json.encode(_Cassette(request, reply))))
        self.recorded += 1
        return reply

    def _path(self, request: ChatRequest) -> Path:
        return self._folder / f"{request.digest()}.json"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a cassette half written would be replayed as a broken one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(path)
