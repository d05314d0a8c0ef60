"""Texts in, a sparse matrix of feature weights out: the training side of `programs.runtime.linear`.

A row of the matrix counts, over the *distinct* tokens of a text, the token's word, its character n-grams and its extras
(case, digits, marks), and over its pairs of neighbouring tokens the pair. Counting distinct tokens is what
makes a text the sum of its tokens, so that running needs one look-up a token; by cross-validation it is as good as
sublinear term frequency. Weights are inverse document frequencies (Sparck Jones 1972), n-grams at `gram_weight`, and a
row is divided by the root of its summed squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from programs.runtime.linear import BORDER
from programs.runtime.text import canonical, clean, extras, find_tokens, grams, shape

FAMILIES = ("words", "pairs", "grams", "extras")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Corpus:
    """Texts as lists of feature numbers; names are shared by every text that was read."""

    number: dict[tuple[str, str], int] = field(default_factory=dict)
    _tokens: dict[str, tuple[str, Ints]] = field(default_factory=dict)

    def read(self, texts: Iterable[str]) -> csr_matrix:
        """Counts of every feature: a row a text, a column a feature seen so far."""
        indices: list[Ints] = []
        counts: list[Ints] = []
        ends = [0]
        for text in texts:
            found, times = np.unique(self._features(clean(text)), return_counts=True)
            indices.append(found)
            counts.append(times)
            ends.append(ends[-1] + len(found))
        return csr_matrix(
            (_joined(counts).astype(np.float64), _joined(indices), np.asarray(ends)),
            shape=(len(ends) - 1, len(self.number)),
        )

    def _features(self, text: str) -> Ints:
        plain, rows = [BORDER], [np.asarray([self._id("extras", shape(text))])]
        seen: set[str] = set()
        for token in find_tokens(text):
            known = self._tokens.get(token)
            if known is None:
                known = self._tokens[token] = self._token(token)
            plain.append(known[0])
            if token not in seen:
                seen.add(token)
                rows.append(known[1])
        plain.append(BORDER)
        pairs = pairwise(plain)
        rows.append(np.asarray([self._id("pairs", f"{left} {right}") for left, right in pairs], dtype=np.int64))
        return np.concatenate(rows)

    def _token(self, token: str) -> tuple[str, Ints]:
        word = canonical(token)
        names = [("words", word), *(("grams", gram) for gram in grams(word)), *(("extras", e) for e in extras(token))]
        return word, np.asarray([self._id(*name) for name in names], dtype=np.int64)

    def _id(self, family: str, name: str) -> int:
        return self.number.setdefault((family, name), len(self.number))


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Weighting:
    """Which features count and how much: fitted on training counts, applied to any counts of the same corpus."""

    columns: Ints
    weights: Floats

    @classmethod
    def fit(cls, counts: csr_matrix, corpus: Corpus, recipe: dict[str, Any]) -> Weighting:
        """Keep the features in at least `min_df` texts of the families that the recipe names."""
        rows = counts.shape[0]
        frequency = np.bincount(counts.indices, minlength=counts.shape[1])
        block = np.asarray([recipe["weights"].get(family, 0.0) for family, _ in corpus.number])[: counts.shape[1]]
        columns = np.flatnonzero((frequency >= recipe["min_df"]) & (block > 0))
        idf = np.log((1 + rows) / (1 + frequency[columns])) + 1.0
        return cls(columns, idf * block[columns])

    def apply(self, counts: csr_matrix) -> csr_matrix:
        """Weighted rows of length one."""
        kept = counts[:, self.columns]
        squares = np.asarray(kept @ (self.weights**2)).ravel()
        squares[squares == 0] = 1.0
        return (diags(1.0 / np.sqrt(squares)) @ kept @ diags(self.weights)).tocsr()
