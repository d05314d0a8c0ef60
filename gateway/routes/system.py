"""The gateway itself: does it live, can it take inputs, which version is it, what did it count."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.counters import CONTENT_TYPE
from gateway.http.asked import PartsOf, today
from gateway.http.problems import problem, responses
from gateway.live.alerts import SEVERITIES, alerts
from loopai import __version__
from loopai.errors import TransientError
from loopai.telemetry import ALERTS_OPEN
from streams.topics import INPUTS

router = APIRouter(tags=["System"])
_PATIENCE: Final = 2.0


@router.get("/livez", operation_id="livez", summary="Does the process live?")
async def livez() -> dict[str, str]:
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it take inputs?",
    description="`?verbose` lists the parts.",
    responses=responses("invalid"),
)
async def readyz(parts: PartsOf, request: Request, verbose: str | None = None) -> Response:
    checks = {
        "stream": await _check(parts.producer.partitions(INPUTS.name)),
        "store": await _check(parts.store.ping()),
    }
    wrong = {name: said for name, said in checks.items() if said != "ok"}
    if wrong:
        detail = " ".join(f"{name}: {said}" for name, said in wrong.items())
        return problem(request.scope, "unavailable", detail)
    return JSONResponse({"status": "ok", **({"checks": checks} if verbose is not None else {})})


@router.get("/version", operation_id="version", summary="Which version is it?")
async def version() -> dict[str, str]:
    return {"version": __version__, "python": ".".join(map(str, sys.version_info[:3])), "api": "v1"}


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="What it counted",
    response_class=Response,
    responses={
        **responses(),
        200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def metrics(parts: PartsOf) -> Response:
    try:
        raised = [alert for alert in await alerts(parts.store, today(parts)) if alert.open]
        for severity in SEVERITIES:
            count = sum(alert.severity == severity for alert in raised)
            parts.counters.put(ALERTS_OPEN, severity, value=count)
    except TransientError:
        # Metrics are wanted most when something is down; a stale number is worse than none.
        for severity in SEVERITIES:
            parts.counters.drop(ALERTS_OPEN, severity)
    return Response(parts.counters.text(), media_type=CONTENT_TYPE)


async def _check(asked: Awaitable[Any]) -> str:
    try:
        await asyncio.wait_for(asked, _PATIENCE)
    except TimeoutError:
        return f"no answer within {_PATIENCE:g} s."
    except TransientError as error:
        return str(error)
    return "ok"
