"""What the jail costs: real workers against the same functions in this process, in alternation.

    python -m benchmarks.jail [--quick] [--json]

`overhead` is jailed minus in-process for the same way from raw JSON to raw JSON (decode, schema, run, schema, encode);
`over the bare function` is jailed minus the function alone on records that are decoded already.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from executors.jail.cell import Cell
from executors.jail.jail import Jail
from executors.jail.limits import Limits
from executors.jail.loader import Loaded, load
from executors.jail.protocol import Load
from programs.artifact import Program

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
LABEL = {"enum": ["spam", "ham"]}

PROGRAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "keyword rule": (
        "def run(r):\n    t = r['text']\n    return 'spam' if 'prize' in t or 'free' in t else 'ham'",
        LABEL,
    ),
    "regular expression": (
        "import re\nP = re.compile('free|prize')\ndef run(r):\n    return 'spam' if P.search(r['text']) else 'ham'",
        LABEL,
    ),
    "extraction": (
        "def run(r):\n    w = r['text'].split()\n    return {'first': w[0], 'n': len(w), 'rest': w[1:4]}, 0.9",
        {"type": "object", "properties": {"first": {"type": "string"}, "n": {"type": "integer"}}, "required": ["n"]},
    ),
    "whole chunks": ("def run(r):\n    return 'ham'\ndef run_batch(rs):\n    return ['ham' for r in rs]", LABEL),
}


def records(count: int) -> list[bytes]:
    """Some 120 bytes each."""
    texts = (
        b"Congratulations, you have won a free prize, click to claim it",
        b"See you at lunch, and bring the report",
    )
    form = b'{"id":"r-%07d","source":"benchmark","text":"%s, number %d"}'
    return [form % (n, texts[n % 2], n) for n in range(count)]


def make(source: str, output: dict[str, Any]) -> Program:
    """An artifact of some kind."""
    return Program.make(kind="classification", strategy="rule", source=source, input_schema=TEXT, output_schema=output)


def in_process(loaded: Loaded, values: list[bytes]) -> list[bytes]:
    """The same way without a jail."""
    decode, encode, out = msgspec.json.decode, msgspec.json.encode, []
    for value in values:
        record = decode(value)
        if loaded.check_input is None or loaded.check_input(record) is None:
            result = loaded.run(record)
            if type(result) is tuple:
                result = result[0]
            if loaded.check_output is None or loaded.check_output(result) is None:
                out.append(encode(result))
    return out


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


class Report:
    """Rows for people and claims for machines."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.claims: list[dict[str, Any]] = []

    def row(self, name: str, value: float | str, unit: str = "") -> None:
        self.rows.append({"name": name, "value": value, "unit": unit})
        print(f"  {name:<58} {value if isinstance(value, str) else f'{value:,.2f}':>12} {unit}", flush=True)

    def claim(self, name: str, measured: float, bar: float, unit: str, *, least: bool = False) -> None:
        holds = measured >= bar if least else measured <= bar
        sign = ">=" if least else "<="
        self.claims.append({"name": name, "measured": round(measured, 3), "bar": bar, "unit": unit, "holds": holds})
        print(f"  {'ok ' if holds else 'NOT'} {name:<54} {measured:>12,.2f} {unit} ({sign} {bar:,g})", flush=True)


async def overhead(report: Report, jail: Jail, rounds: int) -> None:
    """Batches of 1,000, jailed and not, in turn."""
    print("Per record, in batches of 1,000:")
    values = records(1000)
    worst = bare_worst = 0.0
    for name, (source, output) in PROGRAMS.items():
        loaded = load(Load(source, TEXT, output, True), b"")
        decoded = [msgspec.json.decode(v) for v in values]
        run = loaded.run
        cell = await jail.open(make(source, output))
        jailed, plain, bare = [], [], []
        for _ in range(rounds):
            bare.append(timed(lambda: [run(r) for r in decoded]))  # noqa: B023
            plain.append(timed(lambda: in_process(loaded, values)))  # noqa: B023
            began = time.perf_counter()
            answers = await cell.run(values)
            jailed.append(time.perf_counter() - began)
        assert all(a.outcome == "ok" for a in answers)
        await cell.close()
        j, p, b = (statistics.median(t) * 1000 for t in (jailed, plain, bare))
        report.row(f"{name}: jailed", j, "us")
        report.row(f"{name}: in-process", p, "us")
        report.row(f"{name}: the bare function", b, "us")
        worst, bare_worst = max(worst, j - p), max(bare_worst, j - b)
    report.claim("overhead a record, the worst of the programs", worst, 2.5, "us")
    report.row("over the bare function, the worst of the programs", bare_worst, "us")


def cpu(cell: Cell) -> float:
    worker = cell._worker
    return (worker.cpu_seconds() or 0.0) + time.process_time() if worker else 0.0


async def throughput(report: Report, jail: Jail, rounds: int) -> None:
    """The rule program alone: executions for each CPU second of worker and parent together, and by the clock."""
    print("Executions:")
    cell = await jail.open(make(*PROGRAMS["keyword rule"]))
    values = records(2000)
    await cell.run(values)
    rates, per_core = [], []
    for _ in range(3):
        before, began = cpu(cell), time.perf_counter()
        for _ in range(rounds):
            await cell.run(values)
        rates.append(rounds * len(values) / (time.perf_counter() - began))
        per_core.append(rounds * len(values) / (cpu(cell) - before))
    await cell.close()
    report.row("keyword rule, one caller, by the clock", statistics.median(rates), "/s")
    report.claim("rule program in the jail, a core", statistics.median(per_core), 100_000, "/s", least=True)


