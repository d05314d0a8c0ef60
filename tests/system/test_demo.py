"""`loopai demo` to its end on a labelled file, and on simulated traffic: one JSON object, nothing lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.platform import LOOPAI, ROOT

KEYS = {
    "inputs", "answered", "set_aside", "lost", "accuracy", "macro_f1", "checks", "agreement", "oracle_calls",
    "p50_us", "p99_us", "seconds",
}  # fmt: skip


def demo(folder: Path, *words: str) -> dict[str, object]:
    done = subprocess.run(
        [LOOPAI, "demo", "--headless", "--json", *words],
        cwd=folder, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


@pytest.mark.timeout(220)
def test_a_labelled_file_runs_to_its_end_and_nothing_is_lost(tmp_path: Path, loopai_data: Path) -> None:
    spam = loopai_data / "spam"
    told = demo(tmp_path, "--train", str(spam / "sms.train.jsonl"), "--data", str(spam / "sms.test.jsonl"))
    assert told.keys() >= KEYS
    assert (told["inputs"], told["answered"], told["set_aside"], told["lost"]) == (831, 831, 0, 0)
    assert float(str(told["accuracy"])) >= 98.0
    assert float(str(told["macro_f1"])) >= 95.0
    agreement = told["agreement"]
    assert isinstance(agreement, dict)
    assert 0 < agreement["low"] <= agreement["estimate"] <= agreement["high"] <= 1
    assert 40 <= int(str(told["checks"])) <= 140
    assert told["simulated"] is False


@pytest.mark.timeout(220)
def test_simulated_traffic_says_that_it_is(tmp_path: Path) -> None:
    told = demo(tmp_path, "--count", "600", "--rate", "600")
    assert told["simulated"] is True
    assert (told["inputs"], told["lost"]) == (600, 0)
    assert float(str(told["accuracy"])) > 90


def test_half_of_the_files_is_a_clear_error(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a", "label": "b"}\n')
    done = subprocess.run([LOOPAI, "demo", "--data", str(rows)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "--train is missing" in done.stderr


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a", "label": "b"}\n{broken\n')
    done = subprocess.run(
        [LOOPAI, "demo", "--data", str(rows), "--train", str(rows)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "line 2" in done.stderr.replace(":2", " line 2")


def test_make_demo_runs_the_same_command() -> None:
    done = subprocess.run(["make", "-n", "demo"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "loopai demo" in done.stdout
