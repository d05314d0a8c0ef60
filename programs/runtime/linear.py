"""Weights as bytes in, a function from record to (label, confidence) out: a linear text model without any library.

The score of label k is  S_k / z + b_k  with  S_k  the sum of the weights of the features that a text has and  z  the
length of its weighted feature vector. Each feature's weights for all labels, and its share of z², are packed as 32-bit
fields of one Python integer, so adding the vectors of a 150-label model is one big-integer addition (about 0.1 µs).
Sums of integers are exact: any order, any batch, any machine gives the same answer.

What a token adds is a function of the token alone (see `text`), so it is worked out once and remembered; the memory is
bounded. Tried and rejected: numpy (needs the whole library in every jailed worker, slower for one record) and sparse
postings (slower from some twenty labels on).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import exp, sqrt
from typing import Any

from programs.runtime.text import canonical, clean, extras, find_tokens, grams, shape, text_of
from programs.runtime.weights import lines, read

MEMORY = 20_000
"""Tokens remembered at most; at the limit the memory is emptied."""
BORDER = "\x02"
GAIN = 16
"""Sums are raised by this before the bias is added, so that its rounding is small beside theirs.

A weight is at most 4,095 and a text has at most some 40,000 features: a field never reaches 2**32.
"""

Answer = tuple[Any, float]


class Memo(dict[Any, Any]):
    """A bounded memory of a pure function: a missing key is worked out and kept."""

    def __init__(self, function: Callable[[Any], Any], limit: int = MEMORY) -> None:
        super().__init__()
        self._function = function
        self._limit = limit

    def __missing__(self, key: Any) -> Any:
        if len(self) >= self._limit:
            self.clear()
        value = self[key] = self._function(key)
        return value


class Table:
    """The packed rows of one family of features, unpacked when first asked for."""

    def __init__(self, names: Sequence[Any], view: tuple[str, tuple[int, ...], memoryview], factor: int) -> None:
        dtype, (rows, width), self._raw = view
        if rows != len(names):
            raise ValueError("a table of weights has not as many rows as names")
        self.place = dict(zip(names, range(1, rows + 1), strict=True)).get
        self.empty = not rows
        self.rows = Memo(self._unpack)
        self._stride = width * (2 if dtype == "U16" else 1)
        self._wide = dtype == "U16"
        self._space = 4 * width
        self._factor = factor

    def total(self, names: Iterable[Any]) -> int:
        """The sum of the packed weights of features; unknown ones add nothing."""
        return sum(map(self.rows.__getitem__, filter(None, map(self.place, names))))

    def _unpack(self, place: int) -> int:
        raw = self._raw[(place - 1) * self._stride : place * self._stride]
        room = bytearray(self._space)
        if self._wide:
            room[0::4] = raw[0::2]
            room[1::4] = raw[1::2]
        else:
            room[0::4] = raw
        return int.from_bytes(room, "little") * self._factor


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
        self._slope, self._offset, self._height = about["calibration"]
        self._width = len(self.labels) + 1
        factors = about["factors"]
        self._words = Table(lines(tensors["words.names"][2]), tensors["words"], factors["words"])
        self._grams = Table(lines(tensors["grams.names"][2]), tensors["grams"], factors["grams"])
        self._extras = Table(lines(tensors["extras.names"][2]), tensors["extras"], factors["extras"])
        pairs = [tuple(name.split(" ")) for name in lines(tensors["pairs.names"][2])]
        self._pairs = Table(pairs, tensors["pairs"], factors["pairs"])
        self._bias = sum(value << (32 * k) for k, value in enumerate(about["bias"]))
        self._bias_scale: float = about["bias_scale"] * sqrt(self._norm_step)
        self._canonical = Memo(canonical)
        self._vectors = Memo(self._vector)
        self._shapes = Memo(lambda name: self._extras.total((name,)), 1000)

    def _vector(self, token: str) -> int:
        """All that a token adds: as a known word in one row, as an unknown one by its n-grams; and its extras."""
        word = canonical(token)
        total = self._words.total((word,))
        if not total and not self._grams.empty:
            total = self._grams.total(grams(word))
        return total + self._extras.total(extras(token))

    def total(self, text: str) -> int:
        """The packed sums of a text: one field a label, then its squared length."""
        found = find_tokens(text)
        total: int = sum(map(self._vectors.__getitem__, set(found))) + self._shapes[shape(text)]
        if not self._pairs.empty:
            plain = [BORDER, *map(self._canonical.__getitem__, found), BORDER]
            total += self._pairs.total(pairwise(plain))
        return total

    def fieldwise(self, total: int) -> tuple[list[int], float]:
        """Packed sums as integers a label, the bias added, and the length that divides them."""
        width = self._width
        squared = total >> (32 * (width - 1))
        root = sqrt(squared)
        scaled = total * GAIN + self._bias * int(root * self._bias_scale)
        sums = memoryview(scaled.to_bytes(4 * width + 4, "little")).cast("I")[: width - 1].tolist()
        return sums, root

    def scores(self, text: str) -> list[float]:
        """The score of each label, up to one common shift. For tests and explanations."""
        sums, root = self.fieldwise(self.total(clean(text)))
        scale = self._step / (root * sqrt(self._norm_step)) if root else 0.0
        return [scale * value for value in sums]

    def answer(self, text: str) -> Answer | None:
        """The best label and how sure it is; None for a text without any token."""
        text = clean(text)
        if not text or text.isspace():
            return None
        sums, root = self.fieldwise(self.total(text))
        best = max(sums)
        place = sums.index(best)
        sums[place] = 0
        scale = self._step / (root * sqrt(self._norm_step)) if root else 0.0
        margin = (best - max(sums)) * scale
        height = (best - (best + sum(sums)) / len(sums)) * scale if self._height else 0.0
        logit = self._offset + self._slope * margin + self._height * height
        return self.labels[place], round(1.0 / (1.0 + exp(-max(-30.0, min(30.0, logit)))), 4)

    def run(self, record: Any) -> Answer | None:
        """The contract of a program for one record."""
        return self.answer(text_of(record, self.fields))

    def run_batch(self, records: Iterable[Any]) -> list[Answer | None]:
        """The contract of a program for many: the same answers."""
        answer, fields = self.answer, self.fields
        return [answer(text_of(record, fields)) for record in records]
