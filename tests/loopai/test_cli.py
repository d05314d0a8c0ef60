"""The command line: exit codes, one clear line for each error with the next step, JSON for machines."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from loopai import __version__
from tests.support.platform import LOOPAI


def loopai(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LOOPAI_")}
    return subprocess.run(
        [LOOPAI, *words],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_it_says_its_version_and_its_commands(tmp_path: Path) -> None:
    assert loopai(tmp_path, "--version").stdout.strip() == f"loopai {__version__}"
    told = loopai(tmp_path, "--help").stdout
    for command in ("demo", "serve", "app", "program", "input", "rollout", "dlq", "watch", "evaluate", "doctor"):
        assert command in told


@pytest.mark.parametrize(
    ("words", "environment", "code", "part"),
    [
        (("serve", "cook"), {}, 2, "is no role"),
        (("serve", "executor"), {}, 2, "LOOPAI_KAFKA__BOOTSTRAP_SERVERS"),
        (("serve", "all"), {"LOOPAI_GATEWAY__PORT": "eighty"}, 2, "gateway.port"),
        (("config", "show"), {"LOOPAI_EXECUTOR__JAIL": "paper"}, 2, "executor.jail"),
        (("app", "list"), {"LOOPAI_URL": "http://127.0.0.1:9"}, 5, "No gateway answers"),
        (("dlq", "list"), {}, 2, "No Kafka is named"),
        (("evaluate", "--train", "absent.jsonl", "--test", "absent.jsonl"), {}, 2, "absent.jsonl"),
        (("no-such-command",), {}, 2, "no-such-command"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_its_exit_code(
    tmp_path: Path, words: tuple[str, ...], environment: dict[str, str], code: int, part: str
) -> None:
    done = loopai(tmp_path, *words, **environment)
    assert done.returncode == code, done.stderr
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gateway_open_to_others_without_a_key_is_refused(tmp_path: Path) -> None:
    done = loopai(tmp_path, "serve", "all", "--port", "0", LOOPAI_GATEWAY__HOST="0.0.0.0")
    assert done.returncode == 2
    assert "api_keys" in done.stderr.lower() or "key" in done.stderr


def test_settings_are_shown_with_secrets_masked(tmp_path: Path) -> None:
    done = loopai(tmp_path, "config", "show", "--json", LOOPAI_ORACLE__API_KEY="sk-canary", LOOPAI_KAFFKA="x")
    assert json.loads(done.stdout)["oracle"]["model"]
    assert "canary" not in done.stdout + done.stderr
    assert "LOOPAI_KAFFKA" in done.stderr


def test_the_doctor_looks_at_every_part(tmp_path: Path) -> None:
    done = loopai(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    states = {row["part"]: row["state"] for row in json.loads(done.stdout)["checks"]}
    assert states["jail"] == "ok"
    assert states["model"] == "absent"
    assert states.keys() >= {"python", "broker", "kafka", "store", "redis", "page"}


def test_the_same_seed_gives_the_same_program(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": f"win cash prize {i}", "label": "spam"} for i in range(30)]
    rows += [{"id": str(i), "text": f"see you at lunch {i}", "label": "ham"} for i in range(30, 80)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("evaluate", "--train", "rows.jsonl", "--test", "rows.jsonl", "--labels", "60", "--seed", "3", "--json")
    first, second = (json.loads(loopai(tmp_path, *words).stdout) for _ in range(2))
    assert first["program_id"] == second["program_id"]
    assert first.keys() >= {"strategy", "n", "accuracy", "macro_f1", "abstained", "us_per_record", "seconds"}
    assert first["accuracy"] > 95
