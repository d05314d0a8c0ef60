"""What most routes ask of a request: the gateway's parts, who asks, and which page of a list."""

from __future__ import annotations

import hashlib
from typing import Annotated, NamedTuple, cast

from fastapi import Depends, Path, Query, Request, Response

from gateway.access import presented_key
from gateway.http.problems import Problem
from gateway.parts import Parts
from loopai.clock import iso


def _parts(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


def _actor(request: Request) -> str:
    """A name for the audit that is not the key itself."""
    key = presented_key(dict(request.scope["headers"]))
    if key is None or not _parts(request).access.required:
        return "local"
    return "key:" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:8]


class Paging(NamedTuple):
    """Which page of a list."""

    limit: int
    cursor: str | None


def _paging(
    limit: Annotated[int, Query(ge=1, le=200, description="Items a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")] = None,
) -> Paging:
    return Paging(limit, cursor)


PartsOf = Annotated[Parts, Depends(_parts)]
Actor = Annotated[str, Depends(_actor)]
PageOf = Annotated[Paging, Depends(_paging)]
AppId = Annotated[str, Path(description="The app's id.", examples=["spam-filter"])]
Version = Annotated[int, Path(ge=1, lt=2**31, description="The program's version.")]


def number(cursor: str | None) -> int | None:
    """A cursor that is a number; other text is a 422."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Problem("invalid", "cursor: not one of ours.", errors=[("/query/cursor", "not one of ours")])
    return int(cursor)


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """`Link: <...>; rel="next"` while there is a next page."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'


def today(parts: Parts) -> str:
    """The UTC day, `YYYY-MM-DD`, by which budgets are counted."""
    return iso(parts.clock.now())[:10]
