"""Every command of the tutorial, in order, against a demo: the story it tells must come true."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.docs.conftest import Demo
from tests.docs.fences import ROOT, Fence, Shell, fences, until

FENCES = fences(ROOT / "docs" / "tutorials" / "first-loop.md")
APP = "/loop-apps/first-loop"


@pytest.fixture(scope="module")
def shell(demo: Demo) -> Iterator[Shell]:
    """The tutorial's addresses are those of this run."""
    made = Shell({"http://127.0.0.1:8080": demo.url, "127.0.0.1:9092": demo.kafka}, {"LOOPAI_URL": demo.url})
    yield made
    made.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fence", FENCES, ids=lambda fence: f"line-{fence.line}")
def test_the_tutorial_comes_true(fence: Fence, shell: Shell, demo: Demo) -> None:
    CHECKS[FENCES.index(fence)](shell.run(fence), demo)


def test_every_step_of_the_tutorial_is_checked() -> None:
    assert len(FENCES) == len(CHECKS)


def status(demo: Demo) -> dict[str, Any]:
    found: dict[str, Any] = demo.get(f"{APP}/status")
    return found


def checked(demo: Demo, checks: int) -> Callable[[], bool]:
    return lambda: sum(status(demo)["checks"].values()) >= checks


def app_created(said: str, demo: Demo) -> None:
    assert "Created first-loop with 300 examples" in said
    assert status(demo)["state"] == "no_program"


def settings_sent(said: str, demo: Demo) -> None:
    changed = json.loads(said)
    assert changed["sampling"]["rate"] == 1.0
    assert changed["rollout"]["automatic"] is False
    assert changed["simulated"] is True


def first_program(said: str, demo: Demo) -> None:
    assert "Program v1 of first-loop" in said
    assert "def run(record)" in said
    until(lambda: (status(demo)["deployment"] or {}).get("stable") == 1, 30.0)


def answered_at_once(said: str, demo: Demo) -> None:
    assert said.startswith("ok: spam")


def stream_sent(said: str, demo: Demo) -> None:
    assert '{"sent":200}' in said
    until(checked(demo, 200), 60.0, lambda: str(status(demo)))


def watched(said: str, demo: Demo) -> None:
    assert re.search(r"first-loop\s", said)
    agreement = status(demo)["agreement"]["stable"]
    assert agreement["estimate"] > 0.95
    assert status(demo)["checks"]["error"] == 0


def changed(said: str, demo: Demo) -> None:
    assert '{"sent":300}' in said
    until(checked(demo, 500), 60.0, lambda: str(status(demo)))
    until(lambda: status(demo)["alerts_open"], 30.0, lambda: str(status(demo)))


def alert_there(said: str, demo: Demo) -> None:
    alerts = json.loads(said)["items"]
    assert alerts[0]["type"] == "drift.detected"
    assert "right answers" in alerts[0]["summary"]
    assert status(demo)["agreement"]["stable"]["estimate"] < 0.95


def second_program(said: str, demo: Demo) -> None:
    assert "Program v2 of first-loop" in said
    assert status(demo)["deployment"]["stable"] == 1
    assert status(demo)["rollout"] is None


def trial(said: str, demo: Demo) -> None:
    assert "v1 → v2: 50 % ◀" in said
    until(lambda: (status(demo)["agreement"]["candidate"] or {}).get("checks", 0) > 50, 60.0)
    until(checked(demo, 600), 60.0, lambda: str(status(demo)))
    until(lambda: better(status(demo)["agreement"]), 30.0, lambda: str(status(demo)))


def better(agreement: dict[str, Any]) -> bool:
    return bool(agreement["candidate"]["estimate"] > agreement["stable"]["estimate"] + 0.05)


def taken_over(said: str, demo: Demo) -> None:
    assert "v1 → v2: 50 % ✓ – 100 % ✓  completed" in said
    events = demo.get(f"{APP}/events?type=rollout.completed")["items"]
    assert events[0]["data"]["reason"] == "Better on the later messages"
    assert "ok: spam" in said
    assert status(demo)["deployment"]["stable"] == 2


def gone_back(said: str, demo: Demo) -> None:
    assert "rolled_back (Only to see it)" in said
    assert status(demo)["deployment"]["stable"] == 1


CHECKS: list[Callable[[str, Demo], None]] = [
    app_created,
    settings_sent,
    first_program,
    answered_at_once,
    stream_sent,
    watched,
    changed,
    alert_there,
    second_program,
    trial,
    taken_over,
    gone_back,
]
