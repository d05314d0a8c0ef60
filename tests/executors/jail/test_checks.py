"""The quick filter never says valid where jsonschema-rs says no, and the sentence never holds the value."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors.jail.checks import compile_check, quick_filter

NAMES = st.sampled_from(["a", "b", "c", "it's", 'q"', "{x}"])
SCALARS = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "boolean", "null", "integer", "number"])}),
    st.fixed_dictionaries({"type": st.just("string"), "minLength": st.integers(0, 2), "maxLength": st.integers(1, 3)}),
    st.fixed_dictionaries({"type": st.sampled_from(["integer", "number"]), "minimum": st.integers(-2, 2)}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(["a", "b", ""]), min_size=1, unique=True)}),
    st.fixed_dictionaries({"enum": st.just(["a", 1, None])}),
    st.just({}),
)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, unique=True, max_size=2),
            "additionalProperties": st.booleans(),
        }
    )
    return objects | st.fixed_dictionaries({"type": st.just("array"), "items": inner})


SCHEMAS = st.recursive(SCALARS, compound, max_leaves=5)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.floats(-3, 3, allow_nan=False),
        st.sampled_from(["", "a", "b", "abcd"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES)
def test_a_check_agrees_with_jsonschema(schema: dict[str, Any], value: Any) -> None:
    valid = jsonschema_rs.validator_for(schema).is_valid(value)
    check = compile_check(schema)
    assert valid == (check is None or check(value) is None)
    quick = quick_filter(schema)
    if quick is not None and quick(value):
        assert valid


def test_what_allows_everything_needs_no_check() -> None:
    assert compile_check({}) is None
    assert compile_check({"title": "anything", "$schema": "https://json-schema.org/draft/2020-12/schema"}) is None


def test_not_a_number_is_not_a_number() -> None:
    quick = quick_filter({"type": "number"})
    assert quick is not None
    assert quick(1.5)
    assert not quick(float("nan"))
    assert not quick(float("inf"))


def test_the_sentence_says_where_and_does_not_hold_the_value() -> None:
    check = compile_check({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}})
    assert check is not None
    assert check({"a": [1, "a secret"]}) == '$.a[1]: value is not of type "integer"'


@pytest.mark.parametrize(
    "schema",
    [{"type": "nonsense"}, {"required": "a"}, {"$ref": "https://example.com/schema.json"}, {"pattern": "("}],
)
def test_a_schema_that_is_none_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        compile_check(schema)


def test_draft_keywords_beyond_the_filter_work() -> None:
    check = compile_check({"oneOf": [{"const": 1}, {"type": "string", "pattern": "^a"}]})
    assert check is not None
    assert check(1) is None
    assert check("ab") is None
    assert check("b") is not None
