"""Counts of what an executor did, as plain integers; flushed each second as one window per app.

A metrics call a record would cost more than the record (4 µs by OpenTelemetry), so nothing here is one.
"""

from __future__ import annotations

from array import array
from collections import Counter

from loopai.clock import Clock, iso
from loopai.records import MetricsWindow

KEPT = 4_096
"""Latencies kept a window: the first ones of each window, a job each, weighted by its records."""


class AppMeter:
    """One app's counts since the last flush. `latencies` holds a job's microseconds, once per 16 of its records."""

    __slots__ = ("abstained", "by_version", "failed", "inputs", "latencies", "ok", "oldest_ms", "sampled", "set_aside")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.inputs = self.ok = self.abstained = self.failed = self.sampled = self.set_aside = 0
        self.oldest_ms = 0.0
        self.latencies = array("d")
        self.by_version: dict[str, int] = {}

    def timed(self, microseconds: float, records: int) -> None:
        """A job of so many records took so long from being read to being answered."""
        room = KEPT - len(self.latencies)
        if room > 0:
            self.latencies.extend([microseconds] * min(room, 1 + records // 16))


class Meter:
    """All apps' counts of one process."""

    def __init__(self, source: str, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._apps: dict[str, AppMeter] = {}
        self._since = clock.now()
        self._from = clock.monotonic()
        self.totals: Counter[tuple[str, str]] = Counter()
        """Inputs by app and how they ended, up to the last flush."""
        self.sampled: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        """By reason."""
        self.oldest_seconds: dict[str, float] = {}

    def app(self, app: str) -> AppMeter:
        """The counts of an app."""
        meter = self._apps.get(app)
        if meter is None:
            meter = self._apps[app] = AppMeter()
        return meter

    def flush(self) -> list[MetricsWindow]:
        """The window since the last flush, for each app that did something; the counts start again."""
        now, since = self._clock.monotonic(), self._since
        elapsed_ms = max(1, int((now - self._from) * 1000))
        self._from, self._since = now, self._clock.now()
        windows = []
        for app, m in self._apps.items():
            if m.inputs or m.set_aside:
                p50, p95, p99 = quantiles(m.latencies)
                windows.append(
                    MetricsWindow(
                        app=app,
                        source=self._source,
                        window_start=iso(since),
                        window_ms=elapsed_ms,
                        inputs=m.inputs,
                        ok=m.ok,
                        abstained=m.abstained,
                        failed=m.failed,
                        set_aside=m.set_aside,
                        sampled=m.sampled,
                        p50_us=p50,
                        p95_us=p95,
                        p99_us=p99,
                        oldest_waiting_s=m.oldest_ms / 1000,
                        by_version=m.by_version,
                    )
                )
                self._add(windows[-1])
                m.clear()
            else:
                self.oldest_seconds[app] = 0.0
        return windows

    def _add(self, window: MetricsWindow) -> None:
        app = window.app
        self.totals[app, "ok"] += window.ok
        self.totals[app, "abstained"] += window.abstained
        self.totals[app, "failed"] += window.failed
        self.totals[app, "set_aside"] += window.set_aside
        self.sampled[app] += window.sampled
        self.oldest_seconds[app] = window.oldest_waiting_s or 0.0


def quantiles(values: array[float]) -> tuple[float | None, float | None, float | None]:
    """The 50th, 95th and 99th percentile by nearest rank; None when there is nothing."""
    if not values:
        return None, None, None
    ordered = sorted(values)
    last = len(ordered) - 1
    p50, p95, p99 = (round(ordered[round(q * last)], 1) for q in (0.50, 0.95, 0.99))
    return p50, p95, p99
