"""The small HTTP port that every role has beside its work: `/livez`, `/readyz`, `/metrics`.

A plain socket server of a few lines: an executor should not carry a web framework for three routes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
from prometheus_client import CollectorRegistry, generate_latest

Readiness = Callable[[], dict[str, str]]
"""Names of parts to their state; a part is ready when its state begins with `ok` or `on`."""


class AdminServer:
    """Serves until `stop`. Port 0 takes a free one; `port` tells which."""

    def __init__(self, registry: CollectorRegistry, ready: Readiness, *, host: str, port: int) -> None:
        self._registry = registry
        self._ready = ready
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, self._host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5.0)
            path = request.split(b" ", 2)[1].split(b"?")[0]
            status, kind, body = self._page(path)
            head = (
                f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await asyncio.wait_for(writer.drain(), 5.0)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _page(self, path: bytes) -> tuple[str, str, bytes]:
        if path == b"/livez":
            return "200 OK", "text/plain", b"ok\n"
        if path == b"/readyz":
            parts = self._ready()
            good = all(state.startswith(("ok", "on")) for state in parts.values())
            return "200 OK" if good else "503 Service Unavailable", "application/json", msgspec.json.encode(parts)
        if path == b"/metrics":
            return "200 OK", "text/plain; version=0.0.4", generate_latest(self._registry)
        return "404 Not Found", "text/plain", b"livez, readyz or metrics\n"
