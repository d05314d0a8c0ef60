"""A real Kafka, the real command, foreign clients: every input is answered, and a killed executor loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.support.foreign import Answers, publish
from tests.support.platform import Platform

ROWS = [(f"win cash prize {i} call now", "spam") for i in range(40)] + [
    (f"see you at lunch {i} then", "ham") for i in range(60)
]
COUNT = 100_000


@pytest.fixture(scope="module")
def app(platform: Platform) -> str:
    return platform.app(ROWS, sampling={"rate": 0.001}, oracle={"kind": "none"})


@pytest.fixture
def answers(platform: Platform, app: str) -> Iterator[Answers]:
    made = Answers(platform.kafka, app)
    yield made
    made.close()


def inputs(prefix: str, count: int) -> list[tuple[str, bytes]]:
    texts = (b'{"text": "win a cash prize now %d"}', b'{"text": "see you at lunch then %d"}')
    return [(f"{prefix}-{i}", texts[i % 2] % i) for i in range(count)]


@pytest.mark.timeout(240)
def test_a_hundred_thousand_inputs_are_answered_once_each(platform: Platform, app: str, answers: Answers) -> None:
    assert publish(platform.kafka, app, inputs("once", COUNT)) == COUNT
    counts = answers.read_until({i for i, _ in inputs("once", COUNT)}, seconds=180, quiet=1.0)
    ours = {i: n for i, n in counts.items() if i.startswith("once-")}
    assert len(ours) == COUNT
    assert set(ours.values()) == {1}
    assert all(answers.results[f"once-{i}"].output == ("spam", "ham")[i % 2] for i in range(0, COUNT, 997))


@pytest.mark.timeout(300)
def test_a_killed_executor_loses_nothing(platform: Platform, app: str, answers: Answers) -> None:
    assert publish(platform.kafka, app, inputs("kill", COUNT // 4)) == COUNT // 4
    os.kill(_child(platform, "executor"), signal.SIGKILL)
    assert publish(platform.kafka, app, inputs("more", COUNT * 3 // 4)) == COUNT * 3 // 4
    wanted = {i for i, _ in inputs("kill", COUNT // 4)} | {i for i, _ in inputs("more", COUNT * 3 // 4)}
    answers.read_until(wanted, seconds=180)
    assert not wanted - answers.counts.keys()


def _child(platform: Platform, role: str) -> int:
    """The role's process now: the supervisor's child with that word on its command line."""
    for pid in _children(platform.process.pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if role.encode() in file.read().split(b"\0"):
                return pid
    raise AssertionError(f"no {role} runs")


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def test_kafkas_own_console_producer_is_answered(
    platform: Platform, app: str, answers: Answers, kafka: dict[str, Any]
) -> None:
    if "classpath" not in kafka:
        pytest.skip("Kafka runs in a container here; its tools are inside")
    line = f"loopai-app:{app},ce_id:console-1\tkey-1\t" + '{"text": "win a cash prize today"}\n'
    done = subprocess.run(
        [
            kafka["java"], "-cp", kafka["classpath"], "org.apache.kafka.tools.ConsoleProducer",
            "--bootstrap-server", platform.kafka, "--topic", "loopai.inputs",
            "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
        ],
        input=line, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers.read_until({"console-1"}, seconds=30)
    assert answers.results["console-1"].output == "spam"


def test_bad_input_is_set_aside_and_can_be_listed_and_replayed(platform: Platform, app: str) -> None:
    publish(platform.kafka, app, [("bad-1", b"{broken"), ("bad-2", b'{"no": "text"}')])
    loopai = str(platform.process.args[0])  # type: ignore[index]

    def letters() -> list[dict[str, Any]]:
        done = subprocess.run(
            [loopai, "dlq", "list", "--kafka", platform.kafka, "--app", app, "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [msgspec.json.decode(line) for line in done.stdout.splitlines()]

    platform.until(lambda: len(letters()) >= 2)
    assert {row["reason"] for row in letters()} == {"json", "schema"}
    before = len(letters())
    done = subprocess.run(
        [loopai, "dlq", "replay", "--kafka", platform.kafka, "--app", app, "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert msgspec.json.decode(done.stdout)["replayed"] == before
    platform.until(lambda: len(letters()) == 2 * before)
