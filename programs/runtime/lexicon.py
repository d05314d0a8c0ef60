"""A scorecard in, a function from record to (label, confidence) out: points for what a text has, most points win."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp
from typing import Any

from programs.runtime.memo import Memo
from programs.runtime.text import canonical, clean, find_tokens, has_link, size_atom, text_of, token_atoms

Answer = tuple[Any, float]


class Lexicon:
    """`points` gives each label its atoms (see `text.atoms`) with whole points, `start` its points for nothing.

    `slope` and `offset` turn the lead of the best label into the chance that it is right (Platt's scaling).
    """

    def __init__(
        self,
        points: Mapping[Any, Mapping[str, int]],
        start: Sequence[int],
        calibration: tuple[float, float],
        fields: Sequence[str],
    ) -> None:
        self._labels = list(points)
        self._start = list(start)
        self._given: dict[str, list[tuple[int, int]]] = {}
        for number, label in enumerate(self._labels):
            for atom, many in points[label].items():
                self._given.setdefault(atom, []).append((number, many))
        self._pairs = {tuple(atom.split(" ")): atom for atom in self._given if " " in atom}
        self._sized = any(atom.startswith("size:") for atom in self._given)
        self._known = Memo(lambda token: tuple(atom for atom in token_atoms(token) if atom in self._given))
        self._canonical = Memo(canonical)
        self._slope, self._offset = calibration
        self._fields = list(fields)

    def answer(self, text: str) -> Answer | None:
        """The label with the most points, the earlier one of equals; None for a text without any token."""
        text = clean(text)
        if not text or text.isspace():
            return None
        sums = self._start.copy()
        given = self._given
        for atom in self._found(text):
            for number, many in given[atom]:
                sums[number] += many
        best = max(sums)
        place = sums.index(best)
        sums[place] = min(sums) - 1
        logit = self._offset + self._slope * (best - max(sums))
        return self._labels[place], round(1.0 / (1.0 + exp(-max(-30.0, min(30.0, logit)))), 4)

    def _found(self, text: str) -> set[str]:
        """The atoms of a text that have points, each once."""
        tokens = find_tokens(text)
        found: set[str] = set().union(*map(self._known.__getitem__, set(tokens)))
        if self._pairs:
            found.update(filter(None, map(self._pairs.get, pairwise(map(self._canonical.__getitem__, tokens)))))
        if self._sized and (size := size_atom(text)) in self._given:
            found.add(size)
        if "is:link" in self._given and has_link(text):
            found.add("is:link")
        return found

    def run(self, record: Any) -> Answer | None:
        """The contract of a program for one record."""
        return self.answer(text_of(record, self._fields))

    def run_batch(self, records: Iterable[Any]) -> list[Answer | None]:
        """The contract of a program for many: the same answers."""
        answer, fields = self.answer, self._fields
        return [answer(text_of(record, fields)) for record in records]
