"""The `loopai` command: arguments in, an exit code out.

Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 not found, 4 conflict, 5 unavailable, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from loopai import __version__
from loopai.cli.output import INTERRUPTED, fail
from loopai.errors import LoopaiError

_GROUPS = {
    "demo": ("loopai.cli.demo", "Everything on this machine: a made-up stream, the loop and the page."),
    "serve": ("loopai.cli.serve", "Run a role: gateway, executor, validator, controller or all."),
    "app": ("loopai.cli.apps", "Loop apps: create, list, show."),
    "program": ("loopai.cli.programs", "Programs: generate, list, show."),
    "input": ("loopai.cli.inputs", "Inputs: send."),
    "rollout": ("loopai.cli.rollouts", "Rollouts: start, promote, pause, resume, rollback, status."),
    "dlq": ("loopai.cli.dlq", "Inputs that were set aside: list, show, replay."),
    "watch": ("loopai.cli.watch", "The live picture in the terminal."),
    "evaluate": ("loopai.cli.evaluate", "Generate from labelled rows, score on others, in the jail."),
    "doctor": ("loopai.cli.doctor", "What this machine and this configuration can do."),
    "config": ("loopai.cli.config", "The effective settings."),
}


class _Lazy(TyperGroup):
    """Imports a command's module when it is asked for: `loopai --help` needs no scikit-learn."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _GROUPS:
            return None
        module, help_text = _GROUPS[cmd_name]
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name, command.short_help = cmd_name, help_text
        return command


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    help="Loopai replaces repeated LLM calls on a stream with generated programs, checked and kept honest.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"loopai {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Loopai replaces repeated LLM calls on a stream with generated programs, checked and kept honest."""


def main() -> None:
    """The entry point of the console script."""
    try:
        app()
    except LoopaiError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
