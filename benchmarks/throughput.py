"""Kafka to program to Kafka: Loopai with its jail, the Python stream processors and the limits, in one run.

    python -m benchmarks.throughput [--quick] [--json] [--write] [--only ours,go] [--records N] [--rounds N]

All read the same inputs and run the same rule (`throughput_peers/peers/rule.py`); what they did is read from the
broker and from /proc, never from themselves. `--quick` takes those that a claim speaks of, one short round, with bars
widened by a fifth; with everything made already it ends within 50 s. `--write` puts a full run's table into
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import json
import os
import platform
import shutil
import sys
import time

import msgspec

from benchmarks.throughput_peers import claims, report
from benchmarks.throughput_peers.environments import (
    FOLDER,
    HERE,
    ROOT,
    Kafka,
    Unavailable,
    go_program,
    kafka,
    say,
    versions,
)
from benchmarks.throughput_peers.inputs import SCHEMAS, write_inputs
from benchmarks.throughput_peers.meter import Found, Load, Meter
from benchmarks.throughput_peers.subjects import APP, SUBJECTS, Subject
from loopai.apps import Sampling
from loopai.deployments import Deployment
from loopai.settings import Kafka as KafkaSettings
from programs.artifact import Program, encode
from streams.broker import Outgoing
from streams.kafka import KafkaBroker
from streams.topics import ALL, DEPLOYMENTS, PROGRAMS, Topic

FULL = Load(1_000_000, 20.0, 3, claims.RATES, latency_seconds=4.0, settle_seconds=1.5, patience=25.0)
QUICK = Load(200_000, 1.5, 1, claims.RATES, latency_seconds=1.5, settle_seconds=0.7, patience=12.0)
QUICK_TOLERANCE = 0.2


async def deploy(bootstrap: str) -> None:
    """The topics, and the program with its deployment on the compacted ones, as the controller puts them there."""
    broker = KafkaBroker(KafkaSettings(bootstrap_servers=bootstrap))
    await broker.ensure_topics([*ALL, Topic("bench.results")])
    source = (HERE / "peers" / "rule.py").read_text()
    program = Program.make(
        kind="classification",
        strategy="rule",
        source=source,
        input_schema=SCHEMAS["input_schema"],
        output_schema=SCHEMAS["output_schema"],
    )
    deployment = Deployment(
        app=APP,
        revision=1,
        stable=1,
        programs={"1": program.id},
        sampling=Sampling(rate=0.001),
        input_schema=SCHEMAS["input_schema"],
        output_schema=SCHEMAS["output_schema"],
    )
    producer = broker.producer()
    await producer.start()
    try:
        await (await producer.send(PROGRAMS.name, Outgoing(program.id.encode(), encode(program))))
        await (await producer.send(DEPLOYMENTS.name, Outgoing(APP.encode(), msgspec.json.encode(deployment))))
    finally:
        await producer.stop()


def prepare(subjects: list[Subject]) -> dict[str, str]:
    """Makes every environment before anything is timed; returns what cannot be had, and why."""
    missing = {}
    go_program()
    for subject in subjects:
        try:
            subject.prepared("", "")
        except Unavailable as error:
            missing[subject.name] = str(error)
    return missing


def measure(
    subjects: list[Subject], load: Load, broker: Kafka, missing: dict[str, str], *, quick: bool
) -> dict[str, claims.Row]:
    """All rounds of all subjects, in turn; first the throughput, then, on the same broker, the latency."""
    shutil.rmtree(FOLDER / "runs", ignore_errors=True)
    inputs = FOLDER / "inputs.jsonl"
    write_inputs(inputs)
    asyncio.run(deploy(broker.bootstrap))
    meter = Meter(broker, load, inputs)
    meter.preload()
    throughput: dict[str, list[Found]] = {subject.name: [] for subject in subjects}
    latency: dict[str, list[Found]] = {subject.name: [] for subject in subjects}
    turns = [subject for subject in subjects if subject.name not in missing]
    for name, why in missing.items():
        throughput[name].append(Found(trouble=why))
    if turns:  # a cold broker would cost the first in turn: the limit goes once before anybody is counted
        meter.throughput(next(s for s in SUBJECTS if s.name == "go"), verify=False)
    for number in range(load.rounds):
        for subject in turns:
            found = meter.throughput(subject, verify=number == 0)
            throughput[subject.name].append(found)
            say(f"round {number + 1}: {subject.title}: {found.trouble or f'{found.rate:,.0f} records/s'}")
    for number in range(load.rounds):
        for subject in turns:
            if subject.processes > 1 or all(turn.trouble for turn in throughput[subject.name]):
                continue
            if quick and subject.name != "ours":
                continue
            found = meter.latency(subject)
            latency[subject.name].append(found)
            told = ", ".join(f"{p50:.1f} / {p99:.1f} ms at {rate:,}/s" for rate, (p50, p99) in found.latency.items())
            say(f"round {number + 1}: {subject.title}: {found.trouble or told or 'kept none of the rates'}")
    return {s.name: claims.row(s, _version(s), throughput[s.name], latency[s.name]) for s in subjects}


def _version(subject: Subject) -> str:
    return versions(subject.environment) if subject.environment else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of those that a claim speaks of")
    parser.add_argument("--json", action="store_true", help="one object as the last line")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--only", default="", help="names of subjects, with commas between")
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0)
    options = parser.parse_args()
    if options.write and (options.quick or options.only or options.records or options.rounds):
        parser.error("--write takes a full run")
    load = QUICK if options.quick else FULL
    if options.records or options.rounds:
        load = dataclasses.replace(load, records=options.records or load.records, rounds=options.rounds or load.rounds)
    names = [name for name in options.only.split(",") if name]
    if unknown := set(names) - {subject.name for subject in SUBJECTS}:
        parser.error(f"no subject is called {', '.join(sorted(unknown))}")
    subjects = [s for s in SUBJECTS if (s.name in names if names else s.quick or not options.quick)]
    load_before, begun = os.getloadavg()[0], time.monotonic()
    try:
        missing = prepare(subjects)
        with kafka() as broker:
            rows = measure(subjects, load, broker, missing, quick=options.quick)
    except Unavailable as error:
        say(str(error))
        return 1
    found = claims.claims(rows, tolerance=QUICK_TOLERANCE if options.quick else 0.0)
    machine = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load_before": load_before,
        "python": platform.python_version(),
        "kafka": broker.version,
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(report.text(rows, found), flush=True)
    if options.write:
        report.write(ROOT / "docs" / "benchmarks.md", report.markdown(rows, found, machine, dataclasses.asdict(load)))
    if options.json:
        used = {"python": machine["python"], "kafka": broker.version}
        used |= {s.environment: versions(s.environment) for s in subjects if s.environment}
        print(json.dumps({"machine": machine, "versions": used, "rows": list(rows.values()), "claims": found}))
    return 0 if all(claim["holds"] for claim in found) else 1


if __name__ == "__main__":
    sys.exit(main())
