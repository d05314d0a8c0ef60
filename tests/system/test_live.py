"""A client that is not ours (Node's socket.io-client) hears checks, drift alerts and rollouts of a running loop."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from loopai.records import Label
from tests.support.foreign import publish
from tests.support.node import node
from tests.support.platform import ROOT, Platform

ROWS = [(f"win cash prize {i} call now", "spam") for i in range(40)] + [
    (f"see you at lunch {i} then", "ham") for i in range(60)
]


class Subscriber:
    """The Node client as a process; `heard` grows by name."""

    def __init__(self, url: str, app: str) -> None:
        script = ROOT / "tests" / "system" / "subscriber.mjs"
        modules = ROOT / "dashboard" / "package.json"
        self._process = subprocess.Popen([node(), script, url, app, modules], stdout=subprocess.PIPE, text=True)
        self.heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.joined = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "joined" in told:
                self.joined.set()
            else:
                self.heard[told["name"]].append(told["event"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def label(bootstrap: str, app: str, answers: dict[str, str]) -> None:
    """Known answers, by a foreign producer."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for record_id, expected in answers.items():
        value = msgspec.json.encode(Label(id=record_id, app=app, expected=expected))
        producer.produce("loopai.labels", value, key=record_id)
        producer.poll(0)
    producer.flush(30)


def feed(platform: Platform, app: str, prefix: str, count: int, *, wrong: bool) -> None:
    """Inputs that the program answers alike every time, with labels that agree or do not."""
    records, answers = [], {}
    for i in range(count):
        spam = i % 2 == 0
        text = f"win a cash prize now {i}" if spam else f"see you at lunch then {i}"
        records.append((f"{prefix}-{i}", msgspec.json.encode({"text": text})))
        answers[f"{prefix}-{i}"] = "spam" if spam != wrong else "ham"
    label(platform.kafka, app, answers)
    publish(platform.kafka, app, records)


@pytest.mark.timeout(240)
def test_a_foreign_client_hears_all_three_kinds_of_event(platform: Platform) -> None:
    policy = {"stages": [10, 50, 100], "min_checks": 20, "min_agreement": 0.5, "automatic": False}
    app = platform.app(ROWS, sampling={"rate": 1.0}, oracle={"kind": "labels", "wait_seconds": 10}, rollout=policy)
    more = [(f"urgent loan offer {i}", "spam") for i in range(30)]
    examples = [{"id": f"m{i}", "input": {"text": t}, "expected": x} for i, (t, x) in enumerate(more)]
    platform.client.post(f"/loop-apps/{app}/examples", examples)
    assert platform.generate(app)["result"]["version"] == 2
    subscriber = Subscriber(platform.url, app)
    try:
        assert subscriber.joined.wait(20)
        feed(platform, app, "good", 400, wrong=False)
        platform.until(lambda: len(subscriber.heard["validation_result"]) >= 300)
        one = subscriber.heard["validation_result"][0]
        assert one["specversion"] == "1.0"
        assert one["type"] == "io.loopai.validation.completed.v1"
        assert one["data"]["verdict"] in ("match", "mismatch")
        feed(platform, app, "odd", 400, wrong=True)
        platform.until(lambda: bool(subscriber.heard["drift_alert"]))
        alert = subscriber.heard["drift_alert"][0]
        assert alert["type"] == "io.loopai.drift.detected.v1"
        assert int(alert["sequence"]) > 0
        platform.client.post(f"/loop-apps/{app}/rollouts", {"version": 2})
        for _ in range(3):
            platform.client.post(f"/loop-apps/{app}/rollouts/current/promote")
            time.sleep(0.2)
        platform.until(lambda: len(subscriber.heard["rollout_event"]) >= 4)
        kinds = [e["type"].split(".", 2)[2].removesuffix(".v1") for e in subscriber.heard["rollout_event"]]
        assert kinds[0] == "rollout.started"
        assert kinds[-1] == "rollout.completed"
        sequences = [int(e["sequence"]) for e in subscriber.heard["rollout_event"]]
        assert sequences == sorted(set(sequences))
    finally:
        subscriber.close()
