"""An ordered list of rules in, a function from record to (label, confidence) out: the first rule that fits answers.

A rule's condition is an atom of the text (see `text.atoms`). What a token is worth, the first rule that it fits, is
worked out once a token; pairs are looked at only in texts with a token that opens one of the rules' pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from programs.runtime.memo import MEMORY, Memo
from programs.runtime.text import canonical, clean, find_tokens, has_link, size_atom, text_of, token_atoms

Rule = tuple[str, Any, float]
Answer = tuple[Any, float]


class Rules:
    """A decision list: `rules` are (atom, label, confidence) in order; `default` answers when none fits."""

    def __init__(self, rules: Sequence[Rule], default: Answer | None, fields: Sequence[str]) -> None:
        self._answers: list[Answer | None] = [(label, confidence) for _, label, confidence in rules]
        self._answers.append(default)
        self._last = len(rules)
        self._place: dict[str, int] = {}
        self._pairs: dict[tuple[str, ...], int] = {}
        for number, (atom, _, _) in enumerate(rules):
            if " " in atom:
                self._pairs.setdefault(tuple(atom.split(" ")), number)
            else:
                self._place.setdefault(atom, number)
        self._openers = frozenset(pair[0] for pair in self._pairs)
        # Tokens seen that open a pair; a text without any is not searched for pairs.
        self._opening: set[str] = set()
        self._first = Memo(self._first_of)
        self._canonical = Memo(canonical)
        self._always = False
        self._sized = any(atom.startswith("size:") for atom in self._place)
        self._link = self._place.get("is:link", self._last)
        self._fields = list(fields)

    def _first_of(self, token: str) -> int:
        if canonical(token) in self._openers:
            if len(self._opening) < MEMORY:
                self._opening.add(token)
            else:
                self._always = True
        return min(self._place.get(atom, self._last) for atom in token_atoms(token))

    def answer(self, text: str) -> Answer | None:
        """The answer of the first rule whose atom the text has; None for a text without any token."""
        text = clean(text)
        if not text or text.isspace():
            return None
        found = find_tokens(text)
        first = min(map(self._first.__getitem__, found), default=self._last)
        if self._always or not self._opening.isdisjoint(found):
            known = map(self._pairs.get, pairwise(map(self._canonical.__getitem__, found)))
            first = min((place for place in known if place is not None and place < first), default=first)
        if self._sized:
            first = min(first, self._place.get(size_atom(text), self._last))
        if self._link < first and has_link(text):
            first = self._link
        return self._answers[first]

    def run(self, record: Any) -> Answer | None:
        """The contract of a program for one record."""
        return self.answer(text_of(record, self._fields))

    def run_batch(self, records: Iterable[Any]) -> list[Answer | None]:
        """The contract of a program for many: the same answers."""
        answer, fields = self.answer, self._fields
        return [answer(text_of(record, fields)) for record in records]
