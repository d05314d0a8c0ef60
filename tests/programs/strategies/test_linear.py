"""The linear strategy: rare labels, an out-of-scope label, confidence, size and the same bytes again."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np

from loopai.records import Example
from programs import gate
from programs.runtime.linear import Linear
from programs.strategies.base import Proposal
from programs.strategies.linear import LinearStrategy, enough, other_of
from programs.task import infer_task

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]


def intents(labels: int, each: int, outside: int = 0, seed: int = 1) -> list[Example]:
    """Texts with three words of their label and four of everybody's; `outside` rows of words of nobody."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(SYLLABLES, k=3)) for _ in range(labels * 6 + 400)]
    common, strange = words[labels * 6 : labels * 6 + 40], words[labels * 6 + 40 :]
    rows = []
    for label in range(labels):
        own = words[label * 6 : label * 6 + 6]
        rows += [(f"intent{label}", draw.choices(own, k=2) + draw.choices(common, k=5)) for _ in range(each)]
    rows += [("oos", draw.choices(strange, k=4) + draw.choices(common, k=3)) for _ in range(outside)]
    draw.shuffle(rows)
    return [
        Example(id=str(i), input={"text": " ".join(draw.sample(text, len(text)))}, expected=label)
        for i, (label, text) in enumerate(rows)
    ]


def propose(rows: Sequence[Example]) -> Proposal:
    return LinearStrategy().propose(infer_task(rows), rows, 0, time.monotonic() + 60)


def test_many_labels_are_told_apart_and_the_same_bytes_come_again() -> None:
    rows = intents(20, 20)
    proposal = propose(rows)
    assert propose(rows).data == proposal.data
    gate.check(proposal.source)
    model = Linear(proposal.data)
    unseen = intents(20, 5, seed=1)
    answers = [model.run(row.input) for row in unseen]
    assert sum(a is not None and a[0] == row.expected for a, row in zip(answers, unseen, strict=True)) > 90


def test_a_refit_by_recipe_does_not_depend_on_what_was_read_before() -> None:
    rows = intents(5, 40)
    strategy, task = LinearStrategy(), infer_task(rows)
    recipe = strategy.propose(task, rows[:120], 0, time.monotonic() + 60).recipe
    again = strategy.propose(task, rows, 0, time.monotonic() + 60, recipe)
    assert again == LinearStrategy().propose(task, rows, 0, time.monotonic() + 60, recipe)


def test_the_doubtful_go_out_of_scope() -> None:
    rows = intents(12, 30, outside=30)
    proposal = propose(rows)
    assert proposal.recipe["other"] == "oos"
    assert 0.0 <= proposal.recipe["doubt"] < 1.0
    model = Linear(proposal.data)
    answer = model.run({"text": "qqq xxx zzz qxq"})
    assert answer is not None
    assert answer[0] == "oos"


def test_a_label_means_none_of_the_others_by_its_name() -> None:
    assert other_of(["a", "b", "c", "Out-of-Scope"]) == 3
    assert other_of(["a", "b", "c", "d"]) == -1
    assert other_of(["a", "b", "other"]) == -1


def test_a_label_with_one_row_is_learned_but_not_cross_validated() -> None:
    rows = [*intents(4, 20), Example(id="rare", input={"text": "unheard of"}, expected="a rare one")]
    kept, numbers = enough(np.asarray([0, 1, 1, 1, 1, 2, 2, 2, 2]))
    assert kept.tolist() == [1, 2]
    assert numbers.tolist() == [-1, 0, 0, 0, 0, 1, 1, 1, 1]
    proposal = propose(rows)
    assert "a rare one" in Linear(proposal.data).labels


def test_how_sure_it_is_is_how_often_it_is_right() -> None:
    draw = random.Random(5)
    rows = intents(3, 200)
    noisy = [
        Example(
            id=r.id, input=r.input, expected=draw.choice(["intent0", "intent1"]) if draw.random() < 0.3 else r.expected
        )
        for r in rows
    ]
    model = Linear(propose(noisy[:400]).data)
    answers = [(model.run(row.input), row.expected) for row in noisy[400:]]
    sure = sum(a[0][1] for a in answers if a[0]) / len(answers)
    right = sum(a[0] is not None and a[0][0] == a[1] for a in answers) / len(answers)
    assert abs(sure - right) < 0.1
