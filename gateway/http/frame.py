"""Around every request: its id, the security headers of every answer, the count of answers, and the old name's path."""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.counters import Counters
from loopai.telemetry import HTTP_REQUESTS

API: Final = "/api/v1"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OLD: Final = re.compile(r"/api/v1/tasks(?=/|$)")
_DEPRECATED_SINCE: Final = "@1767225600"  # RFC 9745: a date as seconds since the epoch, here 2026-01-01
_log = logging.getLogger(__name__)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class Frame:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        new_path, renamed = _OLD.subn(f"{API}/loop-apps", scope["path"])
        if renamed:
            scope["path"] = new_path
            scope["raw_path"] = new_path.encode()
        status = 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
                if renamed:
                    headers["Deprecation"] = _DEPRECATED_SINCE
                    headers["Link"] = f'<{new_path}>; rel="successor-version"'
            await send(message)

        try:
            await self._app(scope, receive, framed)
        except Exception:
            if status == 0:
                raise
            # It was answered with a 500 that names the request; the log gets the same name, and the error only once.
            _log.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
        finally:
            self._counters.add(HTTP_REQUESTS, _route(scope, status), scope["method"], str(status))


def _route(scope: Scope, status: int) -> str:
    """The route's template: the path itself would be a series for every app and every guess."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "page" if 0 < status < 400 else "unmatched"
    return f"{API}{path}" if scope["path"].startswith(f"{API}/") else str(path)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return secrets.token_hex(8)
