"""What a command prints: tables for people, one JSON object or NDJSON for machines, errors with the next step."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from loopai.errors import (
    ConfigurationError,
    ConflictError,
    LoopaiError,
    NotFoundError,
    ProgramError,
    RecordError,
    TransientError,
)

OK, FAILURE, USAGE, NOT_FOUND, CONFLICT, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
_CODES: Sequence[tuple[type[LoopaiError], int]] = (
    (ConfigurationError, USAGE),
    (NotFoundError, NOT_FOUND),
    (ConflictError, CONFLICT),
    (TransientError, UNAVAILABLE),
    (ProgramError, FAILURE),
    (RecordError, FAILURE),
)

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

JSON = typer.Option(False, "--json", help="One JSON object, or NDJSON for a list.")


def print_json(value: Any) -> None:
    """One object on one line. Structs, mappings and sequences of them."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_rows(rows: Iterable[dict[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """A table of the named columns, or a line of JSON a row. `empty` says what to do when there is none."""
    rows = list(rows)
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        err.print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    out.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def progress() -> Progress:
    """A bar on stderr; silent where nobody looks (no terminal, CI, NO_COLOR with dumb terminals)."""
    watched = sys.stderr.isatty() and not os.environ.get("CI")
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not watched,
    )


def fail(error: LoopaiError) -> NoReturn:
    """One clear line and the exit code of the error's class."""
    err.print(f"[red]Error:[/red] {_plain(error.message)}", highlight=False)
    if error.next_step:
        err.print(f"  {_plain(error.next_step)}", highlight=False)
    raise SystemExit(next((code for kind, code in _CODES if isinstance(error, kind)), FAILURE))


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
