"""Settings: where they come from, which one wins, and what a bad one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from loopai import settings
from loopai.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(__import__("os").environ):
        if name.startswith("LOOPAI_"):
            monkeypatch.delenv(name)


def test_defaults_work_without_any_configuration() -> None:
    loaded = settings.load()
    assert loaded.gateway.host == "127.0.0.1"
    assert loaded.store_url.startswith("sqlite+aiosqlite:///")


def test_the_command_line_beats_the_environment_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("loopai.toml").write_text('environment = "file"\n[gateway]\nport = 1\nhost = "127.0.0.9"\n')
    assert settings.load().gateway.port == 1
    monkeypatch.setenv("LOOPAI_GATEWAY__PORT", "2")
    assert settings.load().gateway.port == 2
    loaded = settings.load({"gateway": {"port": 3}})
    assert (loaded.gateway.port, loaded.gateway.host, loaded.environment) == (3, "127.0.0.9", "file")


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("LOOPAI_GATEWAY__PORT", "99999", "gateway.port"),
        ("LOOPAI_GATEWAY__PORT", "eighty", "gateway.port"),
        ("LOOPAI_EXECUTOR__JAIL", "none", "executor.jail"),
        ("LOOPAI_EXECUTOR__WHATEVER", "1", "executor.whatever"),
        ("LOOPAI_TELEMETRY__TRACE_RATIO", "2", "telemetry.trace_ratio"),
    ],
)
def test_a_bad_value_is_named_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, word: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert word in caught.value.message
    assert "LOOPAI_" in caught.value.next_step
    assert "\n" not in str(caught.value)


def test_an_unknown_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPAI_KAFFKA__BOOTSTRAP_SERVERS", "x")
    monkeypatch.setenv("LOOPAI_KAFKA__PARTITIONS", "3")
    assert settings.unknown_variables() == ["LOOPAI_KAFFKA__BOOTSTRAP_SERVERS"]


def test_a_secret_comes_from_a_file_and_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "key"
    secret.write_text("sk-canary-123\n")
    monkeypatch.setenv("LOOPAI_ORACLE__API_KEY_FILE", str(secret))
    loaded = settings.load()
    assert loaded.oracle.api_key.get_secret_value() == "sk-canary-123"
    assert "canary" not in repr(loaded)
    assert "canary" not in loaded.model_dump_json()
    monkeypatch.setenv("LOOPAI_ORACLE__API_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match="cannot read"):
        settings.load()
