"""Labelled texts in, an ordered decision list as readable source out.

Rules are learned greedily (Rivest 1987, "Learning decision lists"): of all atoms (words, pairs of words, capitals,
digit runs, marks, links) take the one whose texts most surely have one label, judged by the lower end of Wilson's
interval; set the texts it decides aside; repeat. What no rule decides gets the commonest remaining label.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from loopai.records import Example
from programs.runtime.text import atoms, text_of
from programs.scoring import wilson
from programs.strategies.base import Proposal, docstring, literal
from programs.task import Task, labels_of

RULES = 200
WEAK_Z = 1.0
MOST_ATOMS = 20_000


class RuleStrategy:
    """See the module."""

    name = "rule"
    nominal_us = 8.0

    def suits(self, task: Task, rows: Sequence[Example]) -> str:
        if task.kind != "classification":
            return "it classifies only"
        return "" if task.text_fields else "the records hold no text"

    def propose(
        self, task: Task, rows: Sequence[Example], seed: int, deadline: float, recipe: dict[str, Any] | None = None
    ) -> Proposal:
        labels = labels_of(rows)
        place = {repr(label): k for k, label in enumerate(labels)}
        answers = [place[repr(row.expected)] for row in rows]
        found = [atoms(text_of(row.input, task.text_fields)) for row in rows]
        rules, rest = learn(found, answers, len(labels), deadline)
        total = max(1, sum(rest))
        default = max(range(len(labels)), key=lambda k: (rest[k], -k))
        confidence = round((rest[default] + 1) / (total + len(labels)), 4)
        shown = [(atom, labels[k], sure) for atom, k, sure in rules]
        source = (
            f"{docstring(f'{len(rules)} rules in order; the first whose atom is in the text answers.')}\n\n"
            "from programs.runtime.rules import Rules\n\n"
            f"RULES = {literal(shown)}\n\n"
            f"DEFAULT = {literal((labels[default], confidence))}\n\n"
            f"MODEL = Rules(RULES, DEFAULT, {list(task.text_fields)!r})\n\n\n"
            "def run(record):\n    return MODEL.run(record)\n\n\n"
            "def run_batch(records):\n    return MODEL.run_batch(records)\n"
        )
        return Proposal(strategy="rule", source=source, recipe={}, notes=f"{len(rules)} rules")


def learn(
    found: Sequence[set[str]], answers: Sequence[int], labels: int, deadline: float
) -> tuple[list[tuple[str, int, float]], list[int]]:
    """Rules as (atom, label number, confidence), and how often each label is left for the default."""
    frequency = Counter(atom for atoms_ in found for atom in atoms_)
    kept = {atom for atom, n in frequency.most_common(MOST_ATOMS) if n >= 2}
    where: defaultdict[str, list[int]] = defaultdict(list)
    for i, atoms_ in enumerate(found):
        for atom in sorted(atoms_ & kept):
            where[atom].append(i)
    counts = {atom: Counter(answers[i] for i in rows) for atom, rows in where.items()}
    left = [0] * labels
    for answer in answers:
        left[answer] += 1
    open_rows = [True] * len(answers)
    rules: list[tuple[str, int, float]] = []
    worth = {atom: _worth(count) for atom, count in counts.items()}
    while worth and len(rules) < RULES and time.monotonic() < deadline:
        atom = max(worth, key=lambda a: (worth[a][0], a))
        value, label, sure = worth[atom]
        remaining = max(1, sum(left))
        common = max(range(labels), key=lambda k: (left[k], -k))
        if value <= (left[common] / remaining if label == common else 0.5):
            del worth[atom]
            continue
        rules.append((atom, label, sure))
        touched: set[str] = set()
        for i in where[atom]:
            if open_rows[i]:
                open_rows[i] = False
                left[answers[i]] -= 1
                for other in found[i]:
                    if other in worth:
                        counts[other][answers[i]] -= 1
                        touched.add(other)
        for other in touched:
            worth[other] = _worth(counts[other])
        worth = {other: entry for other, entry in worth.items() if entry[0] > 0.0}
    return _without_tail(rules, left), left


def _worth(count: Counter[int]) -> tuple[float, int, float]:
    """The lower end for the best label of an atom, the label, and Laplace's estimate that it is right."""
    n = sum(count.values())
    if n < 2:
        return 0.0, 0, 0.0
    label = min(count, key=lambda k: (-count[k], k))
    return wilson(count[label], n, WEAK_Z)[0], label, round((count[label] + 1) / (n + 2), 4)


def _without_tail(rules: list[tuple[str, int, float]], left: Sequence[int]) -> list[tuple[str, int, float]]:
    """Rules at the end that say what the default says anyway are not needed."""
    default = max(range(len(left)), key=lambda k: (left[k], -k))
    while rules and rules[-1][1] == default:
        rules.pop()
    return rules
