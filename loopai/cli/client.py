"""The command line's way to a gateway: plain calls over HTTP, errors in our own words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2

from loopai.errors import ConfigurationError, ConflictError, LoopaiError, NotFoundError, UnavailableError

DEFAULT_URL = "http://127.0.0.1:8080"


class GatewayClient:
    """Speaks to the gateway at `LOOPAI_URL`, with the key in `LOOPAI_API_KEY` when there is one."""

    def __init__(self, url: str | None = None, timeout: float = 30.0) -> None:
        self.url = (url or os.environ.get("LOOPAI_URL") or DEFAULT_URL).rstrip("/")
        key = os.environ.get("LOOPAI_API_KEY", "")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=self.url, timeout=timeout, headers=headers)

    def close(self) -> None:
        """Lets the connections go."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """The decoded body of a GET under /api/v1."""
        return self._call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """The decoded body of a POST under /api/v1. The key makes a repeated call harmless."""
        return self._call("POST", path, json=body if body is not None else {}, idempotency=uuid4().hex)

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """The items of every page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **params)
            if isinstance(page, list):
                yield from page
                return
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def wait_for_run(self, run: str, timeout: float, seen: Any) -> dict[str, Any]:
        """Follows a run to its end; `seen(progress, step)` is called on the way."""
        end = time.monotonic() + timeout
        while True:
            state: dict[str, Any] = self.get(f"/runs/{run}")
            seen(state.get("progress", 0.0), state.get("step", ""))
            if state["state"] in ("succeeded", "failed", "cancelled"):
                return state
            if time.monotonic() > end:
                raise UnavailableError(
                    f"The run {run} is still {state['state']} after {timeout:.0f} s.",
                    next_step="Look again with `loopai program list`, or wait longer with --timeout.",
                )
            time.sleep(0.2)

    def _call(self, method: str, path: str, *, idempotency: str | None = None, **options: Any) -> Any:
        headers = {"idempotency-key": idempotency} if idempotency else None
        try:
            response = self._http.request(method, "/api/v1" + path, headers=headers, **options)
        except httpx2.InvalidURL as error:
            raise ConfigurationError(f"LOOPAI_URL is not an address: {error}.") from None
        except httpx2.HTTPError as error:
            raise UnavailableError(
                f"No gateway answers at {self.url}: {type(error).__name__}.",
                next_step="Start one with `loopai demo` or `loopai serve all`, or set LOOPAI_URL.",
            ) from None
        if response.is_success:
            return response.json() if response.content else None
        raise _problem(response)


def _problem(response: httpx2.Response) -> LoopaiError:
    """The problem+json of an answer as the error of its class."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    detail = body.get("detail") or body.get("title") or f"The gateway answered {response.status_code}."
    pointers = "; ".join(f"{e.get('pointer')}: {e.get('detail')}" for e in body.get("errors") or [])
    message = f"{detail} {pointers}".strip()
    if response.status_code == 404:
        return NotFoundError(message)
    if response.status_code in (409, 412):
        return ConflictError(message)
    if response.status_code in (429, 503):
        return UnavailableError(message)
    if response.status_code in (401, 403):
        return ConfigurationError(message, next_step="Set LOOPAI_API_KEY.")
    if response.status_code in (400, 413, 415, 422):
        return ConfigurationError(message)
    return LoopaiError(message)
