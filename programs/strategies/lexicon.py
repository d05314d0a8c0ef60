"""Labelled texts in, a scorecard of weighted words as readable source out.

A line through atoms (words, pairs, shapes) that are there or not, fitted with an L1 penalty so that few count
(liblinear; Fan et al. 2008), then rounded to whole points from -9 to 9, at most `ENTRIES` for a label: a card that a
person can read, argue with and edit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from loopai.errors import ProgramError
from loopai.records import Example
from programs.runtime.text import atoms, text_of
from programs.strategies.base import Proposal, docstring, literal
from programs.strategies.features import Floats, Ints
from programs.strategies.fitting import solve
from programs.task import Task, labels_of

ENTRIES = 60
POINTS = 9
MOST_LABELS = 20
MOST_ATOMS = 8000
STRENGTHS = (0.1, 0.5)


class LexiconStrategy:
    """See the module."""

    name = "lexicon"
    nominal_us = 10.0

    def suits(self, task: Task, rows: Sequence[Example]) -> str:
        if task.kind != "classification":
            return "it classifies only"
        if len(labels_of(rows)) > MOST_LABELS:
            return f"a card for more than {MOST_LABELS} labels is not readable"
        return "" if task.text_fields else "the records hold no text"

    def propose(
        self, task: Task, rows: Sequence[Example], seed: int, deadline: float, recipe: dict[str, Any] | None = None
    ) -> Proposal:
        labels = labels_of(rows)
        place = {repr(label): k for k, label in enumerate(labels)}
        answers = np.asarray([place[repr(row.expected)] for row in rows])
        found = [atoms(text_of(row.input, task.text_fields)) for row in rows]
        if len(labels) < 2:
            raise ProgramError("A scorecard needs two labels.")
        recipe = recipe or choose(found, answers, seed)
        names, points, start = card(found, answers, recipe["strength"], seed)
        shown = {
            label: {names[i]: int(points[k, i]) for i in _strongest(points[k]) if points[k, i]}
            for k, label in enumerate(labels)
        }
        body = "".join(f"    {label!r}: {literal(entries)},\n" for label, entries in shown.items())
        source = (
            f"{docstring('A scorecard: each label adds up its points for what the text has; the most points win.')}\n\n"
            "from programs.runtime.lexicon import Lexicon\n\n"
            f"POINTS = {{\n{body}}}\n\n"
            f"START = {[int(value) for value in start]!r}\n\n"
            f"MODEL = Lexicon(POINTS, START, {tuple(recipe['calibration'])!r}, {list(task.text_fields)!r})\n\n\n"
            "def run(record):\n    return MODEL.run(record)\n\n\n"
            "def run_batch(records):\n    return MODEL.run_batch(records)\n"
        )
        return Proposal(strategy="lexicon", source=source, recipe=recipe, notes=f"{int((points != 0).sum())} entries.")


def card(found: Sequence[set[str]], answers: Ints, strength: float, seed: int) -> tuple[list[str], Ints, Ints]:
    """The atoms, their points (labels x atoms) and what each label starts with."""
    frequency = Counter(atom for atoms_ in found for atom in atoms_)
    ranked = sorted((atom for atom, n in frequency.items() if n >= 2), key=lambda atom: (-frequency[atom], atom))
    names = sorted(ranked[:MOST_ATOMS])
    rows = present(found, names)
    labels = int(answers.max()) + 1
    weights, bias = solve(rows, answers, seed, C=strength, penalty="l1", dual=False, class_weight="balanced")
    if labels == 2:
        weights, bias = np.vstack([-weights[0], weights[0]]), np.asarray([-bias[0], bias[0]])
    for k in range(labels):
        weights[k, np.argsort(-np.abs(weights[k]), kind="stable")[ENTRIES:]] = 0.0
    unit = max(1e-9, float(np.quantile(np.abs(weights[weights != 0]), 0.95)) if (weights != 0).any() else 1.0) / POINTS
    points = np.clip(np.rint(weights / unit), -POINTS, POINTS).astype(np.int64)
    return names, points, np.rint(bias / unit).astype(np.int64)


def present(found: Sequence[set[str]], names: Sequence[str]) -> csr_matrix:
    """1 where a text has an atom: texts x atoms."""
    place = {name: i for i, name in enumerate(names)}
    numbers = [sorted(place[atom] for atom in atoms_ if atom in place) for atoms_ in found]
    ends = np.cumsum([0, *map(len, numbers)])
    flat = [i for row in numbers for i in row]
    return csr_matrix((np.ones(len(flat)), flat, ends), shape=(len(found), max(1, len(names))))


def choose(found: Sequence[set[str]], answers: Ints, seed: int) -> dict[str, Any]:
    """The strength that does best on rows it was not fitted on, with Platt's scaling of the lead in points."""
    least = int(np.bincount(answers).min())
    if least < 2:
        return {"strength": STRENGTHS[-1], "calibration": [0.2, 0.0]}
    splits = list(StratifiedKFold(min(3, least), shuffle=True, random_state=seed).split(answers, answers))
    best: tuple[float, dict[str, Any]] | None = None
    for strength in STRENGTHS:
        scores: list[Floats] = []
        for train, held in splits:
            names, points, start = card([found[i] for i in train], answers[train], strength, seed)
            scores.append(np.asarray(present([found[i] for i in held], names) @ points.T) + start)
        merged, right = np.vstack(scores), np.concatenate([answers[held] for _, held in splits])
        value = float((merged.argmax(axis=1) == right).mean())
        if best is None or value > best[0]:
            best = (value, {"strength": strength, "calibration": platt(merged, right)})
    return best[1] if best else {}


def platt(scores: Floats, answers: Ints) -> list[float]:
    """Slope and offset that turn the lead of the best label into the chance that it is right."""
    ordered = np.sort(scores, axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    right = (scores.argmax(axis=1) == answers).astype(int)
    if right.min() == right.max():
        return [round(float(np.log(len(right) + 1.0) / max(np.median(lead), 1e-6)), 4), 0.0]
    model = LogisticRegression(C=10.0).fit(lead[:, None], right)
    return [round(float(model.coef_[0][0]), 4), round(float(model.intercept_[0]), 4)]


def _strongest(points: Ints) -> list[int]:
    return [int(i) for i in np.argsort(-np.abs(points), kind="stable")[:ENTRIES]]
