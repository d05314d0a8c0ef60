"""The gateway as a server: `start` listens and returns the address, `stop` says goodbye and closes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn

from gateway.app import Application, create_app
from gateway.deps import Gateway
from gateway.hub import MAX_MESSAGE_BYTES
from loopai.errors import ConfigurationError, UnavailableError

_GRACE_SECONDS: Final = 3


class _Uvicorn(uvicorn.Server):
    """Without signal handlers: the entry point owns them, and may run several servers in one process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """One listening gateway.

    Raises:
        ConfigurationError: by the constructor when it would be open without a key, by `start` when the port is taken.
    """

    def __init__(self, given: Gateway) -> None:
        self.app: Application = create_app(given)
        self._settings = given.settings.gateway
        self._uvicorn: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self._settings.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"

    async def start(self) -> None:
        """Listens. Raises `UnavailableError` when the stream or the store does not answer."""
        listening = self._listen()
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self.app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES * 2,  # the hub itself refuses above half of it, with a reason
            ws_per_message_deflate=False,  # it halves the throughput and doubles the memory
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._uvicorn = _Uvicorn(config)
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[listening]))
        while not self._uvicorn.started:
            if self._serving.done():
                listening.close()
                self._serving.result()
                raise UnavailableError("The gateway did not start; its log says why.")
            await asyncio.sleep(0.01)

    async def wait(self) -> None:
        """Until the server ends; raises the error of a background task that failed."""
        assert self._serving is not None
        assert self.app.parts.failed is not None
        ends: list[asyncio.Future[Any]] = [self._serving, self.app.parts.failed]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self.app.parts.failed.done():
            error = self.app.parts.failed.result()
            await self.stop()
            raise error

    async def stop(self) -> None:
        """Says goodbye to the live clients, finishes requests under way, closes."""
        if self._uvicorn is None or self._serving is None:
            return
        await self.app.parts.hub.bye("shutdown")
        self._uvicorn.should_exit = True
        await self._serving
        self._uvicorn = None

    def _listen(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        # `socket.create_server` leaves the protocol at 0, and asyncio then leaves Nagle on: 40 ms an answer.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(2048)
            return listening
        except OSError as error:
            listening.close()
            raise ConfigurationError(
                f"gateway.port: cannot listen on {host}:{port}: {error.strerror or error}.",
                next_step="Set LOOPAI_GATEWAY__PORT to a free port, or 0 for any.",
            ) from None
