"""The decision records against the tree: every dependency has its line, every file that is named is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.fences import ROOT

FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("0*.md"))


def declared(group: list[str]) -> set[str]:
    """The bare names of requirements."""
    return {re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in group}


def listed(heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    page = (FOLDER / "0002-dependencies.md").read_text()
    part = page.split(f"## {heading}\n")[1].split("\n## ")[0].split("\n**")[0]
    names = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("|")]
    return set(names[2:])


@pytest.mark.parametrize("heading", ["To run", "To develop"])
def test_every_dependency_says_what_it_is_for_and_no_other(heading: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {"To run": project["project"]["dependencies"], "To develop": project["dependency-groups"]["dev"]}
    assert listed(heading) == declared(groups[heading])


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_what_was_chosen_why_and_what_was_rejected(record: Path) -> None:
    text = record.read_text()
    assert re.match(rf"# {int(record.name[:4])}\. \S", text)
    assert "**Chosen.**" in text
    assert "**Rejected.**" in text
    assert "**Why.**" in text or "why not our own" in text
    assert len(text.splitlines()) <= 80


def test_records_count_without_a_gap_and_the_list_names_them() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))
    page = (FOLDER / "README.md").read_text()
    assert [record.name for record in RECORDS if f"({record.name})" not in page] == []


def test_a_file_that_a_record_or_a_guide_names_is_there() -> None:
    pages = [*RECORDS, ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / "explanation").glob("*.md")]
    roots = "loopai|streams|programs|executors|validators|rollouts|gateway|dashboard|infra|tests|examples|docs"
    missing = [
        f"{page.name}: {name}"
        for page in pages
        for name in re.findall(rf"`((?:{roots})/[\w./-]+)`", page.read_text())
        if not (ROOT / name).exists()
    ]
    assert not missing
