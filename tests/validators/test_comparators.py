"""Comparators keep their three promises on any JSON value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.comparators import EXACT, NORMALISED, Comparator, comparator_for

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["ß", "SS", "ﬁ", "Fi", "İ", "i̇", " a  b ", "A B", "é", "e\u0301", "\u0345", "ι"])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
BOTH = pytest.mark.parametrize("comparator", [EXACT, NORMALISED], ids=lambda c: c.name)


@BOTH
@given(JSON)
def test_a_value_is_the_same_as_itself(comparator: Comparator, a: Any) -> None:
    assert comparator.same(a, a)
    assert comparator.similarity(a, a) == 1.0


@BOTH
@given(JSON, JSON)
def test_order_does_not_matter(comparator: Comparator, a: Any, b: Any) -> None:
    assert comparator.same(a, b) == comparator.same(b, a)
    assert comparator.similarity(a, b) == comparator.similarity(b, a)
    assert 0.0 <= comparator.similarity(a, b) <= 1.0


@given(JSON, JSON)
def test_what_is_exactly_equal_is_also_equal_when_normalised(a: Any, b: Any) -> None:
    assert NORMALISED.same(a, b) or not EXACT.same(a, b)


@given(st.text())
def test_normalising_is_idempotent(text: str) -> None:
    from validators.comparators import _normal

    assert _normal(_normal(text)) == _normal(text)


@pytest.mark.parametrize(
    ("a", "b", "exact", "normalised"),
    [
        (1, 1.0, True, True),
        (1, True, False, False),
        ([0], [False], False, False),
        (None, False, False, False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True, True),
        ({"a": 1}, {"a": 1, "b": None}, False, False),
        ("New  York", " new york", False, True),
        ("Straße", "STRASSE", False, True),
        ("e\u0301", "é", False, True),
        ({"City": "Rome"}, {"city": "Rome"}, False, False),
        ("1", 1, False, False),
        ([1, 2], [2, 1], False, False),
    ],
)
def test_known_pairs(a: Any, b: Any, exact: bool, normalised: bool) -> None:
    assert (EXACT.same(a, b), NORMALISED.same(a, b)) == (exact, normalised)


def test_names_carry_a_version() -> None:
    assert [comparator_for(kind).name for kind in ("classification", "extraction", "validation")] == [
        "exact/1",
        "normalised/1",
        "exact/1",
    ]
