"""The native services: what is written down is true, and a stop ends only what was started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.services import SCRIPT, STATE, service


def run(verb: str, folder: Path, only: str = "redis") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), verb, "--native", "--only", only, "--data-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    service("redis")  # skips where a person left the services out, fails where there is no Redis to start
    yield tmp_path / "services"
    run("stop", tmp_path / "services")


def started(folder: Path) -> dict[str, Any]:
    done = run("start", folder)
    assert done.returncode == 0, done.stderr
    return dict(json.loads((folder / "services.json").read_text())["redis"])


def test_services_json_says_what_a_client_needs(kafka_bootstrap: str, redis_url: str, postgres_url: str) -> None:
    state = json.loads(STATE.read_text())
    assert state["kafka"]["bootstrap"] == kafka_bootstrap == f"127.0.0.1:{state['kafka']['port']}"
    assert redis_url == f"redis://127.0.0.1:{state['redis']['port']}/0"
    assert postgres_url == f"postgresql+asyncpg://loopai@127.0.0.1:{state['postgres']['port']}/loopai"
    for entry in state.values():
        assert listens(entry["port"])
        assert entry.get("engine") == "docker" or Path(f"/proc/{entry['pid']}").exists()


def test_kafkas_own_console_producer_writes_a_record(kafka: dict[str, Any]) -> None:
    from confluent_kafka import Consumer

    if "classpath" not in kafka:
        pytest.skip("Kafka runs in Docker, where its tools are too")
    tool = [kafka["java"], "-cp", kafka["classpath"], "org.apache.kafka.tools.ConsoleProducer"]
    command = [*tool, "--bootstrap-server", kafka["bootstrap"], "--topic", "console-producer"]
    done = subprocess.run(command, input="from Kafka's own tool\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    consumer = Consumer(
        {"bootstrap.servers": kafka["bootstrap"], "group.id": "console", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["console-producer"])
    message = next(found for _ in range(100) if (found := consumer.poll(0.3)) is not None and not found.error())
    consumer.close()
    assert message.value() == b"from Kafka's own tool"


def test_a_start_is_idempotent_and_a_stop_ends_it(folder: Path) -> None:
    entry = started(folder)
    assert started(folder) == entry
    assert json.loads(run("status", folder).stdout)["redis"] == entry
    assert run("stop", folder).returncode == 0
    assert not listens(entry["port"])
    assert run("status", folder).returncode == 1
    assert run("stop", folder).returncode == 0


def test_a_stop_ends_only_what_this_folder_started(folder: Path) -> None:
    shared = service("redis")
    entry = started(folder)
    assert entry["port"] != shared["port"]
    run("stop", folder)
    assert not listens(entry["port"])
    assert listens(shared["port"])


def test_a_stop_leaves_a_process_that_took_over_the_id(folder: Path) -> None:
    entry = started(folder)
    run("stop", folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        state = {"redis": {**entry, "pid": stranger.pid}}
        (folder / "services.json").write_text(json.dumps(state))
        done = run("stop", folder)
        assert "was not running" in done.stderr
        assert stranger.poll() is None
        stranger.kill()


def test_a_service_that_died_is_started_again(folder: Path) -> None:
    entry = started(folder)
    os.kill(entry["pid"], 9)
    assert started(folder)["pid"] != entry["pid"]


@pytest.mark.parametrize(("name", "advice"), [("redis", "redis-server"), ("kafka", "default-jre-headless")])
def test_what_is_missing_is_named_with_how_to_get_it(tmp_path: Path, name: str, advice: str) -> None:
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, str(SCRIPT), "start", "--native", "--only", name, "--data-dir", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert f"NOT RUNNING {name}" in done.stderr
    assert advice in done.stderr


def test_an_unknown_service_is_a_usage_error(tmp_path: Path) -> None:
    done = run("start", tmp_path, "mongodb")
    assert done.returncode == 2
    assert "mongodb" in done.stderr
