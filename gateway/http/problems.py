"""Errors in, `application/problem+json` (RFC 9457) out: one shape for every failure of the HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from loopai.errors import BudgetError, ConflictError, LoopaiError, NotFoundError, RecordError, TransientError

MEDIA_TYPE: Final = "application/problem+json"
DOCS: Final = "https://github.com/loopai/loopai/blob/main/docs/reference/http.md#"
RETRY_SECONDS: Final = 2


class Kind(NamedTuple):
    """A class of errors: its status and its title."""

    status: int
    title: str


KINDS: Final[dict[str, Kind]] = {
    "bad_request": Kind(400, "The request cannot be read"),
    "unauthorized": Kind(401, "An API key is needed"),
    "forbidden": Kind(403, "This site may not ask"),
    "not_found": Kind(404, "There is no such thing"),
    "method_not_allowed": Kind(405, "The method does not exist here"),
    "conflict": Kind(409, "The state forbids it"),
    "precondition_failed": Kind(412, "It was changed meanwhile"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_media_type": Kind(415, "The content type is not supported"),
    "invalid": Kind(422, "The request is not valid"),
    "idempotency_mismatch": Kind(422, "The idempotency key was used for another request"),
    "budget": Kind(429, "The budget is spent"),
    "internal": Kind(500, "Something went wrong here"),
    "unavailable": Kind(503, "Not available now"),
}

_BY_STATUS: Final = {kind.status: code for code, kind in reversed(KINDS.items())}


class Problem(Exception):
    """Raised by a route to answer with an error of `KINDS`."""

    def __init__(self, code: str, detail: str, *, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors


def problem(scope: Scope, code: str, detail: str, *, errors: Sequence[tuple[str, str]] = ()) -> Response:
    """The response. `errors` are JSON pointers into the body, with what is wrong there."""
    kind = KINDS[code]
    body = {
        "type": DOCS + code.replace("_", "-"),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": scope.get("path", ""),
        "code": code,
        "errors": [{"pointer": pointer, "detail": text} for pointer, text in errors],
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    headers = {"Cache-Control": "no-store"}
    if kind.status in (429, 503):
        headers["Retry-After"] = str(RETRY_SECONDS)
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), kind.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes every error that leaves a route a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(LoopaiError, _on_loopai_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What a route declares in OpenAPI. Every route may answer 400, 401, 403 and 503."""
    declared: dict[int | str, dict[str, Any]] = {}
    for code in ("bad_request", "unauthorized", "forbidden", "unavailable", *codes):
        kind = KINDS[code]
        declared[kind.status] = {
            "description": kind.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return dict(sorted(declared.items(), key=lambda item: int(item[0])))


PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string", "enum": list(KINDS)},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "request_id": {"type": "string"},
    },
}


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem(request.scope, error.code, error.detail, errors=error.errors)


async def _on_loopai_error(request: Request, error: Exception) -> Response:
    match error:
        case NotFoundError():
            code = "not_found"
        case ConflictError():
            code = "conflict"
        case BudgetError():
            code = "budget"
        case TransientError():
            code = "unavailable"
        case RecordError():
            code = "invalid"
        case _:
            raise error
    return problem(request.scope, code, str(error))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [(_pointer(one["loc"]), str(one["msg"])) for one in error.errors()]
    detail = f"{errors[0][0] or 'The body'}: {errors[0][1]}." if errors else "The request is not valid."
    return problem(request.scope, "invalid", detail, errors=errors)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    detail = error.detail
    if error.status_code in (404, 405):
        phrase = "There is nothing at" if error.status_code == 404 else f"{request.method} is not possible at"
        detail = f"{phrase} {request.url.path}."
    elif detail == HTTPStatus(error.status_code).phrase:
        detail = f"{KINDS[code].title}."
    answer = problem(request.scope, code, detail)
    answer.headers.update(error.headers or {})
    return answer


async def _on_bug(request: Request, _error: Exception) -> Response:
    # The exception goes on to the server, which logs it; the caller gets the id to ask for.
    return problem(request.scope, "internal", "This is a fault of the server; its log has the request id.")


def _pointer(location: Sequence[str | int]) -> str:
    """`("body", "labels", 0)` as `/labels/0`; other places keep their first word: `/query/limit`."""
    parts = list(location[1:] if location and location[0] == "body" else location)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
