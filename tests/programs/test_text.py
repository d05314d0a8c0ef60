"""The tokeniser that training and running share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from programs.runtime.text import LIMIT, atoms, canonical, clean, extras, grams, text_of, tokens


def test_words_numbers_and_marks_are_tokens() -> None:
    assert tokens("Don't call £500!!! or ﬁne…") == ["Don't", "call", "£", "500", "!!!", "or", "fine", "..."]


def test_the_canonical_form_forgets_case_and_digits() -> None:
    assert canonical("FREE") == "free"
    assert canonical("Win50p") == "win00p"


def test_grams_know_the_borders_of_a_word() -> None:
    assert grams("aa") == ["\x02a", "aa", "a\x03", "\x02aa", "aa\x03"]
    assert len(grams("z" * 500)) < 100


def test_extras_keep_what_the_canonical_form_loses() -> None:
    assert extras("FREE") == ["caps", "caps:free"]
    assert extras("free") == []
    assert "digits:5" in extras("87121")
    assert {"run:!", "has:!"} <= set(extras("!!!"))


def test_atoms_are_words_pairs_and_shapes() -> None:
    found = atoms("Call NOW 87121 www.x.com!!")
    assert {"call", "call now", "caps:now", "digits:5", "is:link", "run:!"} <= found


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for token in tokens(text):
        assert token
        assert not any(mark.isspace() for mark in token)
        assert all(2 <= len(gram) <= 4 for gram in grams(canonical(token)))
        extras(token)
    atoms(text)


@given(st.text(max_size=8))
def test_no_more_than_the_limit_is_read(text: str) -> None:
    assert len(clean(text * LIMIT)) <= LIMIT


def test_several_fields_are_joined_in_their_order() -> None:
    record = {"subject": "hi", "body": "there", "n": 3}
    assert text_of(record, ["subject", "body"]) == "hi\nthere"
    assert text_of(record, ["missing"]) == ""
    assert text_of("bare", ["text"]) == "bare"
