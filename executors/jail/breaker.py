"""Kills and good answers in; whether a program may be tried now, out. Pure: time is passed in.

A level rises by one with each kill and falls by one with each hundred good answers: a program that fails on fewer than
one record in a hundred never opens it, one that fails on all opens it after `max_kills`. Open, it answers for the
program; after a pause it lets a trial through, and each trial that fails doubles the pause.
"""

from __future__ import annotations

from executors.jail.limits import Limits

_GOOD_PER_KILL = 100
_LONGEST_SECONDS = 60.0


class Breaker:
    """One program's. `seconds` arguments are of one monotonic clock."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_kills
        self._first_pause = limits.breaker_seconds
        self._pause = limits.breaker_seconds
        self._level = 0.0
        self._open_until: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until the program may be tried; 0 when it may be now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)

    @property
    def on_trial(self) -> bool:
        """Whether the next records are a trial: it opened, and nothing good has come since."""
        return self._open_until is not None

    def good(self, answers: int) -> None:
        """`answers` records were answered without a kill."""
        if self._open_until is not None:
            self._open_until, self._pause, self._level = None, self._first_pause, 0.0
        elif self._level:
            self._level = max(0.0, self._level - answers / _GOOD_PER_KILL)

    def kill(self, now: float) -> None:
        """One record was killed or timed out."""
        self._level += 1
        if self._open_until is not None or self._level >= self._most:
            self.trip(now)

    def trip(self, now: float) -> None:
        """Open now, whatever the level."""
        if self._open_until is not None:
            self._pause = min(2 * self._pause, max(_LONGEST_SECONDS, self._first_pause))
        self._open_until = now + self._pause
