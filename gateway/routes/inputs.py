"""Inputs over HTTP: published to the stream, or executed at once."""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request

from gateway.http.answers import IdsAnswer, ResultAnswer
from gateway.http.asked import AppId, PartsOf
from gateway.http.body import NDJSON
from gateway.http.lines import InputLine, read_lines
from gateway.http.problems import responses
from loopai.clock import iso
from loopai.errors import UnavailableError
from loopai.records import ExecutionResult
from streams.broker import Outgoing
from streams.cloudevents import event_headers
from streams.topics import INPUTS
from streams.tracing import sending

router = APIRouter(prefix="/loop-apps/{app}", tags=["Inputs"])

_INPUT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["input"],
    "additionalProperties": False,
    "properties": {
        "input": {"description": "The record, of the app's input schema."},
        "id": {"type": "string", "minLength": 1, "maxLength": 256},
        "key": {"type": "string", "minLength": 1, "maxLength": 256},
    },
}
_EXAMPLE: Final = {"input": {"text": "You won a prize, call now"}, "id": "sms-1"}


def _body(schema: dict[str, Any], *, lines: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": schema, "example": _EXAMPLE}}
    if lines:
        content[NDJSON] = {"schema": {"type": "string"}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/inputs",
    operation_id="inputs_send",
    summary="Send inputs to the stream",
    status_code=202,
    response_model=IdsAnswer,
    responses=responses("not_found", "conflict", "too_large", "unsupported_media_type", "invalid"),
    openapi_extra=_body({"anyOf": [_INPUT, {"type": "array", "items": _INPUT, "maxItems": 1000}]}, lines=True),
)
async def send(app: AppId, parts: PartsOf, request: Request) -> dict[str, list[str]]:
    await parts.store.get_app(app)
    lines = read_lines(request, InputLine)
    at = iso(parts.clock.now())
    ids, queued = [], []
    source = "/loopai/gateway"
    with sending(INPUTS.name) as traced:
        for line in lines:
            id = line.id or str(uuid.uuid4())
            headers = event_headers(id=id, type="io.loopai.input.received.v1", source=source, app=app, time=at)
            record = Outgoing((line.key or id).encode(), bytes(line.input), [*headers, *traced])
            queued.append(await parts.producer.send(INPUTS.name, record))
            ids.append(id)
        for acknowledged in queued:
            await acknowledged
    return {"ids": ids}


@router.post(
    "/execute",
    operation_id="inputs_execute",
    summary="Execute one input and wait for its answer",
    response_model=ResultAnswer,
    responses=responses("not_found", "conflict", "too_large", "unsupported_media_type", "invalid"),
    openapi_extra=_body(_INPUT, lines=False),
)
async def execute(app: AppId, parts: PartsOf, request: Request) -> ExecutionResult:
    await parts.store.get_app(app)
    line = read_lines(request, InputLine, limit=1)[0]
    results = await parts.given.execute(app, [bytes(line.input)])
    if not results:
        raise UnavailableError("Nothing executes here now.", next_step="Start an executor: loopai serve executor.")
    result = results[0]
    return result if line.id is None else msgspec.structs.replace(result, id=line.id)
