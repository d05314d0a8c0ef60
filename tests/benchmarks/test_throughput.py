"""The arithmetic of benchmarks.throughput, and that its rule is one that the jail takes. Nothing here is timed."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.throughput_peers import report
from benchmarks.throughput_peers.claims import RATES, claims, median, ratio, row
from benchmarks.throughput_peers.environments import HERE
from benchmarks.throughput_peers.inputs import SCHEMAS, messages
from benchmarks.throughput_peers.meter import Found
from benchmarks.throughput_peers.processes import tree
from benchmarks.throughput_peers.subjects import SUBJECTS
from programs.gate import check

BY_NAME = {subject.name: subject for subject in SUBJECTS}
GOOD = {
    "ours": 250_000, "ours-2": 400_000, "ours-eo": 170_000, "bytewax": 120_000, "quix": 70_000, "quix-eo": 60_000,
    "faststream-batch": 60_000, "faststream": 3_000, "go": 300_000,
}  # fmt: skip


def rows(**changed: float | None) -> dict[str, Any]:
    """A run in which everything holds, but for what is changed."""
    latency = dict.fromkeys(RATES, (2.0, 8.0))
    rates = {**GOOD, **{name.replace("_", "-"): rate for name, rate in changed.items()}}
    return {
        name: row(BY_NAME[name], "1.0", [Found(rate=rate, trouble="" if rate else "it fell")], [Found(latency=latency)])
        for name, rate in rates.items()
    }


def missed(found: list[dict[str, Any]]) -> set[str]:
    return {claim["name"] for claim in found if not claim["holds"]}


def test_every_claim_holds_in_a_good_run() -> None:
    found = claims(rows())
    assert len(found) == 13
    assert missed(found) == set()
    assert found[1]["name"] == "of the best Python framework (Bytewax)"


def test_a_claim_is_missed_by_what_is_just_below_its_bar() -> None:
    assert missed(claims(rows(ours_2=374_999.0))) == {"two executors, of one"}
    assert missed(claims(rows(ours_2=375_000.0))) == set()
    assert missed(claims(rows(quix=100_001.0))) == {"of Quix Streams"}


def test_what_was_not_measured_does_not_hold() -> None:
    found = claims(rows(ours_eo=None))
    assert missed(found) == {"exactly once, of at least once", "exactly once, of Quix's"}
    assert all(claim["measured"] is None for claim in found if not claim["holds"])
    assert len(missed(claims({}))) == 13


def test_the_best_framework_is_whoever_was_fastest_and_never_a_loop_by_hand() -> None:
    by_hand = {"by-batch": row(BY_NAME["by-batch"], "1.0", [Found(rate=900_000.0)], [])}
    found = claims({**rows(quix=200_000.0), **by_hand})
    assert found[1]["name"] == "of the best Python framework (Quix Streams)"
    assert found[1]["measured"] == 1.25


def test_a_tolerance_widens_a_bar_and_is_told() -> None:
    claim = next(c for c in claims(rows(ours_2=310_000.0), tolerance=0.2) if c["name"] == "two executors, of one")
    assert claim["holds"]
    assert claim["tolerance"] == 0.2
    assert "20%" in report.verdict(claim)[2]


def test_a_row_takes_the_median_of_the_turns_that_did_the_job() -> None:
    turns = [Found(rate=10.0, cpu=3.0), Found(rate=30.0, cpu=1.0), Found(rate=20.0, cpu=2.0), Found(trouble="it fell")]
    made = row(BY_NAME["quix"], "3", turns, [])
    assert (made["rate"], made["cpu_s_per_million"], made["rates"]) == (20.0, 2.0, [10, 30, 20])
    assert made["trouble"] == "it fell"
    assert made["broker_cpu_s_per_million"] is None


def test_a_rate_that_most_turns_did_not_keep_was_not_kept() -> None:
    kept, behind = Found(latency={5_000: (1.0, 2.0), 20_000: (1.0, 2.0)}), Found(latency={5_000: (3.0, 4.0)})
    made = row(BY_NAME["quix"], "3", [], [kept, behind, behind])
    assert (made["kept_5000"], made["p50_ms_5000"], made["p99_ms_5000"]) == (True, 3.0, 4.0)
    assert (made["kept_20000"], made["p50_ms_20000"]) == (False, None)
    assert row(BY_NAME["quix"], "3", [], [])["kept_5000"] is None


def test_medians_and_ratios_of_nothing_are_nothing() -> None:
    assert median([None, None]) is None
    assert median([3.0, None, 1.0]) == 2.0
    assert ratio(1.0, None) is None
    assert ratio(1.0, 0.0) is None
    assert ratio(3.0, 2.0) == 1.5


def test_the_table_has_a_line_a_subject_and_says_why_one_has_no_figure() -> None:
    made = rows(ours_eo=None)
    text = report.text(made, claims(made))
    assert all(subject["title"] in text for subject in made.values())
    assert "exactly once: it fell." in text
    assert "misses" in text


def test_the_section_is_replaced_and_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    machine = {"date": "2026-01-01", "cpus": 2, "system": "L", "python": "3", "kafka": "4", "load_before": 0.1}
    load = {"records": 10, "seconds": 1.0, "rounds": 3}
    report.write(page, report.markdown(rows(), claims(rows()), machine, load))
    page.write_text(page.read_text() + "\n## Another\n")
    report.write(page, report.markdown(rows(ours=260_000.0), claims(rows()), machine, load))
    text = page.read_text()
    assert text.count("## Throughput") == text.count("## Another") == 1
    assert "260,000" in text
    assert "250,000" not in text.partition("claim")[0]


def test_a_tree_is_all_that_came_of_its_roots() -> None:
    table = {10: (1, 10, 0.0), 11: (10, 10, 0.0), 12: (11, 12, 0.0), 13: (1, 10, 0.0), 20: (1, 20, 0.0)}
    assert tree([10], table) == {10, 11, 12, 13}


def test_the_inputs_are_the_same_in_every_run_and_meet_every_label() -> None:
    lines = messages()
    assert lines == messages()
    assert 100 <= sum(map(len, lines)) / len(lines) <= 130
    answer = runpy.run_path(str(HERE / "peers" / "rule.py"))["run"]
    counts = Counter(answer(json.loads(line)) for line in lines)
    assert set(counts) == set(SCHEMAS["output_schema"]["enum"])
    assert min(counts.values()) > len(lines) / 10


def test_the_rule_passes_the_gate_and_go_has_the_same_words() -> None:
    source = (HERE / "peers" / "rule.py").read_text()
    check(source)
    go = (HERE / "go" / "rule.go").read_text()
    words = [node.left.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    assert len(words) == 6
    assert all(f'Contains(text, "{word}")' in go for word in words)
    patterns = re.findall(r're\.compile\(r"(.+)"\)', source)
    assert len(patterns) == 2
    assert all(f"MustCompile(`{pattern}`)" in go for pattern in patterns)


@pytest.mark.parametrize("name", sorted({s.environment for s in SUBJECTS if s.environment}))
def test_a_peer_is_pinned_to_the_last_package(name: str) -> None:
    lines = (HERE / "requirements" / f"{name}.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert all(re.fullmatch(r"[\w.\-\[\],]+==[\w.]+", line) for line in pins)
