"""Texts in, a sparse matrix of feature weights out: the training side of `programs.runtime.linear`.

A row of the matrix counts, over the *distinct* tokens of a text, the token's word, its character n-grams and its extras
(case, digits, marks), and over its pairs of neighbouring tokens the pair. Counting distinct tokens is what
makes a text the sum of its tokens, so that running needs one look-up a token; by cross-validation it is as good as
sublinear term frequency. Weights are inverse document frequencies (Sparck Jones 1972), n-grams at `gram_weight`, and a
row is divided by the root of its summed squares. Beside them stands the shape of a text (how long, how many digits,
capitals and marks, in steps) at a small constant weight: it is what tells spam from a hundred examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack

from programs.runtime.linear import BORDER
from programs.runtime.text import STEPS, canonical, clean, extras, find_tokens, grams, makeup, shape

FAMILIES = ("words", "pairs", "grams", "extras")
STAIRS = tuple((measure, step) for measure, steps in enumerate(STEPS) for step in range(len(steps)))
"""The columns of the shape of a text: (measure, step), on for every step up to the one it stands on."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = tuple[Ints, Ints, tuple[int, ...]]
REMEMBERED = 20_000
"""Texts whose features are kept, some 2 kB each."""


@dataclass(frozen=True)
class Counts:
    """What was counted in some texts: a row a text. `words` has a column a feature, `shapes` one a stair."""

    words: csr_matrix
    shapes: csr_matrix

    def __getitem__(self, rows: Ints) -> Counts:
        return Counts(self.words[rows], self.shapes[rows])


@dataclass
class Corpus:
    """Texts as lists of feature numbers; names are shared by every text that was read."""

    number: dict[tuple[str, str], int] = field(default_factory=dict)
    families: list[int] = field(default_factory=list)
    _tokens: dict[str, tuple[str, Ints, tuple[int, int, int]]] = field(default_factory=dict)
    _texts: dict[str, Row] = field(default_factory=dict)
    _ranks: Ints | None = None

    def read(self, texts: Iterable[str]) -> Counts:
        """Counts of every feature seen so far, and the shape of each text."""
        found = [self._row(text) for text in texts]
        ends = np.cumsum([0, *(len(numbers) for numbers, _, _ in found)])
        matrix = csr_matrix(
            (
                _joined([times for _, times, _ in found]).astype(np.float64),
                _joined([numbers for numbers, _, _ in found]),
                ends,
            ),
            shape=(len(found), len(self.number)),
        )
        shapes = np.asarray([[float(step < stands[measure]) for measure, step in STAIRS] for _, _, stands in found])
        return Counts(matrix, csr_matrix(shapes.reshape(len(found), len(STAIRS))))

    def _row(self, text: str) -> Row:
        """The features of a text, remembered, as a router reads the same texts several times."""
        known = self._texts.get(text)
        if known is None:
            numbers, stands = self._features(clean(text))
            known = (*np.unique(numbers, return_counts=True), stands)
            if len(self._texts) < REMEMBERED:
                self._texts[text] = known
        return known

    def _features(self, text: str) -> tuple[Ints, tuple[int, ...]]:
        plain, rows = [BORDER], [np.zeros(0, dtype=np.int64)]
        seen: set[str] = set()
        digits = capitals = marks = 0
        for token in find_tokens(text):
            known = self._tokens.get(token)
            if known is None:
                known = self._tokens[token] = self._token(token)
            plain.append(known[0])
            if token not in seen:
                seen.add(token)
                rows.append(known[1])
                digits, capitals, marks = digits + known[2][0], capitals + known[2][1], marks + known[2][2]
        plain.append(BORDER)
        pairs = [self._id("pairs", f"{left} {right}") for left, right in pairwise(plain)]
        rows.append(np.asarray(pairs, dtype=np.int64))
        return np.concatenate(rows), shape(len(text), len(plain) - 2, digits, capitals, marks)

    def _token(self, token: str) -> tuple[str, Ints, tuple[int, int, int]]:
        word = canonical(token)
        names = [("words", word), *(("grams", gram) for gram in grams(word)), *(("extras", e) for e in extras(token))]
        return word, np.asarray([self._id(*name) for name in names], dtype=np.int64), makeup(token)

    def ranks(self, width: int) -> Ints:
        """The place of each of the first `width` features in the order of their names."""
        if self._ranks is None or len(self._ranks) < len(self.number):
            names = list(self.number)
            order = sorted(range(len(names)), key=names.__getitem__)
            self._ranks = np.empty(len(names), dtype=np.int64)
            self._ranks[order] = np.arange(len(names))
        return self._ranks[:width]

    def _id(self, family: str, name: str) -> int:
        key = (family, name)
        found = self.number.get(key)
        if found is None:
            found = self.number[key] = len(self.number)
            self.families.append(FAMILIES.index(family))
        return found


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Weighting:
    """Which features count and how much: fitted on training counts, applied to any counts of the same corpus."""

    columns: Ints
    weights: Floats
    shape: float

    @classmethod
    def fit(cls, counts: Counts, corpus: Corpus, recipe: dict[str, Any]) -> Weighting:
        """Keep the features in at least `min_df` texts of the families that the recipe names."""
        rows, width = counts.words.shape
        frequency = np.bincount(counts.words.indices, minlength=width)
        block = np.asarray([recipe["weights"].get(family, 0.0) for family in FAMILIES])
        strength = block[np.asarray(corpus.families[:width], dtype=np.int64)]
        columns = np.flatnonzero((frequency >= recipe["min_df"]) & (strength > 0))
        # By name, so that what the corpus read before makes no difference, not even of rounding.
        columns = columns[np.argsort(corpus.ranks(width)[columns])]
        idf = np.log((1 + rows) / (1 + frequency[columns])) + 1.0
        return cls(columns, idf * strength[columns], float(recipe["shape"]))

    def apply(self, counts: Counts) -> csr_matrix:
        """Weighted rows of length one, and beside them the stairs at their constant weight."""
        kept = counts.words[:, self.columns]
        squares = np.asarray(kept @ (self.weights**2)).ravel()
        squares[squares == 0] = 1.0
        rows = diags(1.0 / np.sqrt(squares)) @ kept @ diags(self.weights)
        return hstack([rows, counts.shapes * self.shape], format="csr")
