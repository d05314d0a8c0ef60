"""The protocol of a strategy: a task and labelled rows in, a proposal (source and data of a program) out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from loopai.records import Example
from programs.artifact import Manifest, Program
from programs.artifact import Strategy as StrategyName
from programs.task import Task


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A program that a strategy offers, and the recipe that makes it again from other rows.

    `recipe` holds every choice that was made by looking at the rows (strength of regularisation, families of features,
    calibration), so a refit on more rows repeats them and chooses nothing new. `notes` are for people.
    """

    strategy: StrategyName
    source: str
    data: bytes = b""
    recipe: dict[str, Any] = {}
    notes: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0

    def program(self, task: Task, manifest: Manifest | None = None) -> Program:
        """The proposal as an artifact."""
        return Program.make(
            kind=task.kind,
            strategy=self.strategy,
            source=self.source,
            data=self.data,
            input_schema=task.input_schema,
            output_schema=task.output_schema,
            manifest=manifest,
        )


class Strategy(Protocol):
    """A way to come from rows to a program.

    The router calls `suits` once, then `propose` without a recipe on the training part of a split, and at the end, for
    the strategy that won, `propose` with the recipe of that proposal on all rows. The same rows, seed and recipe give
    the same bytes. `deadline` is on `time.monotonic`; a strategy that cannot keep it offers what it has or raises
    `ProgramError`, which is noted as the reason why it fell out. It may take seconds: it runs beside the event loop.
    """

    name: str
    nominal_us: float
    """What a short record costs, in microseconds: breaks ties, so that a choice never hangs on a clock."""

    def suits(self, task: Task, rows: Sequence[Example]) -> str:
        """Empty when the strategy can try, else the reason why not."""
        ...

    def propose(
        self, task: Task, rows: Sequence[Example], seed: int, deadline: float, recipe: dict[str, Any] | None = None
    ) -> Proposal: ...


def literal(value: Any) -> str:
    """A JSON value as Python source, long containers a line an entry."""
    text = repr(value)
    if len(text) <= 100 or not isinstance(value, dict | list | tuple):
        return text
    if isinstance(value, dict):
        return "{\n" + "".join(f"    {key!r}: {entry!r},\n" for key, entry in value.items()) + "}"
    body = "".join(f"    {entry!r},\n" for entry in value)
    return f"[\n{body}]" if isinstance(value, list) else f"(\n{body})"


def docstring(text: str) -> str:
    """A text that is safe inside triple quotes: ASCII, no backslashes, no quotes that end it."""
    plain = text.encode("ascii", "replace").decode().replace("\\", "/").replace('"', "'")
    return f'"""{plain}"""'
