"""The reference pages that are made from the code, compared with it; and the words of the README with the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loopai.cli import reference
from loopai.settings import OUTSIDE, Settings
from loopai.telemetry import METRICS
from streams import topics
from tests.docs.fences import ROOT

PAGES = reference.pages()
VARIABLE = re.compile(r"\bLOOPAI_[A-Z0-9_]+\b")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_makes_of_it(name: str) -> None:
    page = ROOT / reference.FOLDER / name
    assert page.read_text() == PAGES[name], "run: python -m loopai.cli.reference"


def test_every_metric_topic_and_part_has_its_row() -> None:
    assert [m.name for m in METRICS if f"`{m.name}`" not in PAGES["metrics.md"]] == []
    assert [t.name for t in topics.ALL if f"| `{t.name}` |" not in PAGES["topics.md"]] == []
    assert [n for n in Settings.model_fields if n.upper() not in PAGES["configuration.md"]] == []


def test_every_command_has_its_part() -> None:
    headings = re.findall(r"^##+ loopai (.+)$", PAGES["cli.md"], re.MULTILINE)
    assert {"demo", "serve", "app create", "program generate", "rollout rollback", "dlq replay"} <= set(headings)


def test_variables_that_the_pages_name_are_settings() -> None:
    known = OUTSIDE | set(VARIABLE.findall(PAGES["configuration.md"]))
    guides = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *guides]
    wrong = {
        f"{page.relative_to(ROOT)}: {name}"
        for page in pages
        for name in VARIABLE.findall(page.read_text())
        if name not in known and name.removesuffix("_FILE") not in known and not name.endswith("__")
    }
    assert not wrong


def test_the_pages_are_written_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["reference", str(tmp_path / "pages")])
    reference.main()
    assert sorted(page.name for page in (tmp_path / "pages").iterdir()) == sorted(PAGES)
