"""The live stream over plain HTTP: the overview to start from, server-sent events, and tickets for the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from gateway.http.answers import OverviewAnswer, TicketAnswer
from gateway.http.asked import PartsOf
from gateway.http.problems import Problem, responses
from gateway.live.envelope import Envelope, of_event
from gateway.live.listeners import Listener
from gateway.live.requests import BadRequest, as_sequence, asked_rooms
from gateway.parts import Parts
from gateway.status import overview_of

router = APIRouter()
_LARGEST_GAP: Final = 5_000


@router.get(
    "/overview",
    tags=["System"],
    operation_id="overview_get",
    summary="Read everything the first screen needs",
    response_model=OverviewAnswer,
    responses=responses(),
)
async def overview(parts: PartsOf) -> OverviewAnswer:
    return await overview_of(parts)


@router.post(
    "/tickets",
    tags=["System"],
    operation_id="tickets_create",
    summary="Trade the key for a ticket for the socket",
    status_code=201,
    response_model=TicketAnswer,
    responses=responses(),
)
async def ticket(parts: PartsOf) -> dict[str, str]:
    text, expires_at = parts.access.make_ticket()
    return {"ticket": text, "expires_at": expires_at}


@router.get(
    "/stream",
    tags=["Events"],
    operation_id="events_stream",
    summary="Follow the live stream as server-sent events",
    response_class=StreamingResponse,
    responses={
        **responses("invalid"),
        200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
)
async def stream(
    parts: PartsOf,
    room: Annotated[list[str] | None, Query(max_length=50)] = None,
    last_event_id: Annotated[str | None, Header(description="`EPOCH:SEQUENCE` of the last event.")] = None,
) -> StreamingResponse:
    try:
        rooms = asked_rooms(room or ["loops"])
        epoch, _, after = (last_event_id or "").partition(":")
        position = None if last_event_id is None else as_sequence(after)
    except BadRequest as error:
        raise Problem("invalid", error.detail, errors=[("/query/room", error.detail)]) from None
    # Listening begins before the gap is read: what comes meanwhile waits, and what is in both is left out once.
    listener = parts.hub.listeners.add(rooms)
    frames = _frames(parts, listener, rooms, epoch, position)
    return StreamingResponse(frames, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _frames(
    parts: Parts, listener: Listener, rooms: tuple[str, ...], epoch: str, after: int | None
) -> AsyncIterator[bytes]:
    try:
        yield b": connected\n\n"
        shown = 0
        if after is not None:
            gap = [] if epoch != parts.hub.epoch else await parts.hub.gap(after, parts.hub.cursor, rooms)
            if epoch != parts.hub.epoch or len(gap) > _LARGEST_GAP:
                yield b"event: reset\ndata: {}\n\n"
            else:
                for sequence, event in gap:
                    shown = sequence
                    yield _frame(of_event(event, sequence, epoch))
        while (envelope := await listener.next()) is not None:
            if int(envelope.get("sequence", shown + 1)) > shown:
                yield _frame(envelope)
        yield b"event: bye\ndata: {}\n\n"
    finally:
        parts.hub.listeners.remove(listener)


def _frame(envelope: Envelope) -> bytes:
    lines: list[Any] = [b"event: " + envelope["type"].encode()]
    if "sequence" in envelope:
        lines.append(f"id: {envelope['epoch']}:{envelope['sequence']}".encode())
    lines.append(b"data: " + msgspec.json.encode(envelope))
    return b"\n".join(lines) + b"\n\n"
