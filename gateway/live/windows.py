"""What the executors report in, second by second per app out: the charts' last ten minutes, totals and agreement."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final

import msgspec

from loopai.clock import Clock, iso
from loopai.records import Agreement, MetricsWindow

KEPT_SECONDS: Final = 600
FRESH_SECONDS: Final = 5.0
_SKEW: Final = 60.0
_KEPT_AGREEMENTS: Final = 600


class Second(msgspec.Struct, kw_only=True):
    """All executors of one app in one second. Percentiles: p50 is weighted by inputs, p95 and p99 are the worst."""

    second: int
    window_ms: int = 1000
    inputs: int = 0
    ok: int = 0
    abstained: int = 0
    failed: int = 0
    set_aside: int = 0
    sampled: int = 0
    p50_us: float | None = None
    p95_us: float | None = None
    p99_us: float | None = None
    oldest_waiting_s: float | None = None
    by_version: dict[str, int] = {}

    @property
    def at(self) -> str:
        return iso(self.second)

    @property
    def inputs_per_second(self) -> float:
        return self.inputs * 1000 / self.window_ms

    def add(self, window: MetricsWindow) -> None:
        if window.p50_us is not None:
            known = self.inputs if self.p50_us is not None else 0
            weight = max(window.inputs, 1)
            self.p50_us = ((self.p50_us or 0.0) * known + window.p50_us * weight) / (known + weight)
        self.p95_us = _worst(self.p95_us, window.p95_us)
        self.p99_us = _worst(self.p99_us, window.p99_us)
        self.oldest_waiting_s = _worst(self.oldest_waiting_s, window.oldest_waiting_s)
        self.window_ms = max(self.window_ms, window.window_ms)
        self.inputs += window.inputs
        self.ok += window.ok
        self.abstained += window.abstained
        self.failed += window.failed
        self.set_aside += window.set_aside
        self.sampled += window.sampled
        for version, inputs in window.by_version.items():
            self.by_version[version] = self.by_version.get(version, 0) + inputs


class Totals(msgspec.Struct, kw_only=True):
    """Sums since this gateway started."""

    since: str
    inputs: int = 0
    ok: int = 0
    abstained: int = 0
    failed: int = 0
    set_aside: int = 0
    sampled: int = 0


class Windows:
    """Bounded: ten minutes and 600 agreements per app."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = iso(clock.now())
        self._seconds: dict[str, deque[Second]] = {}
        self._totals: dict[str, Totals] = {}
        self._agreements: dict[str, deque[Agreement]] = {}
        self._newest: dict[tuple[str, str], Agreement] = {}

    def add_window(self, window: MetricsWindow) -> None:
        """Counts a window. Validators report on the same topic; their inputs are the executors' answers."""
        if window.source.startswith("validator"):
            return
        totals = self._totals.setdefault(window.app, Totals(since=self._since))
        for name in ("inputs", "ok", "abstained", "failed", "set_aside", "sampled"):
            setattr(totals, name, getattr(totals, name) + getattr(window, name))
        self._slot(window).add(window)

    def add_agreement(self, agreement: Agreement) -> None:
        self._agreements.setdefault(agreement.app, deque(maxlen=_KEPT_AGREEMENTS)).append(agreement)
        self._newest[agreement.app, agreement.variant] = agreement

    def totals(self, app: str) -> Totals:
        return self._totals.get(app) or Totals(since=self._since)

    def latest(self, app: str) -> Second | None:
        """The last second that every executor can have reported, or None when nothing came for a while."""
        now = self._clock.now()
        fresh = [s for s in self._seconds.get(app, ()) if s.second > now - FRESH_SECONDS]
        if not fresh:
            return None
        whole = [s for s in fresh if s.second < now - 2]
        return whole[-1] if whole else fresh[-1]

    def last(self, app: str, seconds: int) -> list[Second]:
        """The last `seconds` seconds, oldest first; silent seconds are absent."""
        now = self._clock.now()
        return [s for s in self._seconds.get(app, ()) if s.second >= now - seconds]

    def agreement(self, app: str, variant: str, version: int | None) -> Agreement | None:
        """The newest agreement of the version that is in this place now."""
        newest = self._newest.get((app, variant))
        return newest if newest is not None and newest.version == version else None

    def agreements(self, app: str) -> list[Agreement]:
        return list(self._agreements.get(app, ()))

    def _slot(self, window: MetricsWindow) -> Second:
        kept = self._seconds.setdefault(window.app, deque())
        second = int(self._start(window))
        for slot in reversed(kept):
            if slot.second == second:
                return slot
            if slot.second < second:
                break
        new = Second(second=second, by_version={})
        at = len(kept)
        while at and kept[at - 1].second > second:
            at -= 1
        kept.insert(at, new)
        while kept and kept[0].second < kept[-1].second - KEPT_SECONDS:
            kept.popleft()
        return new

    def _start(self, window: MetricsWindow) -> float:
        """When the window began, by its own stamp; by ours when its clock is far off."""
        now = self._clock.now()
        try:
            start = datetime.fromisoformat(window.window_start).timestamp()
        except ValueError:
            return now
        return start if abs(start - now) < _SKEW else now


def _worst(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)
