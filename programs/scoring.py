"""Expected and given answers in, honest scores with intervals out; rows in, splits that do not leak out.

A row that nearly repeats another goes to the same side of every split, so a held-out score never counts a memory.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from math import sqrt
from unicodedata import normalize
from zlib import crc32

import numpy as np

Z95 = 1.959963984540054
SIMILAR = 0.8
"""Jaccard similarity of three-word shingles from which two texts count as one."""

_DIGITS = re.compile(r"\d+")
_MARKS = re.compile(r"[^\w]+|_+")
_BANDS, _DEPTH = 8, 2
_PRIME = (1 << 31) - 1


def accuracy(expected: Sequence[Hashable], given: Sequence[Hashable]) -> float:
    """The share of right answers; an abstention (None) is not right. 0 for no rows."""
    return sum(e == g for e, g in zip(expected, given, strict=True)) / len(expected) if expected else 0.0


def macro_f1(expected: Sequence[Hashable], given: Sequence[Hashable]) -> float:
    """The plain mean of the F1 of every label that is expected or given (None, an abstention, is no label)."""
    right: Counter[Hashable] = Counter()
    wanted = Counter(expected)
    said = Counter(answer for answer in given if answer is not None)
    for want, answer in zip(expected, given, strict=True):
        if want == answer:
            right[want] += 1
    labels = wanted.keys() | said.keys()
    return sum(2 * right[label] / (wanted[label] + said[label]) for label in labels) / len(labels) if labels else 0.0


def wilson(right: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927; Brown, Cai & DasGupta 2001). (0, 1) for no rows."""
    if n <= 0:
        return 0.0, 1.0
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def bootstrap_f1(
    expected: Sequence[Hashable], given: Sequence[Hashable], *, seed: int = 0, rounds: int = 200
) -> tuple[float, float]:
    """The 95 % percentile interval of macro-F1 over resampled rows (Efron 1979), seeded."""
    if not expected:
        return 0.0, 1.0
    draw = random.Random(seed)  # noqa: S311
    rows = range(len(expected))
    values = []
    for _ in range(rounds):
        picked = draw.choices(rows, k=len(expected))
        values.append(macro_f1([expected[i] for i in picked], [given[i] for i in picked]))
    values.sort()
    return values[int(0.025 * rounds)], values[min(rounds - 1, int(0.975 * rounds))]


def flatten(text: str) -> str:
    """A text as near-duplicates are compared: NFKC, lower case, runs of digits as 0, marks as spaces."""
    return " ".join(_MARKS.sub(" ", _DIGITS.sub("0", normalize("NFKC", text).lower())).split())


def shingles(flat: str) -> frozenset[int]:
    """The hashes of the three-word runs of a flattened text; a shorter text is one shingle."""
    words = flat.split(" ")
    if len(words) <= 3:
        return frozenset((crc32(flat.encode()),))
    return frozenset(crc32(" ".join(words[i : i + 3]).encode()) for i in range(len(words) - 2))


def groups(texts: Sequence[str]) -> list[int]:
    """For each text the number of its group: near-duplicates share one. Linear time, by MinHash (Broder 1997)."""
    owner = list(range(len(texts)))

    def root(i: int) -> int:
        while owner[i] != i:
            owner[i] = owner[owner[i]]
            i = owner[i]
        return i

    draw = np.random.default_rng(7)
    factors = draw.integers(1, _PRIME, _BANDS * _DEPTH)[:, None]
    shifts = draw.integers(0, _PRIME, _BANDS * _DEPTH)[:, None]
    exact: dict[str, int] = {}
    buckets: dict[tuple[int, ...], int] = {}
    sets: list[frozenset[int]] = []
    for i, text in enumerate(texts):
        flat = flatten(text)
        same = exact.setdefault(flat, i)
        own = shingles(flat) if same == i else sets[same]
        sets.append(own)
        if same != i:
            owner[root(i)] = root(same)
            continue
        values = np.fromiter(own, dtype=np.int64, count=len(own)) % _PRIME
        least = ((factors * values + shifts) % _PRIME).min(axis=1)
        for band in range(_BANDS):
            key = (band, *least[band * _DEPTH : (band + 1) * _DEPTH].tolist())
            other = buckets.setdefault(key, i)
            if other != i and root(other) != root(i) and len(own & sets[other]) >= SIMILAR * len(own | sets[other]):
                owner[root(i)] = root(other)
    return [root(i) for i in range(len(texts))]


def folds(texts: Sequence[str], labels: Sequence[Hashable], parts: int, seed: int) -> list[list[int]]:
    """Row numbers in `parts` disjoint lists with like shares of each label; near-duplicates stay together."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups(texts)):
        members[group].append(i)
    by_label: defaultdict[str, list[list[int]]] = defaultdict(list)
    for rows in members.values():
        by_label[repr(labels[rows[0]])].append(rows)
    result: list[list[int]] = [[] for _ in range(parts)]
    turn = 0
    for label in sorted(by_label):
        ordered = by_label[label]
        random.Random(f"{seed} {label}").shuffle(ordered)  # noqa: S311
        for rows in ordered:
            result[turn % parts].extend(rows)
            turn += 1
    return [sorted(part) for part in result]


def leaks(train: Sequence[str], held_out: Sequence[str]) -> list[int]:
    """The numbers of the held-out texts that nearly repeat a training text."""
    found = groups([*train, *held_out])
    known = set(found[: len(train)])
    return [i for i, group in enumerate(found[len(train) :]) if group in known]