async def single(report: Report, jail: Jail, count: int) -> None:
    """One record at a time."""
    print("One record alone:")
    cell = await jail.open(make(*PROGRAMS["keyword rule"]))
    value = records(1)
    for _ in range(200):
        await cell.run(value)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await cell.run(value)
        times.append(time.perf_counter() - began)
    await cell.close()
    times.sort()
    report.row("p90", times[int(0.9 * count)] * 1e6, "us")
    report.claim("one record alone, p50", times[count // 2] * 1e6, 100, "us")
    report.claim("one record alone, p99", times[int(0.99 * count)] * 1e6, 1000, "us")


async def starting(report: Report, limits: Limits, rounds: int) -> None:
    """From `open` to a program that is ready; the zygote runs already."""
    print("Start and load:")
    program = make(*PROGRAMS["regular expression"])
    began = time.perf_counter()
    async with Jail(limits, spares=0) as jail:
        report.row("the zygote, once", (time.perf_counter() - began) * 1000, "ms")
        await (await jail.open(program)).close()
        cold = [await opening(jail, program) for _ in range(rounds)]
    async with Jail(limits, spares=1) as jail:
        warm = []
        for _ in range(rounds):
            if jail._filling is not None:
                await jail._filling
            await asyncio.sleep(0.02)  # it rehearses a load
            warm.append(await opening(jail, program))
    report.claim("start and load, cold, p50", statistics.median(cold) * 1000, 10, "ms")
    report.claim("start and load, warm, p50", statistics.median(warm) * 1000, 4, "ms")


async def opening(jail: Jail, program: Program) -> float:
    began = time.perf_counter()
    cell = await jail.open(program)
    seconds = time.perf_counter() - began
    await cell.close()
    return seconds


async def memory(report: Report, jail: Jail) -> None:
    """What a worker that has run 100,000 records holds of its own."""
    print("Memory:")
    cell = await jail.open(make(*PROGRAMS["regular expression"]))
    values = records(2000)
    for _ in range(50):
        await cell.run(values)
    worker, zygote = cell._worker, jail._host._zygote
    if worker is not None and zygote is not None:
        with contextlib.suppress(OSError):
            report.row("zygote, resident", kilobytes(zygote.pid, "Rss") / 1024, "MB")
            own = kilobytes(worker.pid, "Private_Dirty") + kilobytes(worker.pid, "Private_Clean")
            report.claim("a worker's own memory", own / 1024, 20, "MB")
    await cell.close()


def kilobytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


LOOPS = "def run(r):\n    while r['text'] == 'loop': pass\n    return 'ham'"


async def poison(report: Report, rounds: int, seconds: float) -> None:
    """One endless loop: in a batch of 1,000, and one in 5,000 at 50,000 a second."""
    print("An endless loop:")
    values = records(1000)
    for limits in (Limits(soft_ms=8, hard_ms=40), Limits()):
        async with Jail(limits) as jail:
            cell = await jail.open(make(LOOPS, LABEL))
            clean, poisoned = [], []
            bad = [*values[:500], b'{"text":"loop"}', *values[501:]]
            for _ in range(rounds):
                for batch, times in ((values, clean), (bad, poisoned)):
                    began = time.perf_counter()
                    await cell.run(batch)
                    times.append(time.perf_counter() - began)
            cost = (statistics.median(poisoned) - statistics.median(clean)) * 1000
            report.claim(f"cost of one, soft limit {limits.soft_ms} ms", cost, limits.soft_ms + 200, "ms")
    async with Jail(Limits(soft_ms=8, hard_ms=40)) as jail:
        cell = await jail.open(make(LOOPS, LABEL))
        times = await paced(cell, seconds)
    report.row("1 in 5,000 at 50,000/s, soft limit 8 ms: p50 of the others", times[len(times) // 2] * 1000, "ms")
    report.claim("1 in 5,000 at 50,000/s: p99 of the others", times[int(0.99 * len(times))] * 1000, 20, "ms")


async def paced(cell: Cell, seconds: float) -> list[float]:
    """Latency of each good record when 50 arrive every millisecond, sorted."""
    latencies: list[float] = []
    calls: set[asyncio.Task[None]] = set()
    values = records(50)
    bad = [b'{"text":"loop"}', *values[1:]]

    async def call(batch: list[bytes], arrived: float) -> None:
        answers = await cell.run(batch)
        took = time.perf_counter() - arrived
        latencies.extend(took for a in answers if a.outcome == "ok")

    began = time.perf_counter()
    for tick in range(int(seconds * 1000)):
        due = began + tick / 1000
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(call(bad if tick % 100 == 50 else values, due))
        calls.add(task)
        task.add_done_callback(calls.discard)
    await asyncio.gather(*calls)
    return sorted(latencies)


async def main(quick: bool) -> Report:
    """All of it; `quick` takes a fifth of the rounds, with the same claims."""
    report, scale = Report(), 1 if quick else 5
    limits = Limits()
    async with Jail(limits) as jail:
        report.row("layers", " ".join(f"{name}={state}" for name, state in jail.layers.items()))
        await overhead(report, jail, 60 * scale)
        await throughput(report, jail, 40 * scale)
        await single(report, jail, 3000 * scale)
        await memory(report, jail)
    await starting(report, limits, 30 * scale)
    await poison(report, 5 * scale, 2.0 * scale)
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    done = asyncio.run(main(options.quick))
    if options.json:
        machine = {
            "system": platform.platform(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "load_before": load_before,
        }
        versions = {
            "python": platform.python_version(),
            "msgspec": msgspec.__version__,
            "jsonschema_rs": getattr(jsonschema_rs, "__version__", ""),
        }
        print(json.dumps({"machine": machine, "versions": versions, "rows": done.rows, "claims": done.claims}))
    sys.exit(0 if all(claim["holds"] for claim in done.claims) else 1)
