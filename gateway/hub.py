"""Events in, Socket.IO clients out: namespace `/live`, rooms, and a position so that nothing is missed.

A durable event is in the store before it comes here, and comes in the order of its sequence (`tail.py`). Subscribing
and emitting exclude each other: what a client is told as its gap ends exactly where its live events begin, and the
acknowledgement is queued before any of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

import socketio

from gateway.access import Access, presented_key
from gateway.counters import Counters
from gateway.live.envelope import Envelope, of_event, padded, plain_name, rooms
from gateway.live.listeners import Listeners
from gateway.live.pace import Audience, Pace
from gateway.live.requests import BadRequest, Position, Rates, asked_position, asked_rooms
from loopai.clock import Clock
from loopai.errors import TransientError
from loopai.records import Event
from loopai.telemetry import LIVE_CLIENTS, LIVE_RESYNCS
from programs.store import Store

NAMESPACE: Final = "/live"
MAX_MESSAGE_BYTES: Final = 16 * 1024
MAX_QUEUED: Final = 1_000
"""Packets that wait for one client before it counts as slow."""

_LARGEST_GAP: Final = 5_000
_NAMES: Final = "names:"
_log = logging.getLogger(__name__)

Answer = dict[str, Any]


class Hub:
    """The live side of one gateway. `cursor` is the sequence of the last durable event that was emitted."""

    def __init__(self, store: Store, access: Access, counters: Counters, clock: Clock) -> None:
        self.epoch = ""
        self.cursor = 0
        self.slow = 0
        self.listeners = Listeners()
        self.pace = Pace(self._deliver)
        self._store = store
        self._access = access
        self._counters = counters
        self._rates = Rates(clock)
        self._moving = asyncio.Lock()
        self.server = socketio.AsyncServer(
            async_mode="asgi",
            transports=["websocket"],
            cors_allowed_origins=lambda origin, environ: access.origin_is_allowed(origin, environ.get("HTTP_HOST")),
            max_http_buffer_size=MAX_MESSAGE_BYTES,
            ping_interval=20,
            ping_timeout=15,
            logger=False,
            engineio_logger=False,
        )
        for name, handler in {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "subscribe": self._subscribe,
            "join": self._join,
            "unsubscribe": self._unsubscribe,
        }.items():
            self.server.on(name, handler, namespace=NAMESPACE)

    @property
    def clients(self) -> int:
        return int(self._counters.get(LIVE_CLIENTS, NAMESPACE))

    @property
    def dropped(self) -> int:
        """Envelopes that nobody was shown, and listeners that were let go since they did not keep up."""
        return self.pace.dropped + self.listeners.dropped + self.slow

    async def start(self) -> None:
        """Live begins at the end of the log; what is before it is for those who ask."""
        self.epoch, self.cursor = await self._store.position()

    async def emit_logged(self, logged: Sequence[tuple[int, Event]]) -> None:
        """Shows durable events, in order, and moves the cursor past them."""
        async with self._moving:
            for sequence, event in logged:
                envelope = of_event(event, sequence, self.epoch)
                audience = rooms(event.type, event.app)
                self.listeners.tell(audience, envelope)
                await self._send("event", envelope, audience)
                await self._send_named(envelope, event.type, audience)
                self.cursor = sequence

    async def bye(self, reason: str) -> None:
        """Tells everybody to come back."""
        self.listeners.close()
        await self.server.emit("bye", {"reason": reason, "retry_after_ms": 500}, namespace=NAMESPACE)

    async def watch_queues(self) -> None:
        """Lets go clients that do not read: the library queues for them without a bound. Until cancelled."""
        while True:
            await asyncio.sleep(1)
            for eio_sid, socket in list(self.server.eio.sockets.items()):
                if socket.queue.qsize() > MAX_QUEUED:
                    self.slow += 1
                    _cut(self.server.environ.get(eio_sid, {}))

    async def _deliver(self, audience: Audience, envelopes: list[Envelope]) -> None:
        for envelope in envelopes:
            self.listeners.tell(audience, envelope)
        if len(envelopes) == 1:
            await self._send("event", envelopes[0], audience)
        else:
            await self._send("batch", envelopes, audience)
        for envelope in envelopes:
            await self._send_named(envelope, envelope["type"].removeprefix("io.loopai.").removesuffix(".v1"), audience)

    async def _send_named(self, envelope: Envelope, type: str, audience: Audience) -> None:
        name = plain_name(type)
        if name is not None:
            await self._send(name, envelope, [_NAMES + room for room in audience])

    async def _send(self, name: str, payload: Any, audience: Iterable[str]) -> None:
        """The seam of the broadcast path. The library encodes once and gives a client in several rooms one copy."""
        present = self.server.manager.rooms.get(NAMESPACE, {})
        somewhere = [room for room in audience if room in present]
        if somewhere:
            await self.server.emit(name, payload, room=somewhere, namespace=NAMESPACE)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        if not self._may_connect(environ, auth):
            raise socketio.exceptions.ConnectionRefusedError("A valid ticket or API key is needed.")
        self._counters.put(LIVE_CLIENTS, NAMESPACE, value=self.clients + 1)

    def _may_connect(self, environ: dict[str, Any], auth: Any) -> bool:
        if not self._access.required:
            return True
        given = auth if isinstance(auth, dict) else {}
        ticket, key = given.get("ticket"), given.get("api_key")
        if isinstance(ticket, str):
            return self._access.ticket_is_valid(ticket)
        if not isinstance(key, str):
            key = presented_key(dict(environ.get("asgi.scope", {}).get("headers", ())))
        return self._access.key_is_valid(key)

    async def _disconnect(self, sid: str, _reason: str) -> None:
        self._rates.forget(sid)
        self._counters.put(LIVE_CLIENTS, NAMESPACE, value=max(self.clients - 1, 0))

    async def _subscribe(self, sid: str, asked: Any = None) -> Answer:
        try:
            self._rates.count(sid)
            wanted, position = asked_rooms(asked), asked_position(asked)
            return await self._enter(sid, wanted, position)
        except BadRequest as error:
            return error.answer()
        except TransientError as error:
            return BadRequest("unavailable", str(error)).answer()

    async def _join(self, sid: str, asked: Any = None) -> Answer:
        try:
            self._rates.count(sid)
            wanted = asked_rooms(asked)
            await self._enter(sid, wanted, Position(None, None, True))
        except BadRequest as error:
            return error.answer()
        return {"rooms": list(wanted)}

    async def _unsubscribe(self, sid: str, asked: Any = None) -> Answer:
        try:
            self._rates.count(sid)
            wanted = asked_rooms(asked)
        except BadRequest as error:
            return error.answer()
        for room in wanted:
            await self.server.leave_room(sid, room, namespace=NAMESPACE)
            await self.server.leave_room(sid, _NAMES + room, namespace=NAMESPACE)
        return {"rooms": list(wanted)}

    async def _enter(self, sid: str, wanted: Sequence[str], position: Position) -> Answer:
        mine = [room for room in self.server.rooms(sid, namespace=NAMESPACE) if not room.startswith(_NAMES)]
        if len({*mine, *wanted}) > Rates.ROOMS + 1:  # each client is also in a room of its own
            raise BadRequest("too_many_rooms", f"A client may be in {Rates.ROOMS} rooms.")
        after = position.after
        gap: list[tuple[int, Event]] = []
        reset = after is not None and not await self._is_ours(position.epoch, after)
        if after is not None and not reset:
            gap = await self.gap(after, self.cursor, wanted)
            reset = len(gap) > _LARGEST_GAP
        async with self._moving:
            seen = gap[-1][0] if gap else (after or 0)
            if after is not None and not reset and seen < self.cursor:
                # Little can have come since; the long read was done without holding up the others.
                gap += await self.gap(seen, self.cursor, wanted)
            for room in wanted:
                await self.server.enter_room(sid, room, namespace=NAMESPACE)
                if position.names:
                    await self.server.enter_room(sid, _NAMES + room, namespace=NAMESPACE)
            if after is not None:
                self._counters.add(LIVE_RESYNCS, "reset" if reset else "gap")
            events = [] if reset else [of_event(event, sequence, self.epoch) for sequence, event in gap]
            return {"epoch": self.epoch, "seq": padded(self.cursor), "reset": reset, "events": events}

    async def gap(self, after: int, until: int, wanted: Sequence[str]) -> list[tuple[int, Event]]:
        """Durable events of these rooms with `after` < sequence <= `until`; one more than the largest gap at most."""
        everything = "loops" in wanted
        found: list[tuple[int, Event]] = []
        while after < until and len(found) <= _LARGEST_GAP:
            page = await self._store.events_after(after, limit=1_000, rooms=None if everything else wanted)
            found += [(sequence, event) for sequence, event in page if sequence <= until]
            if len(page) < 1_000:
                break
            after = page[-1][0]
        return found

    async def _is_ours(self, epoch: str | None, after: int) -> bool:
        if epoch != self.epoch:
            return False
        # Another gateway may have shown this client more than our tail has read; only the store knows the end.
        return after <= self.cursor or after <= (await self._store.position())[1]


def _cut(environ: dict[str, Any]) -> None:
    """Ends a connection that does not read; a polite close would wait behind what it does not read."""
    protocol = getattr(environ.get("asgi.send"), "__self__", None)
    transport = getattr(protocol, "transport", None)
    if transport is not None:
        transport.abort()
    else:
        _log.warning("a slow client could not be cut off", extra={"protocol": type(protocol).__name__})
