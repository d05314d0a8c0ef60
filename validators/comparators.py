"""Two outputs in, how alike they are out. Versioned, symmetric, and 1 for an output beside itself.

A comparator's name and version stand on every validation result: a new rule is a new version, so old and new numbers
are never mixed unseen.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final, Protocol

from loopai.apps import Kind


class Comparator(Protocol):
    """`similarity` is in 0..1, `same(a, b) == same(b, a)`, and `same(a, a)` always. Both are JSON values."""

    name: str
    """`exact/1`: the rule and its version."""

    def similarity(self, a: Any, b: Any) -> float: ...

    def same(self, a: Any, b: Any) -> bool: ...


class Exact:
    """Equal as JSON: objects by their members in any order, numbers by value, and `true` is never 1."""

    name = "exact/1"

    def similarity(self, a: Any, b: Any) -> float:
        """1 or 0."""
        return 1.0 if json_equal(a, b) else 0.0

    def same(self, a: Any, b: Any) -> bool:
        """Whether they are equal."""
        return json_equal(a, b)


class Normalised:
    """Equal but for what people do not mean: case, width and composition of letters, space around and between words.

    Strings are compared after NFKC and case folding. Keys of objects are names, and stay exact.
    """

    name = "normalised/1"

    def similarity(self, a: Any, b: Any) -> float:
        """1 or 0."""
        return 1.0 if self.same(a, b) else 0.0

    def same(self, a: Any, b: Any) -> bool:
        """Whether their normal forms are equal."""
        return json_equal(_normal(a), _normal(b))


def json_equal(a: Any, b: Any) -> bool:
    """Equality as JSON Schema has it. Python's own `==` takes True for 1, and would call `[1]` and `[true]` equal."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, int | float):
        return isinstance(b, int | float) and a == b
    if isinstance(a, str):
        return isinstance(b, str) and a == b
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(json_equal, a, b))
    if isinstance(a, dict):
        return (
            isinstance(b, dict) and a.keys() == b.keys() and all(json_equal(value, b[key]) for key, value in a.items())
        )
    return False


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        # Folding may undo the composition (and the other way round), so NFKC is applied on both sides of it.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
        return " ".join(folded.split())
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    return value


EXACT: Final = Exact()
NORMALISED: Final = Normalised()

_BY_KIND: Final[dict[Kind, Comparator]] = {"classification": EXACT, "extraction": NORMALISED, "validation": EXACT}


def comparator_for(kind: Kind) -> Comparator:
    """Labels and lists of wrong fields are exact; extracted text is normalised, as oracles copy it freely."""
    return _BY_KIND[kind]
