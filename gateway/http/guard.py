"""At the door of HTTP and WebSocket alike: the host that was asked, the site that asks, and the key."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access import Access, presented_key
from gateway.http.problems import problem

_LOCKED: Final = ("/api/", "/metrics")


class Guard:
    """Refuses before anything is read or parsed. The socket's own key is checked when its namespace is joined."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await problem(scope, *refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[str, str] | None:
        headers = dict(scope["headers"])
        host = _text(headers.get(b"host"))
        if not self._access.host_is_allowed(host):
            return "forbidden", f"This gateway does not answer for the host {host!r}."
        if not self._access.origin_is_allowed(_text(headers.get(b"origin")), host):
            return (
                "forbidden",
                "Pages of this origin may not ask; LOOPAI_GATEWAY__ALLOWED_ORIGINS lists those that may.",
            )
        locked = scope["type"] == "http" and scope["path"].startswith(_LOCKED)
        if locked and not self._access.key_is_valid(presented_key(headers)):
            return "unauthorized", "Send a key as Authorization: Bearer KEY or X-API-Key: KEY."
        return None


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
