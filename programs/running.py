"""A program and raw inputs in, answers out: how the router and the evaluation reach the jail without knowing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from programs.artifact import Program


class Answer(Protocol):
    """One answer. `output` is a decoded value or raw JSON; it counts only when `outcome` is `ok`."""

    @property
    def outcome(self) -> str: ...
    @property
    def output(self) -> Any: ...
    @property
    def confidence(self) -> float | None: ...


Runner = Callable[[Program, Sequence[bytes]], Awaitable[Sequence[Answer]]]
"""Runs a program over encoded inputs and gives an answer for each, in order.

The caller wires the jail here. A program that cannot be loaded raises `ProgramError` or answers `rejected` to all.
"""


def output_of(answer: Answer) -> Any:
    """The output as a value; None unless the outcome is `ok`."""
    if answer.outcome != "ok":
        return None
    output = answer.output
    return msgspec.json.decode(output) if isinstance(output, msgspec.Raw | bytes) else output


def encode_inputs(values: Sequence[Any]) -> list[bytes]:
    """Inputs as they cross the border."""
    encode = msgspec.json.Encoder().encode
    return [encode(value) for value in values]
