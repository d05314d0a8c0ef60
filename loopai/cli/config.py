"""`loopai config`: the effective settings, secrets masked."""

from __future__ import annotations

import typer

from loopai import settings
from loopai.cli.output import JSON, err, out

app = typer.Typer(no_args_is_help=True, help="The effective settings.")


@app.callback()
def _group() -> None:
    """The effective settings."""


@app.command()
def show(as_json: bool = JSON) -> None:
    """Every setting with its value; secrets are masked."""
    loaded = settings.load()
    for name in settings.unknown_variables():
        err.print(f"[yellow]Warning:[/yellow] {name} is no setting of Loopai.", highlight=False)
    if as_json:
        print(loaded.model_dump_json())
        return
    for part, value in loaded.model_dump(mode="json").items():
        if isinstance(value, dict):
            for name, inner in value.items():
                out.print(f"{part}.{name} = {inner!r}", highlight=False, markup=False)
        else:
            out.print(f"{part} = {value!r}", highlight=False, markup=False)
