"""Every command of the how-to pages, run in order: on real Kafka, against the stand-in, and on the demo."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.conftest import Demo, begin_at_the_end, get, groups
from tests.docs.fences import ROOT, Fence, Shell, fences, until
from tests.support.services import free_port

FOLDER = ROOT / "docs" / "how-to"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Free ports, a data folder and consumer groups of its own."""
    model, port = str(free_port()), str(free_port())
    words = {
        "127.0.0.1:8081": f"127.0.0.1:{model}",
        "--port 8081": f"--port {model}",
        "127.0.0.1:8090": f"127.0.0.1:{port}",
        "--port 8090": f"--port {port}",
    }
    made = Shell(words, {"LOOPAI_DATA_DIR": str(tmp_path), **groups(f"how-to-{port}")})
    yield made
    made.close()


def follow(page: str, shell: Shell, steps: list[Callable[[Shell, Fence], None]]) -> None:
    """Each fence of the page with its step."""
    found = fences(FOLDER / page)
    assert len(found) == len(steps), "every fence has its step"
    for fence, step in zip(found, steps, strict=True):
        step(shell, fence)


def serving(shell: Shell, fence: Fence) -> None:
    shell.begin(fence, lambda said: '"ready":true' in said)


@pytest.mark.timeout(300)
def test_loopai_runs_on_a_real_kafka(shell: Shell, kafka_bootstrap: str) -> None:
    shell.words["kafka.example:9092"] = kafka_bootstrap
    begin_at_the_end(kafka_bootstrap, [v for k, v in shell.environment.items() if k.endswith("__GROUP")])

    def look(shell: Shell, fence: Fence) -> None:
        said = shell.run(fence)
        assert '"kafka"' in said or '"stream"' in said
        assert f"kafka      {kafka_bootstrap}" in said

    follow("use-a-real-kafka.md", shell, [serving, look])


@pytest.mark.timeout(300)
def test_a_language_model_judges_within_its_budget(shell: Shell) -> None:
    def stand_in(shell: Shell, fence: Fence) -> None:
        shell.begin(fence, lambda said: "Uvicorn running on" in said)

    def judge(shell: Shell, fence: Fence) -> None:
        assert '{"sent":200}' in shell.run(fence)
        until(lambda: sum(status()["checks"].values()) > 50, 90.0, lambda: str(status()))

    def status() -> dict[str, Any]:
        found: dict[str, Any] = get(f"http://{shell.words['127.0.0.1:8090']}/api/v1/loop-apps/judged/status")
        return found

    def look(shell: Shell, fence: Fence) -> None:
        checks, state = (json.loads(line) for line in shell.run(fence).replace("}{", "}\n{").splitlines())
        assert checks["items"][0]["oracle"] == "openai/loopai-local"
        assert state["oracle"]["kind"] == "llm"
        assert state["spending"]["calls"] > 50

    def write(shell: Shell, fence: Fence) -> None:
        assert "Program v2 of judged" in shell.run(fence)
        url = f"http://{shell.words['127.0.0.1:8090']}/api/v1/loop-apps/judged/programs/2"
        written = get(url)
        assert (written["strategy"], written["manifest"]["model"]) == ("llm", "loopai-local")

    def budget(shell: Shell, fence: Fence) -> None:
        assert json.loads(shell.run(fence))["budget"] == {"usd_per_day": 1.0, "calls_per_day": 500}

    follow("use-an-llm.md", shell, [stand_in, serving, judge, look, write, budget])


@pytest.mark.timeout(300)
def test_what_was_set_aside_is_answered_after_a_replay(shell: Shell, demo: Demo) -> None:
    shell.words |= {"127.0.0.1:9092": demo.kafka}
    shell.environment["LOOPAI_URL"] = demo.url

    def publish(shell: Shell, fence: Fence) -> None:
        shell.run(fence)

    def listed(shell: Shell, fence: Fence) -> None:
        until(lambda: shell.run(fence).count("unknown_app") == 2, 30.0)
        shell.words["0:0"] = next(line.split()[0] for line in shell.run(fence).splitlines() if "unknown_app" in line)

    def shown(shell: Shell, fence: Fence) -> None:
        letter = json.loads(shell.run(fence))
        assert letter["reason"] == "unknown_app"
        assert letter["headers"]["loopai-app"] == "late"

    def mended(shell: Shell, fence: Fence) -> None:
        assert "Program v1 of late" in shell.run(fence)
        until(lambda: (demo.get("/loop-apps/late/status")["deployment"] or {}).get("stable"), 30.0)

    def replayed(shell: Shell, fence: Fence) -> None:
        said = shell.run(fence)
        assert "2 would be sent again" in said
        assert "2 sent again" in said

    def answered(shell: Shell, fence: Fence) -> None:
        until(lambda: read(shell, fence) == {"ham", "spam"}, 30.0)

    follow("replay-what-was-set-aside.md", shell, [publish, listed, shown, mended, replayed, answered])


def read(shell: Shell, fence: Fence) -> set[str]:
    """The answers so far; grep ends with 1 while there is none."""
    try:
        return {json.loads(line)["output"] for line in shell.run(fence).splitlines() if line.startswith("{")}
    except AssertionError:
        return set()
