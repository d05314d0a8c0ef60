"""Generation without a language model: what is chosen, that it is the same again, and what bad examples do."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loopai.apps import LoopApp
from loopai.errors import ConfigurationError, ProgramError
from loopai.records import Example
from programs import gate
from programs.datasets import read_examples
from programs.evaluate import draw, evaluate
from programs.running import Answer
from programs.strategies.base import Proposal
from programs.synthesis import prepare, split_rows, synthesise
from programs.task import Task, infer_task, task_of
from tests.support.inline import load, run_inline

GREETINGS = tuple("see you later at home tonight love dinner mum sorry bus work film thanks".split())  # noqa: SIM905
OFFERS = tuple("win prize claim free call urgent cash reward offer mobile text stop award ringtone".split())  # noqa: SIM905


def messages(n: int, seed: int = 1) -> list[Example]:
    draw_ = random.Random(seed)
    rows = []
    for i in range(n):
        spam = i % 3 == 0
        words = draw_.choices(OFFERS if spam else GREETINGS, k=6) + draw_.choices(GREETINGS, k=3)
        draw_.shuffle(words)
        text = " ".join(words) + (f" {draw_.randrange(10_000, 99_999)}!" if spam else "")
        rows.append(Example(id=str(i), input={"text": text}, expected="spam" if spam else "ham"))
    return rows


async def make(examples: Sequence[Example], **more: Any) -> Any:
    return await synthesise(more.pop("task", None) or infer_task(examples), examples, run=run_inline, **more)


async def test_the_same_examples_and_seed_give_the_same_program() -> None:
    rows = messages(150)
    first, again, other = await make(rows), await make(rows), await make(rows, seed=1)
    assert first.id == again.id
    assert first.verify()
    assert first.data == again.data
    assert other.manifest.seed == 1


async def test_the_manifest_says_what_was_tried_and_why() -> None:
    steps: list[tuple[float, str]] = []
    program = await make(messages(150), progress=lambda share, step: steps.append((share, step)))
    manifest = program.manifest
    assert {attempt.strategy for attempt in manifest.attempts} >= {"rule", "linear"}
    assert manifest.score is not None
    assert manifest.score.low <= manifest.score.accuracy <= manifest.score.high
    assert manifest.n_examples == 150
    assert len(manifest.examples) == 64
    assert program.strategy in manifest.why
    assert [share for share, _ in steps] == sorted(share for share, _ in steps)
    assert steps[-1][0] == 1.0


async def test_every_program_passes_the_gate() -> None:
    rows = messages(120)
    program = await make(rows)
    gate.check(program.source)
    constant = await make([row for row in rows if row.expected == "ham"])
    gate.check(constant.source)


async def test_no_examples_is_an_error_with_a_next_step() -> None:
    with pytest.raises(ProgramError, match="no examples") as caught:
        await make([], task=Task(labels=("a", "b"), text_fields=("text",)))
    assert caught.value.next_step


async def test_examples_without_any_text_are_an_error() -> None:
    with pytest.raises(ProgramError, match="empty"):
        await make([Example(id="1", input={"text": "  "}, expected="a")])


@pytest.mark.parametrize("n", [1, 5])
async def test_one_label_only_gives_a_constant_program(n: int) -> None:
    program = await make([Example(id=str(i), input={"text": f"hello {i}"}, expected="ham") for i in range(n)])
    assert load(program)["run"]({"text": "anything"}) == ("ham", 0.5)
    assert "Add examples of another label" in program.manifest.why


async def test_two_examples_give_some_program() -> None:
    rows = [
        Example(id="1", input={"text": "win a prize"}, expected="spam"),
        Example(id="2", input={"text": "see you"}, expected="ham"),
    ]
    program = await make(rows)
    assert load(program)["run"]({"text": "win a prize"})[0] in ("spam", "ham")


def test_contradictions_are_settled_by_majority_and_noted() -> None:
    rows = [Example(id=str(i), input={"text": "same"}, expected=label) for i, label in enumerate(["a", "b", "b"])]
    settled, notes = prepare(Task(labels=("a", "b")), rows)
    assert [row.expected for row in settled] == ["b", "b", "b"]
    assert "1 examples contradicted" in notes[0]


def test_empty_texts_are_left_out_and_noted() -> None:
    rows = [*messages(4), Example(id="x", input={"text": ""}, expected="ham")]
    settled, notes = prepare(Task(), rows)
    assert len(settled) == 4
    assert "1 examples without an input" in notes[0]


async def test_a_label_that_the_app_does_not_have_is_an_error() -> None:
    app = LoopApp(id="spam", labels=("spam", "ham"))
    rows = [*messages(6), Example(id="odd", input={"text": "x y"}, expected="eggs")]
    with pytest.raises(ProgramError, match="'odd' has the label 'eggs'"):
        await make(rows, task=task_of(app, rows))


async def test_when_the_time_is_up_a_strategy_says_so() -> None:
    with pytest.raises(ProgramError, match="time ran out") as caught:
        await make(messages(60), seconds=-1)
    assert "allow more time" in caught.value.next_step


async def test_records_with_several_text_fields_are_classified() -> None:
    rows = [
        Example(id=row.id, input={"subject": row.input["text"][:20], "body": row.input["text"]}, expected=row.expected)
        for row in messages(120)
    ]
    assert infer_task(rows).text_fields == ("body", "subject")
    program = await make(rows)
    run = load(program)["run"]
    assert run({"subject": "claim free prize", "body": "urgent call win cash reward 12345!"})[0] == "spam"


async def test_labels_that_are_no_strings_come_back_as_they_are() -> None:
    rows = [Example(id=r.id, input=r.input, expected=r.expected == "spam") for r in messages(120)]
    program = await make(rows)
    assert load(program)["run"]({"text": "claim free prize win cash 12345!"})[0] is True


class Broken:
    """A strategy whose programs do not run."""

    name = "broken"
    nominal_us = 0.0

    def suits(self, task: Task, rows: Sequence[Example]) -> str:
        return ""

    def propose(
        self, task: Task, rows: Sequence[Example], seed: int, deadline: float, recipe: dict[str, Any] | None = None
    ) -> Proposal:
        return Proposal(strategy="rule", source="def run(record):\n    raise ValueError\n")


async def test_a_strategy_whose_program_will_not_run_falls_out() -> None:
    async def refusing(program: Any, values: Sequence[bytes]) -> Sequence[Answer]:
        if "raise ValueError" in program.source:
            raise ProgramError("it raised ValueError")
        return await run_inline(program, values)

    rows = messages(90)
    program = await synthesise(infer_task(rows), rows, run=refusing, extra=[Broken()])
    reasons = {attempt.strategy: attempt.reason for attempt in program.manifest.attempts}
    assert reasons["broken"] == "it raised ValueError"
    assert program.strategy != "broken"


def test_held_out_rows_are_never_training_rows() -> None:
    rows = messages(200)
    for train, held in split_rows(infer_task(rows), rows, 0):
        assert not set(train) & set(held)
        assert not {rows[i].input["text"] for i in train} & {rows[i].input["text"] for i in held}


def test_drawing_labels_is_seeded_and_bounded() -> None:
    rows = messages(50)
    assert draw(rows, 10, 1) == draw(rows, 10, 1) != draw(rows, 10, 2)
    assert draw(rows, None, 1) == draw(rows, 999, 1) == rows
    with pytest.raises(ConfigurationError):
        draw(rows, 0, 1)


async def test_real_messages_are_told_apart(loopai_data: Path) -> None:
    train = read_examples(loopai_data / "spam" / "sms.train.jsonl")
    test = read_examples(loopai_data / "spam" / "sms.test.jsonl")
    report, program = await evaluate(train, test, run=run_inline)
    assert report.accuracy >= 98.0
    assert report.macro_f1 >= 95.0
    assert report.n == len(test)
    assert report.program_id == program.id
    assert os.environ["LOOPAI_DATA"] not in program.source
