"""The linear runtime against the training side, and its invariants."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopai.records import Example
from programs.runtime.linear import Linear
from programs.runtime.memo import Memo
from programs.runtime.text import clean
from programs.strategies.features import Corpus, Weighting
from programs.strategies.fitting import fit
from programs.strategies.linear import LinearStrategy
from programs.strategies.packing import pack
from programs.task import infer_task

TOPICS = {
    "sport": "match goal team player coach league Cup final score 3-0 win lost stadium",
    "money": "bank £500 loan rate market share stock price 10% invest fund cash profit",
    "food": "soup bread Cheese oven bake recipe sugar salt dinner lunch 200g butter",
}


def rows(n: int = 240) -> list[Example]:
    draw = np.random.default_rng(4)
    examples = []
    for i in range(n):
        label = sorted(TOPICS)[i % 3]
        words = [str(word) for word in draw.choice(TOPICS[label].split(), 5)]
        words += [str(word) for word in draw.choice(["the", "a", "of", "and", "to", "it", "is", "on"], 4)]
        examples.append(Example(id=str(i), input={"text": " ".join(draw.permutation(words))}, expected=label))
    return examples


RECIPE: dict[str, Any] = {
    "weights": {"words": 1.0, "pairs": 1.0, "grams": 0.5, "extras": 0.7},
    "shape": 0.1,
    "min_df": 2,
    "strength": 1.0,
    "ratios": [0.3],
    "calibration": [2.0, 0.0, 0.0],
    "other": None,
    "doubt": 0.0,
}


def model() -> Linear:
    examples = rows()
    proposal = LinearStrategy().propose(infer_task(examples), examples, 0, time.monotonic() + 60, RECIPE)
    return Linear(proposal.data)


MODEL = model()
texts = st.text(max_size=60) | st.lists(
    st.sampled_from([*" ".join(TOPICS.values()).split(), "THE", "of", "!!", "x9y", "zzz"]), max_size=12
).map(" ".join)


@pytest.mark.parametrize("labels", [2, 3, 20])
def test_running_gives_the_scores_of_training(labels: int) -> None:
    draw = np.random.default_rng(labels)
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    answers = np.arange(20 * labels) % labels
    lines = [" ".join([*draw.choice(words, 6), *draw.choice(words[k * 5 : k * 5 + 5], 3)]) for k in answers]
    corpus = Corpus()
    counts = corpus.read(lines)
    weighting = Weighting.fit(counts, corpus, RECIPE)
    matrix = weighting.apply(counts)
    weights, bias = fit(matrix, answers, RECIPE, 0)
    running = Linear(pack(corpus, weighting, weights, bias, list(range(labels)), ["text"], RECIPE))
    wanted = np.asarray(matrix @ weights.T) + bias
    given_scores = np.asarray([running.scores(line) for line in lines])
    wanted -= wanted.mean(axis=1, keepdims=True)
    given_scores -= given_scores.mean(axis=1, keepdims=True)
    tolerance = 0.03 if labels <= 16 else 0.12
    assert np.abs(wanted - given_scores).max() < tolerance
    assert (wanted.argmax(axis=1) == given_scores.argmax(axis=1)).mean() > 0.98


@given(st.lists(texts, max_size=8))
def test_a_batch_answers_as_its_records_alone(batch: list[str]) -> None:
    records = [{"text": text} for text in batch]
    assert MODEL.run_batch(records) == [MODEL.run(record) for record in records]


@given(texts)
def test_an_answer_is_a_label_with_a_chance_or_an_abstention_for_no_text(text: str) -> None:
    answer = MODEL.run({"text": text})
    if not clean(text).strip():
        assert answer is None
    else:
        assert answer is not None
        assert answer[0] in TOPICS
        assert 0.0 <= answer[1] <= 1.0


@settings(max_examples=40)
@given(st.lists(texts, min_size=1, max_size=6))
def test_what_was_seen_before_changes_no_answer(seen: list[str]) -> None:
    fresh = model_copy()
    for text in seen:
        fresh.run({"text": text})
    assert [fresh.run({"text": text}) for text in seen] == [MODEL.run({"text": text}) for text in seen]


_DATA = LinearStrategy().propose(infer_task(rows()), rows(), 0, time.monotonic() + 60, RECIPE).data


def model_copy() -> Linear:
    return Linear(_DATA)


def test_records_of_another_shape_do_not_raise() -> None:
    for record in ({}, {"text": None}, {"text": 5}, {"other": "x"}, [], None, 3, "goal team"):
        MODEL.run(record)


def test_a_very_long_text_is_read_up_to_the_limit() -> None:
    assert MODEL.run({"text": "goal " * 100_000}) == MODEL.run({"text": ("goal " * 100_000)[:8000]})
    wide = "".join(chr(0x4E00 + i % 20000) for i in range(50_000))
    assert MODEL.run({"text": wide}) is not None


def test_the_memory_is_bounded() -> None:
    memo = Memo(str, 10)
    for i in range(1000):
        assert memo[i] == str(i)
    assert len(memo) <= 10


@pytest.mark.parametrize("data", [b"", b"12345678", (9**9).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"{}"])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        Linear(data)
