"""Rows and claims in, text out: the table that is printed, and the section of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.throughput_peers.claims import RATES, Row, ratio

BEGIN, END = "<!-- begin: benchmarks.throughput -->", "<!-- end: benchmarks.throughput -->"
HEAD = (
    "", "promises", "records/s", "ours is", "client CPU s/M", "broker CPU s/M", "RSS MB", "PSS MB",
    *(f"p50 / p99 ms at {rate:,}/s" for rate in RATES),
)  # fmt: skip


def cells(row: Row, ours: float | None) -> list[str]:
    """One line of the table. Why a row has no figure stands below it."""
    title = f"{row['title']} {row['version']}".strip()
    if row["rate"] is None:
        return [title, row["promise"], "none, see below", *[""] * (len(HEAD) - 3)]
    times = ratio(ours, row["rate"])
    return [
        title,
        row["promise"],
        f"{row['rate']:,.0f}",
        "" if row["name"] == "ours" or times is None else f"{times:.2f} x" if times < 10 else f"{times:.0f} x",
        _number(row["cpu_s_per_million"], 2),
        _number(row["broker_cpu_s_per_million"], 2),
        _number(row["rss_mb"], 0),
        _number(row["pss_mb"], 0),
        *(_latency(row, rate) for rate in RATES),
    ]


def _latency(row: Row, rate: int) -> str:
    if row[f"kept_{rate}"] is None:
        return ""
    if not row[f"kept_{rate}"]:
        return "not kept"
    return f"{row[f'p50_ms_{rate}']:.1f} / {row[f'p99_ms_{rate}']:.1f}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def verdict(claim: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """A claim as four cells: what, measured, bar, whether it holds."""
    sign = ">=" if claim["at"] == "least" else "<="
    bar = f"{sign} {claim['bar']:,g} {claim['unit']}"
    if claim["tolerance"]:
        bar += f" (+-{claim['tolerance']:.0%})"
    if claim["measured"] is None:
        return claim["name"], "not measured", bar, "misses"
    measured = f"{claim['measured']:,.0f}" if claim["measured"] >= 1000 else f"{claim['measured']:,.2f}"
    return claim["name"], f"{measured} {claim['unit']}", bar, "holds" if claim["holds"] else "misses"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )


def text(rows: Mapping[str, Row], claims: Sequence[Mapping[str, Any]]) -> str:
    """What is printed."""
    ours = rows["ours"]["rate"] if "ours" in rows else None
    parts = [table([HEAD, *(cells(row, ours) for row in rows.values())])]
    parts += ["\n".join(notes(rows)), table([("claim", "measured", "bar", ""), *map(verdict, claims)])]
    parts += ["\n".join(_checked(row) for row in rows.values() if row["verified"])]
    return "\n\n".join(part for part in parts if part)


def notes(rows: Mapping[str, Row]) -> list[str]:
    """Who did not do the job in every turn, and why."""
    return [f"{row['title']}: {row['trouble']}." for row in rows.values() if row["trouble"]]


def _checked(row: Row) -> str:
    found = row["verified"]
    again = found["read"] - found["distinct"]
    return f"read back: {row['title']}: {found['distinct']:,} records answered, {again:,} of them again, all rightly"


def markdown(
    rows: Mapping[str, Row], claims: Sequence[Mapping[str, Any]], machine: Mapping[str, Any], load: Mapping[str, Any]
) -> str:
    """The section between its two marks, with the run it comes from."""
    ours = rows["ours"]["rate"] if "ours" in rows else None

    def lines(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
        rule = ["---"] * 2 + ["---:"] * (len(head) - 2)
        return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))

    words = (
        f"`python -m benchmarks.throughput --write`, {machine['date']}: {machine['cpus']} cores, {machine['system']}, "
        f"Python {machine['python']}, Apache Kafka {machine['kafka']} beside it on the same cores; load before the run "
        f"{machine['load_before']:.1f}. {load['records']:,} records of about 120 bytes in 4 partitions, a window of at "
        f"most {load['seconds']:g} s for those that are slower; medians of {load['rounds']} alternating rounds."
    )
    return "\n\n".join(
        [
            BEGIN,
            "## Throughput",
            words,
            lines(HEAD, [cells(row, ours) for row in rows.values()]),
            *notes(rows),
            lines(("claim", "measured", "bar", ""), [verdict(claim) for claim in claims]),
            END,
        ]
    )


def write(path: Path, section: str) -> None:
    """Puts the section where its marks are, or at the end; the rest of the page stays."""
    page = path.read_text() if path.exists() else PAGE
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        page = before + section + after
    else:
        page = page.rstrip() + "\n\n" + section + "\n"
    path.write_text(page)


PAGE = """# Benchmarks

Each section is written by the command it names. Ours, the peers and the limits take turns within one run.
"""
