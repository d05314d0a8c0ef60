"""An ordered list of rules in, a function from record to (label, confidence) out: the first rule that fits answers.

A rule's condition is an atom of the text (see `text.atoms`). Finding the first that fits is one look-up an atom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from programs.runtime.text import atoms, text_of

Rule = tuple[str, Any, float]
Answer = tuple[Any, float]


class Rules:
    """A decision list: `rules` are (atom, label, confidence) in order; `default` answers when none fits."""

    def __init__(self, rules: Sequence[Rule], default: Answer | None, fields: Sequence[str]) -> None:
        self._place: dict[str, int] = {}
        for number, (atom, _, _) in enumerate(rules):
            self._place.setdefault(atom, number)
        self._answers: list[Answer | None] = [(label, confidence) for _, label, confidence in rules]
        self._answers.append(default)
        self._fields = list(fields)

    def answer(self, text: str) -> Answer | None:
        """The answer of the first rule whose atom the text has; None for a text without any token."""
        if not text or text.isspace():
            return None
        place, last = self._place, len(self._answers) - 1
        fitting = [place[atom] for atom in place.keys() & atoms(text)]
        return self._answers[min(fitting) if fitting else last]

    def run(self, record: Any) -> Answer | None:
        """The contract of a program for one record."""
        return self.answer(text_of(record, self._fields))

    def run_batch(self, records: Iterable[Any]) -> list[Answer | None]:
        """The contract of a program for many: the same answers."""
        answer, fields = self.answer, self._fields
        return [answer(text_of(record, fields)) for record in records]
