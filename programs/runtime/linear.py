"""Weights as bytes in, a function from record to (label, confidence) out: a linear text model without any library.

The score of label k is  S_k / z + b_k  with  S_k  the sum of the weights of the features that a text has,  z  the
length of its weighted feature vector and  b_k  the bias of the label for texts of that shape (see `text.shape`). Each
feature's weights for all labels, and its share of z², are packed as fields of one Python integer, so adding the vectors
of a 150-label model is one big-integer addition (about 0.2 µs). Sums of integers are exact: any order and any batch
gives the same answer.

What a token adds is a function of the token alone (see `text`), so it is worked out once and remembered; the memory is
bounded. Tried and rejected: numpy (needs the whole library in every jailed worker, slower for one record) and sparse
postings (slower from some twenty labels on).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import exp, sqrt
from struct import iter_unpack
from typing import Any, Literal

from programs.runtime.memo import Memo
from programs.runtime.text import STEPS, canonical, clean, extras, find_tokens, grams, makeup, shape, text_of
from programs.runtime.weights import lines, read

BORDER = "\x02"
GAIN = 32
"""Sums are raised by this before the bias is added, so that its rounding is small beside theirs."""
LEVELS = 511
"""A bias is rounded to one of so many steps between the least and the greatest."""
STATISTICS = 4
"""Fields above the labels: the squared length, then the digits, capitals and marks of the text."""

Answer = tuple[Any, float]


def field_bytes(dtype: str) -> int:
    """How wide a field is. The sum of the features of 8,000 characters, raised by `GAIN`, must stay inside.

    Eight bits at a factor of at most 16 in four bytes hold 32,000 features; twelve bits in eight bytes any number.
    """
    return 8 if dtype == "U16" else 4


class Table:
    """The packed rows of one family of features: of few labels all at once, of many when first asked for."""

    def __init__(self, names: Sequence[Any], view: tuple[str, tuple[int, ...], memoryview], factor: int) -> None:
        dtype, (rows, width), self._raw = view
        if rows != len(names):
            raise ValueError("a table of weights has not as many rows as names")
        if dtype not in ("U8", "U16"):
            raise ValueError("a table of weights is not of integers")
        self.empty = not rows
        self._size = field_bytes(dtype)
        self._space = self._size * width
        self._stride = width * (2 if dtype == "U16" else 1)
        self._factor = factor
        self._eager = dtype == "U16"
        if self._eager:
            self._value = dict(zip(names, self._unpack(0, rows), strict=True)).get
        else:
            self._value = dict(zip(names, range(1, rows + 1), strict=True)).get
            self._rows = Memo(lambda place: self._unpack(place - 1, place)[0])

    def total(self, names: Iterable[Any]) -> int:
        """The sum of the packed weights of features; unknown ones add nothing."""
        found = filter(None, map(self._value, names))
        return sum(found) if self._eager else sum(map(self._rows.__getitem__, found))

    def _unpack(self, first: int, last: int) -> list[int]:
        """The rows from one to before another as integers."""
        raw = self._raw[first * self._stride : last * self._stride]
        room = bytearray(self._space * (last - first))
        if self._eager:
            room[0 :: self._size] = raw[0::2]
            room[1 :: self._size] = raw[1::2]
        else:
            room[0 :: self._size] = raw
        space, factor = self._space, self._factor
        return [int.from_bytes(room[i : i + space], "little") * factor for i in range(0, len(room), space)]


class Linear:
    """A linear model of the text of a record. Made from the bytes that `programs.strategies.linear` writes.

    Raises ValueError when the bytes are no such model.
    """

    def __init__(self, data: bytes) -> None:
        about, tensors = read(data)
        self.labels: list[Any] = about["labels"]
        self.fields: list[str] = about["fields"]
        self._step: float = about["step"] / GAIN
        self._norm_step: float = about["norm_step"]
        self._unit = self._step / sqrt(self._norm_step)
        self._slope, self._offset, self._height = about["calibration"]
        self._count = len(self.labels)
        # The label that means none of the others, and how sure the others must be.
        self._other, self._doubt = about["other"]
        factors = about["factors"]
        self._words = Table(lines(tensors["words.names"][2]), tensors["words"], factors["words"])
        self._grams = Table(lines(tensors["grams.names"][2]), tensors["grams"], factors["grams"])
        self._extras = Table(lines(tensors["extras.names"][2]), tensors["extras"], factors["extras"])
        pairs = [tuple(name.split(" ")) for name in lines(tensors["pairs.names"][2])]
        self._pairs = Table(pairs, tensors["pairs"], factors["pairs"])
        self._size = field_bytes(tensors["words"][0])
        self._code: Literal["Q", "I"] = "Q" if self._size == 8 else "I"
        self._mask = (1 << (8 * self._size)) - 1
        self._stairs = Memo(self._standing(about["bias"], tensors["stairs"]), 5000)
        self._canonical = Memo(canonical)
        self._vectors = Memo(self._vector)

    def _vector(self, token: str) -> int:
        """All that a token adds: as a known word in one row, as an unknown one by its n-grams; and its extras."""
        plain = token.isalpha() and token.islower()
        word = token if plain else canonical(token)
        total = self._words.total((word,))
        if not total and not self._grams.empty:
            total = self._grams.total(grams(word))
        if plain:
            return total
        size = 8 * self._size
        for place, many in enumerate(makeup(token), self._count + 1):
            total += many << (size * place)
        return total + self._extras.total(extras(token))

    def _standing(self, bias: list[float], view: tuple[str, tuple[int, ...], memoryview]) -> Callable[[Any], int]:
        """A function from the shape of a text to the packed biases of the labels."""
        dtype, extent, raw = view
        starts = [0]
        for steps in STEPS:
            starts.append(starts[-1] + len(steps) + 1)
        if dtype != "F32" or extent != (starts[-1], self._count) or len(bias) != self._count:
            raise ValueError("the table of shapes does not fit the labels")
        table = [list(row) for row in iter_unpack(f"<{self._count}f", raw)]
        # The least and the greatest bias that any shape can have, so that all are rounded to one scale.
        groups = [table[a:b] for a, b in pairwise(starts)]
        low = min(bias) + sum(min(map(min, group)) for group in groups)
        high = max(bias) + sum(max(map(max, group)) for group in groups)
        level = (high - low) / LEVELS or 1.0
        self._bias_scale = level / self._step * sqrt(self._norm_step)
        size = 8 * self._size

        def standing(stands: tuple[int, ...]) -> int:
            rows = [group[place] for group, place in zip(groups, stands, strict=True)]
            values = (own + sum(column) for own, *column in zip(bias, *rows, strict=True))
            return sum(round((value - low) / level) << (size * k) for k, value in enumerate(values))

        return standing

    def sums(self, text: str) -> tuple[list[int], float]:
        """The score of each label as an integer, up to one common shift, and what a unit of it is worth."""
        found = find_tokens(text)
        total: int = sum(map(self._vectors.__getitem__, set(found)))
        if not self._pairs.empty:
            plain = [BORDER, *map(self._canonical.__getitem__, found), BORDER]
            total += self._pairs.total(pairwise(plain))
        size, mask, count = 8 * self._size, self._mask, self._count
        top = total >> (size * count)
        squared = top & mask
        stands = shape(len(text), len(found), top >> size & mask, top >> 2 * size & mask, top >> 3 * size)
        # A text of unknown tokens has no direction: only its shape speaks.
        root = sqrt(squared) or 1.0
        raised = total * GAIN + self._stairs[stands] * int(root * self._bias_scale)
        unit = self._unit / root
        if count == 2:
            return [raised & mask, raised >> size & mask], unit
        fields = memoryview(raised.to_bytes(self._size * (count + STATISTICS) + 4, "little"))
        return fields[: self._size * count].cast(self._code).tolist(), unit

    def scores(self, text: str) -> list[float]:
        """The score of each label, up to one common shift. For tests and explanations."""
        sums, unit = self.sums(clean(text))
        return [unit * value for value in sums]

    def answer(self, text: str) -> Answer | None:
        """The best label and how sure it is; None for a text without any token."""
        text = clean(text)
        if not text or text.isspace():
            return None
        sums, unit = self.sums(text)
        best = max(sums)
        place = sums.index(best)
        sums[place] = 0
        logit = self._offset + self._slope * unit * (best - max(sums))
        if self._height:
            logit += self._height * unit * (best - (best + sum(sums)) / len(sums))
        sure = round(1.0 / (1.0 + exp(-max(-30.0, min(30.0, logit)))), 4)
        if sure < self._doubt and place != self._other:
            return self.labels[self._other], round(1.0 - sure, 4)
        return self.labels[place], sure

    def run(self, record: Any) -> Answer | None:
        """The contract of a program for one record."""
        return self.answer(text_of(record, self.fields))

    def run_batch(self, records: Iterable[Any]) -> list[Answer | None]:
        """The contract of a program for many: the same answers."""
        answer, fields = self.answer, self.fields
        return [answer(text_of(record, fields)) for record in records]
