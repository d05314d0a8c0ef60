"""Request bodies in, the same bodies out: whole, at most 1 MB, of a content type we read, and really JSON."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.frame import API
from gateway.http.problems import problem

MAX_BODY_BYTES: Final = 1024 * 1024
NDJSON: Final = "application/x-ndjson"
_LINES: Final = ("/inputs", "/examples")
_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Body:
    """Reads the body before the route does.

    Python's own JSON reader takes NaN, Infinity and lone surrogates, which no database and no Kafka consumer after us
    can keep; a strict parse of at most 1 MB costs less than finding that out later.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _METHODS or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        body = await _read(receive, headers.get(b"content-length", b""))
        if body is None:
            await problem(scope, "too_large", "The body is longer than 1 MB.")(scope, receive, send)
            return
        media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        refusal = _refusal(body, media_type, scope["path"]) if body else None
        if refusal is not None:
            await problem(scope, *refusal)(scope, receive, send)
            return
        scope["state"]["body"] = body
        await self._app(scope, _replay(body, receive), send)


async def _read(receive: Receive, length: bytes) -> bytes | None:
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        return None
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _refusal(body: bytes, media_type: str, path: str) -> tuple[str, str] | None:
    if media_type == NDJSON and path.endswith(_LINES):
        return None  # the route reads it line by line and says which line is wrong
    if media_type != "application/json" and not media_type.endswith("+json"):
        kinds = f"application/json or {NDJSON}" if path.endswith(_LINES) else "application/json"
        return "unsupported_media_type", f"Send the body as {kinds}."
    try:
        msgspec.json.decode(body)
    except RecursionError:
        return "bad_request", "The body is nested too deeply."
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        return "bad_request", f"The body is not JSON: {error}."
    return None
