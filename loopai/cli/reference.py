"""Settings, commands, metrics and topics in, their reference pages out: `python -m loopai.cli.reference` writes them.

A test compares the pages with what this makes, so they cannot fall behind. Whatever can be read from the code is;
only who writes and who reads a topic stands here by hand.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from loopai import telemetry
from loopai.settings import OUTSIDE, Settings
from streams import topics

FOLDER: Final = Path("docs/reference")
_MADE: Final = "<!-- Made by `python -m loopai.cli.reference`: change the code, then run it. -->\n\n"

_PACKAGES: Final = ("loopai", "streams", "programs", "executors", "validators", "rollouts", "gateway")

_ABOUT: Final[dict[str, tuple[str, str, str, str]]] = {
    "loopai.inputs": ("the caller's", "any JSON object", "anybody", "executor"),
    "loopai.results": ("the input's", "`ExecutionResult`", "executor", "anybody"),
    "loopai.samples": ("app", "`Sample`", "executor", "validator, controller"),
    "loopai.dead-letters": ("the record's", "the record as it came", "executor, validator, controller", "`loopai dlq`"),
    "loopai.validations": ("app", "`ValidationResult`", "validator", "controller, gateway"),
    "loopai.labels": ("the record's id", "`Label`", "anybody", "validator"),
    "loopai.drift-alerts": ("app", "`Event`", "controller, validator", "gateway"),
    "loopai.rollouts": ("app", "`Event`", "controller", "gateway"),
    "loopai.commands": ("app", "`Command`", "gateway", "controller"),
    "loopai.metrics": ("app", "`MetricsWindow`, `Agreement`", "executor, controller", "gateway"),
    "loopai.deployments": ("app", "`Deployment`", "controller", "executor, gateway"),
    "loopai.programs": ("program id", "the program, with its data", "controller", "executor, gateway"),
}
"""Key, value, who writes, who reads."""

_OUTSIDE: Final[dict[str, str]] = {
    "LOOPAI_URL": "Where the command line finds the gateway. Default `http://127.0.0.1:8080`.",
    "LOOPAI_API_KEY": "The key that the command line shows to the gateway.",
}


def pages() -> dict[str, str]:
    """File name to content of every page that is made."""
    made = {"configuration.md": configuration, "cli.md": commands, "metrics.md": metrics, "topics.md": topic_list}
    return {name: _MADE + "\n".join(make()) + "\n" for name, make in made.items()}


def configuration() -> Iterator[str]:
    """Every setting: its variable, what may be given, its default."""
    yield "# Configuration\n"
    yield "Each setting can be given on the command line where an option says so, as an environment variable, in a"
    yield "file `.env` or in `loopai.toml` of the working folder; the earlier beats the later. In `loopai.toml` a part"
    yield 'is a table: `[kafka]`, then `bootstrap_servers = "..."`.\n'
    yield "A secret may be mounted as a file: `LOOPAI_ORACLE__API_KEY_FILE=/run/secrets/key` reads it from there."
    yield "`loopai config show` prints what is in force, with secrets masked. A value that cannot work ends the process"
    yield "with exit code 2 and one line; a `LOOPAI_` variable that is no setting is told with a warning.\n"
    yield "## General\n"
    yield f"{_one_line(Settings.__doc__)}\n"
    general = {n: f for n, f in Settings.model_fields.items() if not _is_part(f)}
    yield from _settings("", general)
    for name, field in Settings.model_fields.items():
        if _is_part(field):
            part: type[BaseModel] = field.annotation  # type: ignore[assignment]
            yield f"\n## {name.capitalize()}\n"
            yield f"{_one_line(part.__doc__)}\n"
            yield from _settings(f"{name}__", part.model_fields)
    yield "\n## Beside the settings\n"
    yield "| variable | what it is |"
    yield "|---|---|"
    for name in sorted(OUTSIDE & _OUTSIDE.keys()):
        yield f"| `{name}` | {_OUTSIDE[name]} |"


def _is_part(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _settings(prefix: str, fields: dict[str, FieldInfo]) -> Iterator[str]:
    yield "| variable | value | default |"
    yield "|---|---|---|"
    for name, field in fields.items():
        unread = "" if re.search(rf"\.{name}\b", _sources()) else " (nothing reads it yet)"
        yield f"| `LOOPAI_{(prefix + name).upper()}` | {_value(field)}{unread} | {_default(field)} |"


@cache
def _sources() -> str:
    """All of our code but the settings themselves."""
    root = Path(inspect.getfile(topics)).parent.parent
    files = [file for name in _PACKAGES for file in sorted((root / name).rglob("*.py"))]
    return "\n".join(file.read_text() for file in files if file.name != "settings.py")


def _value(field: FieldInfo) -> str:
    kind = field.annotation
    bounds = {name: getattr(m, name) for m in field.metadata for name in ("gt", "ge", "le") if hasattr(m, name)}
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "JSON list of secrets" if get_args(kind)[0] is SecretStr else "JSON list"
    words: dict[Any, str] = {
        int: "whole number",
        float: "number",
        bool: "`true`, `false`",
        SecretStr: "secret",
        Path: "path",
    }
    text = words.get(kind, "text") if kind is not None else "text"
    low, above, high = bounds.get("ge"), bounds.get("gt"), bounds.get("le")
    if low is not None and high is not None:
        return f"{text}, {low} to {high}"
    if above is not None:
        return f"{text}, above {above}" + (f", at most {high}" if high is not None else "")
    return f"{text}, at least {low}" if low is not None else text


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value in ("", ()) or (isinstance(value, SecretStr) and not value):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    from loopai.cli.main import app

    root: Any = typer.main.get_command(app)
    yield "# The command line\n"
    yield f"{root.help}\n"
    yield "Commands that talk to a running Loopai find its gateway by `LOOPAI_URL` (default `http://127.0.0.1:8080`)"
    yield "and show the key in `LOOPAI_API_KEY`, when there is one. Progress goes to standard error, and only on a"
    yield "terminal.\n"
    yield "| exit code | meaning |"
    yield "|---|---|"
    yield "| 0 | done |"
    yield "| 1 | it failed |"
    yield "| 2 | the command or the configuration is wrong |"
    yield "| 3 | there is no such thing |"
    yield "| 4 | the state forbids it |"
    yield "| 5 | something outside does not answer |"
    yield "| 130 | interrupted |"
    for name in root.list_commands(None):
        found = root.get_command(None, name)
        yield f"\n## loopai {name}\n"
        if hasattr(found, "commands"):
            yield f"{_one_line(found.short_help)}\n"
            for verb, command in found.commands.items():
                yield f"### loopai {name} {verb}\n"
                yield from _command(f"loopai {name} {verb}", command)
        else:
            yield from _command(f"loopai {name}", found)


def _command(path: str, command: Any) -> Iterator[str]:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name not in ("help", *_COMPLETION)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option"]
    words = [_metavar(p) if p.required else f"[{_metavar(p)}]" for p in arguments]
    yield f"`{' '.join([path, *(['[OPTIONS]'] if options else []), *words])}`\n"
    yield f"{_one_line(command.help)}\n"
    if shown:
        yield "| argument or option | what it says | default |"
        yield "|---|---|---|"
        for p in arguments:
            yield f"| `{_metavar(p)}` | {_cell(p.help)} | {'needed' if p.required else 'none'} |"
        for p in options:
            names = ", ".join(f"`{opt}`" for opt in p.opts)
            yield f"| {names} | {_cell(p.help)} | {_option_default(p)} |"
        yield ""


_COMPLETION: Final = ("install_completion", "show_completion")


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).strip("[]")


def _option_default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    value = parameter.default() if callable(parameter.default) else parameter.default
    # A default below zero stands for "not given": the help says what happens then.
    unset = value in (None, "", [], (), False) or (isinstance(value, int | float) and value < 0)
    return "none" if unset else f"`{value}`"


def metrics() -> Iterator[str]:
    """Every Prometheus series, and which role serves it."""
    yield "# Metrics\n"
    yield "Each role serves `/metrics` in Prometheus' text format: the gateway on its own port, the others on"
    yield "`LOOPAI_TELEMETRY__METRICS_PORT`. A series is there from its first event on. `loop` is the app's id. The"
    yield "gateway's numbers are those of the whole group, counted from the topics since it started.\n"
    yield "| name | kind | labels | what it says | served by |"
    yield "|---|---|---|---|---|"
    for name, metric in vars(telemetry).items():
        if isinstance(metric, telemetry.Metric):
            labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
            yield f"| `{metric.name}` | {metric.kind} | {labels} | {_cell(metric.help)} | {_served_by(name)} |"


def _served_by(name: str) -> str:
    """The roles whose code names the metric; the code is read, not run."""
    import gateway
    from loopai.cli import metrics as of_roles

    if name == "BUILD_INFO":
        return "every role"
    folder = Path(inspect.getfile(gateway)).parent
    sources = {
        "executor": inspect.getsource(of_roles.executor_metrics),
        "validator": inspect.getsource(of_roles.validator_metrics),
        "controller": inspect.getsource(of_roles.controller_metrics),
        "gateway": "\n".join(file.read_text() for file in sorted(folder.rglob("*.py"))),
    }
    # Topics share some of the names: a metric is `telemetry.NAME`, or imported from there by name.
    used = re.compile(rf"telemetry(?:\.| import [^\n]*\b){name}\b")
    return ", ".join(role for role, text in sources.items() if used.search(text)) or "nothing yet"


def topic_list() -> Iterator[str]:
    """Every topic: how it is kept, what is in it, who writes and who reads it."""
    yield "# Topics\n"
    yield "Made by the first role that starts and finds them missing; those that are there are left as they are. Values"
    yield "are JSON; the structs are those of `loopai/records.py` and `loopai/deployments.py`, and fields are only ever"
    yield "added. Headers are those of CloudEvents' binary mode (`ce_id`, `ce_type`, `ce_source`, `ce_time`), and"
    yield "`loopai-app` names the app. An input needs only the last of them.\n"
    yield "| topic | key | value | written by | read by | partitions | kept |"
    yield "|---|---|---|---|---|---|---|"
    for topic in topics.ALL:
        key, value, writer, reader = _ABOUT[topic.name]
        partitions = topic.partitions or "`LOOPAI_KAFKA__PARTITIONS`"
        days = topic.retention_ms // 86_400_000
        kept = "the last of each key" if topic.compacted else f"{days} day{'s' if days > 1 else ''}"
        yield f"| `{topic.name}` | {key} | {value} | {writer} | {reader} | {partitions} | {kept} |"
    yield f"\nAn input longer than {topics.MAX_RECORD_BYTES // 1024} KiB is set aside. A program with its data must fit"
    yield f"into {topics.MAX_PROGRAM_BYTES // 1024 // 1024} MiB, so `loopai.programs` has that limit for a message."


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str | None) -> str:
    return _one_line(text).replace("|", "\\|")


def main() -> None:
    """Writes every page below the folder that is given, `docs/reference` by default."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)
        print(folder / name)


if __name__ == "__main__":
    main()
