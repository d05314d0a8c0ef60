"""What an entry point gives in, the gateway as one ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import engineio
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.deps import Gateway
from gateway.http import problems
from gateway.http.body import Body
from gateway.http.docs import docs_routes
from gateway.http.frame import API, Frame
from gateway.http.guard import Guard
from gateway.http.page import page_routes
from gateway.http.replay import Replay
from gateway.parts import Parts
from gateway.routes import apps, checks, inputs, live, programs, rollouts, system
from loopai import __version__

_TAGS: Final = [
    {"name": "Loop apps", "description": "One repeated judgement each: what goes in, what comes out, who is right."},
    {"name": "Programs", "description": "Versions of an app's program, and the runs that make them."},
    {"name": "Inputs", "description": "Records for the stream, or for an answer at once."},
    {"name": "Checks", "description": "Validation results: what the oracle said about a sample of the answers."},
    {"name": "Rollouts", "description": "Moving an app from one version to another."},
    {"name": "Alerts", "description": "Drift, and spent budgets."},
    {"name": "Events", "description": "Everything that happened, as history and live."},
    {"name": "System", "description": "The gateway itself."},
]


_UNTRACED: Final = frozenset({"/livez", "/readyz", "/metrics"})


class Application:
    """Socket.IO under `/socket.io/`, HTTP everywhere else, the same guard before both."""

    def __init__(self, parts: Parts, http: FastAPI) -> None:
        self.parts = parts
        self.http = http
        counters, access = parts.counters, parts.access
        layers: ASGIApp = Replay(http, parts.store, parts.clock)
        self._http = Frame(Guard(Body(layers), access), counters)
        self._live = Frame(Guard(engineio.ASGIApp(parts.hub.server, engineio_path="socket.io"), access), counters)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.http(scope, receive, send)
        elif scope["type"] == "websocket" or scope["path"].startswith("/socket.io/"):
            await self._live(scope, receive, send)
        else:
            await self._http(scope, receive, send)


def create_app(given: Gateway) -> Application:
    """The gateway. Its lifespan connects to the stream and begins to follow it.

    Raises:
        ConfigurationError: it would be open to other machines without a key.
    """
    parts = Parts(given)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await parts.start()
        try:
            yield
        finally:
            await parts.stop()

    traced = bool(given.settings.telemetry.otlp_endpoint)
    http = FastAPI(
        title="Loopai",
        version=__version__,
        description="Programs instead of repeated LLM calls on a stream, checked and kept honest.",
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # Its logs hold exception messages with people's inputs; its metrics have names of their own beside ours.
        telemetry={
            "tracing": traced,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
            "exclude": lambda scope: scope["path"] in _UNTRACED,
        },
    )
    http.state.parts = parts
    problems.install(http)
    api = APIRouter(prefix=API)
    for module in (apps, programs, inputs, rollouts, checks, live):
        api.include_router(module.router)
    http.include_router(api)
    http.include_router(system.router)
    _complete_openapi(http)
    http.router.routes.extend([*docs_routes(http), *page_routes()])
    return Application(parts, http)


def _complete_openapi(http: FastAPI) -> None:
    """Adds what FastAPI cannot know: the shape of problems, the keys, and that 422 is a problem too."""
    generate = http.openapi

    def openapi() -> dict[str, Any]:
        if http.openapi_schema is None:
            schema = generate()
            components = schema["components"]
            components["schemas"]["Problem"] = problems.PROBLEM_SCHEMA
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            schema["security"] = [{}, {"bearer": []}, {"key": []}]
        return http.openapi_schema or {}

    http.openapi = openapi  # type: ignore[method-assign]
