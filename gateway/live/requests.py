"""What a Socket.IO client asks for, checked: anything at all in, rooms and a position out, or a `BadRequest`."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final, NamedTuple

from loopai.apps import APP_ID
from loopai.clock import Clock

_ROOM: Final = re.compile(r"(?:loop|rollout)/(?P<app>.+)|alerts|loops|system")
_DIGITS: Final = re.compile(r"[0-9]{1,20}")


class BadRequest(Exception):
    """Answered in the acknowledgement; the connection goes on."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail

    def answer(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "detail": self.detail}}


class Position(NamedTuple):
    """Where a client was; `after` None asks for no gap. `names` asks for the three plain event names too."""

    epoch: str | None
    after: int | None
    names: bool


class Rates:
    """How much one client may ask: twenty requests a second, fifty rooms."""

    ROOMS: ClassVar[int] = 50
    PER_SECOND: ClassVar[int] = 20

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[str, tuple[int, int]] = {}

    def count(self, sid: str) -> None:
        """Raises `BadRequest` past the limit."""
        second = int(self._clock.monotonic())
        last, asked = self._asked.get(sid, (second, 0))
        asked = asked + 1 if last == second else 1
        self._asked[sid] = (second, asked)
        if asked > self.PER_SECOND:
            raise BadRequest("rate_limited", f"At most {self.PER_SECOND} requests a second.")

    def forget(self, sid: str) -> None:
        self._asked.pop(sid, None)


def asked_rooms(asked: Any) -> tuple[str, ...]:
    """The rooms in `{"rooms": [...]}`, a list, or one name."""
    named = asked.get("rooms") if isinstance(asked, dict) else asked
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, list) or not named:
        raise BadRequest("invalid", "rooms: a list of room names is needed.")
    if len(named) > Rates.ROOMS:
        raise BadRequest("too_many_rooms", f"A client may be in {Rates.ROOMS} rooms.")
    for room in named:
        if not isinstance(room, str) or not is_room(room):
            raise BadRequest(
                "unknown_room", f"{str(room)[:80]!r} is no room: loop/APP, rollout/APP, alerts, loops or system."
            )
    return tuple(dict.fromkeys(named))


def is_room(name: str) -> bool:
    """Whether this is the name of a room."""
    match = _ROOM.fullmatch(name)
    return match is not None and (match["app"] is None or APP_ID.fullmatch(match["app"]) is not None)


def asked_position(asked: Any) -> Position:
    """The position in `{"epoch": ..., "after": ..., "names": ...}`; all three may be absent."""
    if not isinstance(asked, dict):
        return Position(None, None, True)
    epoch, after, names = asked.get("epoch"), asked.get("after"), asked.get("names", True)
    if epoch is not None and not isinstance(epoch, str):
        raise BadRequest("invalid", "epoch: text is needed.")
    if not isinstance(names, bool):
        raise BadRequest("invalid", "names: true or false is needed.")
    return Position(epoch, None if after is None else as_sequence(after), names)


def as_sequence(after: Any) -> int:
    """A sequence given as a number or as digits."""
    if isinstance(after, str) and _DIGITS.fullmatch(after):
        after = int(after)
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after < 2**63:
        raise BadRequest("invalid", "after: a sequence is needed.")
    return after
