"""The example rows and their walkthroughs: the files are what they say, and the commands do what they say."""

from __future__ import annotations

import json

import pytest

from loopai.simulator import LABELS
from programs.datasets import read_examples
from tests.docs.fences import ROOT, Shell, fences

SPAM = ROOT / "examples" / "spam"
FENCES = fences(SPAM / "README.md")


@pytest.mark.timeout(300)
def test_a_program_does_well_on_its_own_time_and_worse_on_a_later_one() -> None:
    said = Shell({}).run(FENCES[0])
    now, later = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert now["n"] == 200
    assert now["accuracy"] > 95
    assert later["accuracy"] < now["accuracy"] - 5
    assert now["program_id"] == later["program_id"]


@pytest.mark.timeout(300)
def test_the_stream_of_the_walkthrough_loses_nothing() -> None:
    said = Shell({}).run(FENCES[1])
    told = next(json.loads(line) for line in said.splitlines() if line.startswith('{"inputs"'))
    assert (told["inputs"], told["answered"], told["lost"]) == (200, 200, 0)


def test_the_walkthrough_has_no_command_that_is_not_run() -> None:
    assert len(FENCES) == 2


def test_the_files_hold_what_the_table_says() -> None:
    table = [line.split("|") for line in (SPAM / "README.md").read_text().splitlines() if line.startswith("| `")]
    said = {cells[1].strip(" `"): cells[2].strip() for cells in table}
    there = {path.name for path in SPAM.iterdir()} - {"README.md"}
    assert said.keys() == there
    for name, rows in said.items():
        if rows:
            assert len((SPAM / name).read_text().splitlines()) == int(rows), name


def test_rows_are_labelled_called_simulated_and_in_one_file_only() -> None:
    seen: set[str] = set()
    for name in ("rows", "test", "later", "latest"):
        rows = read_examples(SPAM / f"{name}.jsonl")
        assert {row.expected for row in rows} == set(LABELS)
        assert all(row.id.startswith(f"simulated-{name}-") for row in rows)
        assert not seen & {row.id for row in rows}
        seen |= {row.id for row in rows}
    answers = [json.loads(line) for line in (SPAM / "answers.jsonl").read_text().splitlines()]
    assert {answer["id"] for answer in answers} <= seen
