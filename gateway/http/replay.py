"""A POST with an `Idempotency-Key` in; the first answer out, however often the request comes."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access import presented_key
from gateway.http.frame import API
from gateway.http.problems import problem
from loopai.clock import Clock
from loopai.errors import TransientError
from programs.store import Store

_KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")
_KEPT_HEADERS: Final = (b"content-type", b"location", b"etag")


class Replay:
    """Keeps answers that say the request was done (2xx); whoever got another answer may try again with the same key.

    A key belongs to the caller's API key, so nobody can read another's answers by guessing.
    """

    def __init__(self, app: ASGIApp, store: Store, clock: Clock) -> None:
        self._app = app
        self._store = store
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"idempotency-key")
        if given is None or scope["path"] == f"{API}/tickets":
            await self._app(scope, receive, send)
            return
        if _KEY.fullmatch(given) is None:
            refusal = problem(scope, "bad_request", "Idempotency-Key: 1 to 255 visible ASCII characters are needed.")
            await refusal(scope, receive, send)
            return
        caller = hashlib.sha256((presented_key(headers) or "").encode()).hexdigest()[:16]
        try:
            await self._once(f"{caller}:{given.decode()}", scope, receive, send)
        except TransientError as error:
            await problem(scope, "unavailable", str(error))(scope, receive, send)

    async def _once(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        asked = f"{scope['path']}?{scope['query_string'].decode('latin-1')}\n".encode() + scope["state"]["body"]
        body_hash = hashlib.sha256(asked).hexdigest()
        kept = await self._store.claim_key(key, body_hash, now=self._clock.now())
        if kept is None:
            await self._answer(key, scope, receive, send)
        elif kept.body_hash != body_hash:
            detail = "The Idempotency-Key was used for another request."
            await problem(scope, "idempotency_mismatch", detail)(scope, receive, send)
        elif kept.status == 0:
            detail = "A request with this Idempotency-Key is still running."
            await problem(scope, "conflict", detail)(scope, receive, send)
        else:
            headers = {**kept.headers, "Idempotency-Replayed": "true"}
            await Response(kept.response, kept.status, headers)(scope, receive, send)

    async def _answer(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        start: dict[str, Any] = {}
        body = bytearray()

        async def collect(message: Message) -> None:
            # The answer is kept before it is sent: a caller who saw it can rely on seeing it again.
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await self._keep(key, start, bytes(body))
                await send(start)
                await send({"type": "http.response.body", "body": bytes(body), "more_body": False})

        try:
            await self._app(scope, receive, collect)
        except BaseException:
            await self._store.release_key(key)
            raise

    async def _keep(self, key: str, start: dict[str, Any], body: bytes) -> None:
        if 200 <= start["status"] < 300:
            headers = {
                name.decode(): value.decode("latin-1") for name, value in start["headers"] if name in _KEPT_HEADERS
            }
            await self._store.keep_answer(key, status=start["status"], headers=headers, response=body)
        else:
            await self._store.release_key(key)
