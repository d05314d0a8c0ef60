"""Samples and validations in any order, freshly labelled examples out: input and right answer, newest kept.

A sample carries the input, a validation the right answer, and neither waits for the other: whichever comes first is
kept, within bounds, until its partner comes. What falls out of the bounds is an example fewer, never a wrong one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from loopai.records import Example, Sample, ValidationResult

KEPT: Final = 2_000
KEPT_BYTES: Final = 8 << 20
"""Labelled examples kept for one app, in number and in bytes of input."""

WAITING: Final = 20_000
WAITING_BYTES: Final = 64 << 20
"""Inputs that wait for their check, over all apps."""


class FreshRow(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled input. `at` is how many validations of the app came before it; `wrong` tells of the answer given.
    `size` is in bytes of the message that carried the input."""

    example: Example
    at: int
    wrong: bool
    size: int = 0


class FreshExamples:
    """The waiting room of all apps. Not stored: what waited during a crash is not learned from."""

    def __init__(self) -> None:
        self._inputs: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str], tuple[Any, int, bool]] = OrderedDict()
        self._bytes = 0

    def sample(self, sample: Sample, size: int) -> FreshRow | None:
        """Takes an input of `size` bytes. A row when its check came already."""
        key = (sample.app, sample.id)
        if (answer := self._answers.pop(key, None)) is not None:
            return _row(sample.id, sample.input, size, answer)
        self._forget(key)
        self._inputs[key] = (sample.input, size)
        self._bytes += size
        while len(self._inputs) > WAITING or self._bytes > WAITING_BYTES:
            self._forget(next(iter(self._inputs)))
        return None

    def validation(self, v: ValidationResult, at: int) -> FreshRow | None:
        """Takes a check. A row when it names the right answer and its input is here."""
        if v.verdict not in ("match", "mismatch"):
            return None
        expected = v.expected if v.expected is not None else v.output if v.verdict == "match" else None
        if expected is None:
            return None
        key, answer = (v.app, v.id), (expected, at, v.verdict == "mismatch")
        if key in self._inputs:
            value, size = self._inputs[key]
            self._forget(key)
            return _row(v.id, value, size, answer)
        self._answers[key] = answer
        while len(self._answers) > WAITING:
            self._answers.popitem(last=False)
        return None

    def _forget(self, key: tuple[str, str]) -> None:
        found = self._inputs.pop(key, None)
        self._bytes -= found[1] if found else 0


def combine(old: Sequence[Example], fresh: Sequence[Example]) -> list[Example]:
    """What to learn from: the newest answer for each input. An older one that contradicts it is dropped."""
    newest: dict[bytes, Example] = {}
    for example in (*old, *fresh):
        key = msgspec.json.encode(example.input, order="sorted")
        newest.pop(key, None)
        newest[key] = example
    return list(newest.values())


def surplus(rows: list[FreshRow], size: int) -> int:
    """How many of the oldest rows lie beyond the bounds, when all of them have `size` bytes together."""
    n = max(0, len(rows) - KEPT)
    size -= sum(row.size for row in rows[:n])
    while size > KEPT_BYTES:
        size -= rows[n].size
        n += 1
    return n


def _row(id: str, input: Any, size: int, answer: tuple[Any, int, bool]) -> FreshRow:
    expected, at, wrong = answer
    return FreshRow(example=Example(id=id, input=input, expected=expected), at=at, wrong=wrong, size=size)
