"""The durable log of events: events in, numbered without a hole; events after a position out.

Positions are given under the lock of one counter row that is held until the commit. So a lower sequence is never
committed after a higher one, and a reader who saw n has seen everything up to n. (A database sequence gives neither:
it leaves holes, and lets a later number become visible first.)
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, or_, select, update

from loopai.events import CATALOGUE, room_of
from loopai.records import Event
from programs.store.rows import CHUNK, Rows, row_key, to_text
from programs.store.tables import counters, events

_EVENT = msgspec.json.Decoder(Event)
_NAME = "events"
_LOOP = "loop/"


class Events(Rows):
    """`loop/{app}` holds every event about the app; the other rooms hold what the catalogue says."""

    async def append_events(self, new: Sequence[Event]) -> list[int]:
        """The sequence of each event: the next one, or the one it already has when its id is known."""
        if not new:
            return []
        keys = [row_key(event.id) for event in new]
        async with self.writing() as connection:
            # Writing the row, even unchanged, is what locks it on both databases.
            lock = update(counters).where(counters.c.name == _NAME).values(value=counters.c.value)
            last = int(await connection.scalar(lock.returning(counters.c.value)) or 0)
            known: dict[str, int] = {}
            for start in range(0, len(keys), CHUNK):
                wanted = events.c.id.in_(keys[start : start + CHUNK])
                rows = await connection.execute(select(events.c.id, events.c.sequence).where(wanted))
                known.update((row.id, int(row.sequence)) for row in rows)
            fresh = []
            for key, event in zip(keys, new, strict=True):
                if key not in known:
                    last += 1
                    known[key] = last
                    room = room_of(event.type, event.app) if event.type in CATALOGUE else _LOOP + event.app
                    fresh.append(
                        {
                            "sequence": last,
                            "id": key,
                            "app": row_key(event.app),
                            "type": row_key(event.type),
                            "room": row_key(room),
                            "body": to_text(event),
                        }
                    )
            if fresh:
                await connection.execute(events.insert(), fresh)
                await connection.execute(update(counters).where(counters.c.name == _NAME).values(value=last))
        return [known[key] for key in keys]

    async def events_after(
        self, sequence: int, *, limit: int = 500, rooms: Sequence[str] | None = None
    ) -> list[tuple[int, Event]]:
        """Events past a position, oldest first, of these rooms or of all."""
        statement = select(events.c.sequence, events.c.body).where(events.c.sequence > sequence)
        if rooms is not None:
            statement = statement.where(_in_rooms(rooms))
        async with self.reading() as connection:
            rows = await connection.execute(statement.order_by(events.c.sequence).limit(limit))
            return [(int(row.sequence), _EVENT.decode(row.body)) for row in rows]

    async def latest_events(
        self, *, app: str | None = None, types: Sequence[str] | None = None, before: int | None = None, limit: int = 50
    ) -> list[tuple[int, Event]]:
        """Events, newest first; `before` is a sequence that is not included."""
        statement = select(events.c.sequence, events.c.body)
        if app is not None:
            statement = statement.where(events.c.app == row_key(app))
        if types is not None:
            statement = statement.where(events.c.type.in_(types))
        if before is not None:
            statement = statement.where(events.c.sequence < before)
        async with self.reading() as connection:
            rows = await connection.execute(statement.order_by(events.c.sequence.desc()).limit(limit))
            return [(int(row.sequence), _EVENT.decode(row.body)) for row in rows]

    async def epoch(self) -> str:
        """Made once with the store: positions of another epoch mean nothing here."""
        return (await self.position())[0]

    async def position(self) -> tuple[str, int]:
        """The epoch and the sequence of the last event, 0 when there is none."""
        wanted = counters.c.name == _NAME
        async with self.reading() as connection:
            row = (await connection.execute(select(counters.c.epoch, counters.c.value).where(wanted))).one()
        return str(row.epoch), int(row.value)


def _in_rooms(rooms: Sequence[str]) -> ColumnElement[bool]:
    apps = [room.removeprefix(_LOOP) for room in rooms if room.startswith(_LOOP)]
    return or_(events.c.room.in_(rooms), events.c.app.in_(apps))
