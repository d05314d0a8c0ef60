"""Scores, intervals and splits, against hand-worked values, scikit-learn and invariants."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from programs.scoring import accuracy, bootstrap_f1, flatten, folds, groups, leaks, macro_f1, wilson

answers = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60)


@given(answers)
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(rows: list[tuple[str, str]]) -> None:
    expected, said = [want for want, _ in rows], [got for _, got in rows]
    assert accuracy(expected, said) == pytest.approx(accuracy_score(expected, said))
    assert macro_f1(expected, said) == pytest.approx(f1_score(expected, said, average="macro", zero_division=0))


def test_an_abstention_is_wrong_and_is_no_label() -> None:
    assert accuracy(["a", "b"], ["a", None]) == 0.5
    assert macro_f1(["a", "b"], ["a", None]) == pytest.approx(0.5)


def test_wilsons_interval_is_the_published_one() -> None:
    low, high = wilson(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilsons_interval_holds_the_share(right: int, n: int) -> None:
    right = min(right, n)
    low, high = wilson(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n <= high + 1e-12 <= 1 + 1e-12


def test_the_bootstrap_is_seeded_and_holds_the_value() -> None:
    expected = ["a", "b"] * 50
    said = ["a"] * 60 + ["b"] * 40
    low, high = bootstrap_f1(expected, said, seed=3)
    assert (low, high) == bootstrap_f1(expected, said, seed=3)
    assert low < macro_f1(expected, said) < high


def test_near_duplicates_are_one_group() -> None:
    long = "we would like to tell all of our dear customers that the shop in the high street is closed on monday"
    found = groups(["Call 0800 now!", "call 0900 NOW", long, long + " again", "something else", long.upper() + "!!"])
    assert found[0] == found[1]
    assert found[2] == found[3] == found[5]
    assert len(set(found)) == 3


def test_flattening_is_that_of_the_data_sets() -> None:
    assert flatten("Call 0800-123!  NOW\n") == "call 0 0 now"


words = st.lists(st.sampled_from(["red", "green", "blue", "one", "two", "three"]), min_size=1, max_size=8).map(" ".join)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(words, st.sampled_from("xy")), min_size=4, max_size=60), st.integers(0, 5))
def test_a_split_holds_every_row_once_and_never_leaks(rows: list[tuple[str, str]], seed: int) -> None:
    texts = [text for text, _ in rows]
    parts = folds(texts, [label for _, label in rows], 4, seed)
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    for part in parts:
        rest = [texts[i] for other in parts if other is not part for i in other]
        assert not {flatten(texts[i]) for i in part} & {flatten(text) for text in rest}


def test_twenty_planted_leaks_are_all_found() -> None:
    draw = random.Random(5)
    vocabulary = ["".join(draw.choices("abcdefghij", k=6)) for _ in range(2000)]
    train = [" ".join(draw.choices(vocabulary, k=25)) for _ in range(400)]
    clean = [" ".join(draw.choices(vocabulary, k=25)) for _ in range(400)]
    planted = []
    for i in range(20):
        tokens = train[i * 7].split()
        planted.append(
            [
                train[i * 7].upper(),
                train[i * 7] + "!!!",
                " ".join(tokens[:-1]),
                "  ".join(tokens),
            ][i % 4]
        )
    assert leaks(train, clean) == []
    assert leaks(train, clean + planted) == list(range(400, 420))
