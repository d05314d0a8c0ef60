"""The strategies whose programs people read: rules, scorecards and trees."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopai.records import Example
from programs import gate
from programs.runtime.lexicon import Lexicon
from programs.runtime.rules import Rules
from programs.runtime.text import atoms
from programs.strategies.base import Proposal, Strategy
from programs.strategies.lexicon import LexiconStrategy
from programs.strategies.rule import RuleStrategy
from programs.strategies.tree import TreeStrategy
from programs.task import Task, infer_task
from tests.support.inline import load


def orders(n: int = 300) -> list[Example]:
    draw = random.Random(2)
    rows = []
    for i in range(n):
        amount, country = draw.randrange(1000), draw.choice(["DE", "FR", "US"])
        review = amount > 700 or (country == "US" and amount > 400)
        rows.append(
            Example(id=str(i), input={"amount": amount, "country": country}, expected="review" if review else "pass")
        )
    return rows


def notes(n: int = 120) -> list[Example]:
    draw = random.Random(3)
    rows = []
    for i in range(n):
        spam = i % 2 == 0
        words = draw.choices(["prize", "free", "cash", "win"] if spam else ["lunch", "bus", "home", "mum"], k=4)
        rows.append(Example(id=str(i), input={"text": " ".join(words)}, expected="spam" if spam else "ham"))
    return rows


def propose(strategy: Strategy, rows: list[Example], recipe: dict[str, Any] | None = None) -> tuple[Proposal, Task]:
    task = infer_task(rows)
    return strategy.propose(task, rows, 0, time.monotonic() + 60, recipe), task


@pytest.mark.parametrize(
    ("strategy", "rows"),
    [(RuleStrategy(), notes()), (LexiconStrategy(), notes()), (TreeStrategy(), orders())],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_readable_program_passes_the_gate_repeats_itself_and_learns(strategy: Strategy, rows: list[Example]) -> None:
    proposal, task = propose(strategy, rows)
    assert propose(strategy, rows)[0] == proposal
    assert propose(strategy, rows, proposal.recipe)[0].source == proposal.source
    gate.check(proposal.source)
    space = load(proposal.program(task))
    answers = [space["run"](row.input) for row in rows]
    right = sum(answer[0] == row.expected for answer, row in zip(answers, rows, strict=True))
    assert right / len(rows) > 0.95
    assert all(0 <= answer[1] <= 1 for answer in answers)
    if "run_batch" in space:
        assert space["run_batch"]([row.input for row in rows]) == answers


def test_a_tree_asks_for_numbers_and_for_the_values_of_short_fields() -> None:
    proposal, task = propose(TreeStrategy(), orders())
    assert task.number_fields == ("amount",)
    assert "f0 = number(record, 'amount')" in proposal.source
    assert "text(record, 'country')" in proposal.source
    run = load(proposal.program(task))["run"]
    for record in ({}, {"amount": None}, {"amount": "12"}, {"amount": "much", "country": 5}):
        assert run(record)[0] in ("pass", "review")


def test_the_first_rule_that_fits_answers() -> None:
    proposal, task = propose(RuleStrategy(), notes())
    assert "RULES = [" in proposal.source
    run = load(proposal.program(task))["run"]
    assert run({"text": "free lunch"})[0] in ("spam", "ham")
    assert run({"text": "nothing known"})[0] in ("spam", "ham")
    assert run({"text": "  "}) is None


def test_strategies_say_what_does_not_suit_them() -> None:
    assert TreeStrategy().suits(infer_task(notes()), notes()) == "the records hold no numbers"
    many = [Example(id=str(i), input={"text": f"t {i}"}, expected=str(i % 30)) for i in range(90)]
    assert "not readable" in LexiconStrategy().suits(infer_task(many), many)
    validation = infer_task(notes(), kind="validation")
    assert RuleStrategy().suits(validation, notes()) == "it classifies only"


CONDITIONS = ["win", "call now", "caps:now", "digits:5", "run:!", "size:4", "is:link", "see you", "title:hi", "00000"]
pieces = st.sampled_from(
    ["win", "call", "now", "NOW", "Hi", "hi", "12345", "!!", "see", "you", "www.x.com", "£5", "lunch"]
)


@given(st.lists(pieces, max_size=8).map(" ".join), st.permutations(CONDITIONS))
def test_rules_answer_as_a_plain_reading_of_their_list(text: str, conditions: list[str]) -> None:
    rules = [(atom, number, 0.9) for number, atom in enumerate(conditions)]
    found = atoms(text)
    plain = next(((label, sure) for atom, label, sure in rules if atom in found), ("none", 0.5))
    assert Rules(rules, ("none", 0.5), ["text"]).run({"text": text}) == (plain if text.strip() else None)


@given(st.lists(pieces, max_size=8).map(" ".join))
def test_a_scorecard_adds_each_atom_once(text: str) -> None:
    points = {"a": {atom: n + 1 for n, atom in enumerate(CONDITIONS)}, "b": {"win": 9}}
    answer = Lexicon(points, [0, 5], (0.1, 0.0), ["text"]).run({"text": text})
    sums = {label: sum(many for atom, many in given.items() if atom in atoms(text)) for label, given in points.items()}
    if text.strip():
        assert answer is not None
        assert answer[0] == ("a" if sums["a"] >= sums["b"] + 5 else "b")
