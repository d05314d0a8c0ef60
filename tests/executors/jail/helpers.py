"""What the jail's tests share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from executors.jail.cell import Answer, Cell
from executors.jail.limits import Limits
from programs.artifact import Program

Open = Callable[..., Awaitable[Cell]]

LIMITS = Limits(soft_ms=60, hard_ms=200, memory_bytes=128 << 20, max_kills=1000, recycle_records=10_000_000)


def program(source: str, **fields: Any) -> Program:
    """A program of some kind; the jail does not look at the kind."""
    return Program.make(**({"kind": "classification", "strategy": "rule", "source": source} | fields))


def outcomes(answers: list[Answer]) -> list[str]:
    return [answer.outcome for answer in answers]


def outputs(answers: list[Answer]) -> list[bytes]:
    return [bytes(answer.output) for answer in answers]
