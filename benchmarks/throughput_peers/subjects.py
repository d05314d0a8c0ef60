"""Everyone who does the job: who it is, how it is started, in which environment, and what it promises."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.throughput_peers.environments import PEERS, ROOT, go_program, python_of

INPUTS = "loopai.inputs"
OURS = "loopai.results"
THEIRS = "bench.results"
APP = "throughput"


@dataclass(frozen=True)
class Subject:
    """One row. `command` has {go}, {python} and {place} to be filled in; `processes` start at once in one group."""

    name: str
    title: str
    kind: Literal["ours", "peer", "limit"]
    promise: str
    command: tuple[str, ...]
    environment: str = ""
    processes: int = 1
    variables: Mapping[str, str] = field(default_factory=dict)
    transactions: bool = False
    labels: bool = True
    quick: bool = True
    grouped: bool = True
    framework: bool = False

    @property
    def results(self) -> str:
        """The topic it writes."""
        return OURS if self.kind == "ours" else THEIRS

    def prepared(self, bootstrap: str, group: str) -> tuple[list[str], dict[str, str]]:
        """Its command line and variables; makes its environment first where there is none.

        Raises:
            Unavailable: what it needs cannot be had here.
        """
        go = str(go_program()) if "{go}" in self.command else ""
        python = str(python_of(self.environment)) if self.environment else sys.executable
        place = ["-brokers", bootstrap, "-in", INPUTS, "-out", self.results, "-group", group]
        command: list[str] = []
        for word in self.command:
            if word == "{place}":
                command += place
            else:
                command.append(word.format(go=go, python=python, peers=PEERS))
        if self.kind == "ours":
            return command, {
                "PYTHONPATH": str(ROOT),
                "LOOPAI_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
                "LOOPAI_EXECUTOR__GROUP": group,
                "LOOPAI_TELEMETRY__METRICS_PORT": "0",
                "LOOPAI_TELEMETRY__LOG_LEVEL": "warning",
                **self.variables,
            }
        return command, {
            "PYTHONPATH": str(PEERS),
            "BENCH_BROKERS": bootstrap,
            "BENCH_IN": INPUTS,
            "BENCH_OUT": self.results,
            "BENCH_GROUP": group,
            **self.variables,
        }


EXECUTOR = ("{python}", "-m", "loopai", "serve", "executor")
FASTSTREAM = ("{python}", "-m", "faststream", "run", "faststream_app:app", "--log-level", "warning")


def _script(name: str) -> tuple[str, ...]:
    return ("{python}", f"{{peers}}/{name}.py")


SUBJECTS = (
    Subject("ours", "Loopai, jailed", "ours", "at least once", EXECUTOR),
    Subject("ours-2", "Loopai, jailed, two executors", "ours", "at least once", EXECUTOR, processes=2),
    Subject(
        "ours-eo", "Loopai, jailed, exactly once", "ours", "exactly once", EXECUTOR,
        variables={"LOOPAI_EXECUTOR__EXACTLY_ONCE": "true"}, transactions=True,
    ),
    Subject(
        "bytewax", "Bytewax", "peer", "commits nothing",
        ("{python}", "-m", "bytewax.run", "bytewax_app:flow"), "bytewax", grouped=False, framework=True,
    ),
    Subject(
        "quix", "Quix Streams", "peer", "at least once", _script("quix_app"), "quix",
        variables={"BENCH_FORM": "at-least-once"}, framework=True,
    ),
    Subject(
        "quix-eo", "Quix Streams, exactly once", "peer", "exactly once", _script("quix_app"), "quix",
        variables={"BENCH_FORM": "exactly-once"}, transactions=True, framework=True,
    ),
    Subject(
        "faststream-batch", "FastStream, batches", "peer", "at most once", FASTSTREAM, "faststream",
        variables={"BENCH_FORM": "batch"}, framework=True,
    ),
    Subject(
        "faststream", "FastStream, its usual form", "peer", "at most once", FASTSTREAM, "faststream",
        variables={"BENCH_FORM": "usual"}, framework=True,
    ),
    Subject(
        "faststream-ack", "FastStream, acknowledged after", "peer", "at least once", FASTSTREAM, "faststream",
        variables={"BENCH_FORM": "acknowledged"}, framework=True, quick=False,
    ),
    Subject(
        "faust", "Faust", "peer", "at least once",
        ("{python}", "-m", "faust", "-A", "faust_app", "worker", "--loglevel", "warn", "--without-web"), "faust",
        framework=True, quick=False,
    ),
    Subject(
        "arroyo", "Arroyo", "peer", "at least once", _script("arroyo_app"), "arroyo", framework=True, quick=False,
    ),
    Subject(
        "by-record", "aiokafka by hand, a send a record", "peer", "at most once", _script("by_record"), "aiokafka",
        quick=False,
    ),
    Subject(
        "by-batch", "aiokafka by hand, batches", "peer", "at least once", _script("by_batch"), "aiokafka", quick=False,
    ),
    Subject(
        "echo", "limit: echo through aiokafka, no work", "limit", "at most once", _script("echo"), "aiokafka",
        labels=False, quick=False,
    ),
    Subject(
        "go", "limit: Go, franz-go, unjailed", "limit", "at least once", ("{go}", "run", "{place}"),
    ),
)  # fmt: skip
"""In the order in which they take their turns. `quick` names those that a claim speaks of."""
