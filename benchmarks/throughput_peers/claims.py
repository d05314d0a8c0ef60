"""Turns in, rows and claims out: medians, ratios and what the issue promised. Pure: no clock, no process, no file."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.throughput_peers.meter import Found
from benchmarks.throughput_peers.subjects import Subject

Row = dict[str, Any]
Rows = Mapping[str, Row]

RATES = (5_000, 20_000)


def median(values: Iterable[float | None]) -> float | None:
    """The median of what was measured, or None when nothing was."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratio(one: float | None, other: float | None) -> float | None:
    """one / other, where both were measured and the other is more than nothing."""
    return one / other if one is not None and other else None


def row(subject: Subject, version: str, throughput: Sequence[Found], latency: Sequence[Found]) -> Row:
    """All turns of one subject as one row. A turn that failed is named and takes no part in a median."""
    good = [turn for turn in throughput if not turn.trouble]
    steady = [turn for turn in latency if not turn.trouble]
    made: Row = {
        "name": subject.name,
        "title": subject.title,
        "kind": subject.kind,
        "framework": subject.framework,
        "promise": subject.promise,
        "version": version,
        "rate": median(turn.rate for turn in good),
        "rates": [round(turn.rate) for turn in good if turn.rate is not None],
        "cpu_s_per_million": median(turn.cpu for turn in good),
        "broker_cpu_s_per_million": median(turn.broker_cpu for turn in good),
        "rss_mb": max((turn.resident for turn in good), default=None),
        "pss_mb": max((turn.proportional for turn in good), default=None),
        "verified": next((turn.verified for turn in good if turn.verified), {}),
        "trouble": "; ".join(sorted({turn.trouble for turn in (*throughput, *latency) if turn.trouble})),
    }
    for rate in RATES:
        # The median only over turns that kept the rate; a rate that most turns did not keep was not kept.
        kept = [turn.latency[rate] for turn in steady if rate in turn.latency]
        held = 2 * len(kept) > len(latency) > 0
        made[f"p50_ms_{rate}"] = median(p50 for p50, _ in kept) if held else None
        made[f"p99_ms_{rate}"] = median(p99 for _, p99 in kept) if held else None
        made[f"kept_{rate}"] = held if latency else None
    return made


def best(rows: Rows, wanted: Callable[[Row], bool]) -> Row | None:
    """The fastest of those that are wanted and were measured."""
    found = [r for r in rows.values() if wanted(r) and r["rate"] is not None]
    return max(found, key=lambda r: float(r["rate"]), default=None)


def claims(rows: Rows, *, tolerance: float = 0.0) -> list[dict[str, Any]]:
    """What the issue promised, with what was measured.

    `tolerance` widens each bar by that share, for short runs. What could not be measured does not hold.
    """
    framework = best(rows, lambda r: bool(r["framework"]))
    faststream = best(rows, lambda r: r["name"] in ("faststream", "faststream-batch", "faststream-ack"))

    def rate(name: str) -> float | None:
        return rows[name]["rate"] if name in rows else None

    def of(row: Row | None) -> float | None:
        return row["rate"] if row else None

    ours, exactly_once = rate("ours"), rate("ours-eo")
    named = f" ({framework['title']})" if framework else ""
    least = [
        ("at least once, one executor with its worker", ours, 200_000, "records/s"),
        (f"of the best Python framework{named}", ratio(ours, of(framework)), 1.6, "x"),
        ("of Quix Streams", ratio(ours, rate("quix")), 2.5, "x"),
        ("of FastStream's best", ratio(ours, of(faststream)), 3.0, "x"),
        ("of FastStream's usual form", ratio(ours, rate("faststream")), 50.0, "x"),
        ("of Go with franz-go, unjailed", ratio(ours, rate("go")), 0.65, "x"),
        ("two executors, of one", ratio(rate("ours-2"), ours), 1.5, "x"),
        ("exactly once, of at least once", ratio(exactly_once, ours), 0.6, "x"),
        ("exactly once, of Quix's", ratio(exactly_once, rate("quix-eo")), 2.0, "x"),
    ]
    made = [_claim(name, value, bar, unit, tolerance, least=True) for name, value, bar, unit in least]
    for at in RATES:
        for quantile, bar in (("p50", 4.0), ("p99", 12.0)):
            value = rows["ours"][f"{quantile}_ms_{at}"] if "ours" in rows else None
            made.append(_claim(f"end to end at {at:,}/s, {quantile}", value, bar, "ms", tolerance, least=False))
    return made


def _claim(
    name: str, measured: float | None, bar: float, unit: str, tolerance: float, *, least: bool
) -> dict[str, Any]:
    wide = bar * (1 - tolerance) if least else bar * (1 + tolerance)
    holds = measured is not None and (measured >= wide if least else measured <= wide)
    return {
        "name": name,
        "measured": None if measured is None else round(measured, 3),
        "bar": bar,
        "at": "least" if least else "most",
        "tolerance": tolerance,
        "unit": unit,
        "holds": holds,
    }
