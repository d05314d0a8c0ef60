"""Labelled texts in, a linear text model as weights out: TF-IDF words, pairs and character n-grams, one line a class.

The solvers of `fitting` over the features of `features`. The recipe (strength of regularisation, rare features or not)
is chosen by cross-validation on the training rows. How sure an answer is comes from Platt's scaling (Platt 1999) of
the margin between the two best labels, fitted on the same out-of-fold scores, so it estimates the chance that the
answer is right. Where a label means "none of the others", answers that are not sure enough get it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from loopai.errors import ProgramError
from loopai.records import Example
from programs.runtime.text import text_of
from programs.strategies.base import Proposal, docstring
from programs.strategies.features import Corpus, Counts, Floats, Ints, Weighting
from programs.strategies.fitting import fit
from programs.strategies.packing import pack
from programs.task import Task, labels_of

BASE: dict[str, Any] = {
    "weights": {"words": 1.0, "pairs": 1.0, "grams": 0.5, "extras": 0.7},
    "shape": 0.1,
    "min_df": 2,
    "calibration": [2.0, 0.0, 0.0],
    "other": None,
    "doubt": 0.0,
}
OTHERS = frozenset("oos out_of_scope outofscope other others none none_of_these unknown unk nota fallback".split())  # noqa: SIM905
"""Labels, without case and with hyphens and spaces as `_`, that mean: none of the other labels."""
LOST = 0.025
"""The share of rows of other labels that may be answered with such a label, so that it is found more often."""
SURELY = 1.28
"""Standard deviations by which another recipe must lead the usual best: one-sided 90 %.

With fewer than `SOME_ROWS` rows nothing is usual, and any lead of two rows counts.
"""
FEW_LABELS = 8
VERY_FEW_ROWS, FEW_ROWS, SOME_ROWS = 40, 300, 1000
FOLDS = 4
BIG = 12_000_000
"""Folds times stored numbers times labels stays under this, but for the first fold."""


class LinearStrategy:
    """See the module. An instance remembers the texts it has read: make one for each task."""

    name = "linear"
    nominal_us = 15.0

    def __init__(self) -> None:
        self._corpus = Corpus()

    def suits(self, task: Task, rows: Sequence[Example]) -> str:
        if task.kind != "classification":
            return "it classifies only"
        if not task.text_fields:
            return "the records hold no text"
        return ""

    def propose(
        self, task: Task, rows: Sequence[Example], seed: int, deadline: float, recipe: dict[str, Any] | None = None
    ) -> Proposal:
        texts = [text_of(row.input, task.text_fields) for row in rows]
        labels = list(labels_of(rows))
        place = {repr(label): k for k, label in enumerate(labels)}
        answers = np.asarray([place[repr(row.expected)] for row in rows])
        if len(labels) < 2:
            raise ProgramError("A linear model needs two labels.")
        corpus = self._corpus
        counts = corpus.read(texts)
        if recipe is None:
            kept, numbers = enough(answers)
            other = other_of(labels)
            number = int(np.flatnonzero(kept == other)[0]) if other in kept else -1
            rows_kept = np.flatnonzero(numbers >= 0)
            recipe = choose(corpus, counts[rows_kept], numbers[rows_kept], seed, deadline, number)
            recipe["other"] = labels[other] if other >= 0 else None
        weighting = Weighting.fit(counts, corpus, recipe)
        weights, bias = fit(weighting.apply(counts), answers, recipe, seed)
        data = pack(corpus, weighting, weights, bias, labels, list(task.text_fields), recipe)
        return Proposal(
            strategy="linear",
            source=source_of(task, labels),
            data=data,
            recipe=recipe,
            notes=f"{len(weighting.columns)} features, C={recipe['strength']}.",
        )


def recipes(labels: int, rows: int) -> list[dict[str, Any]]:
    """The usual best, then what else is tried: nothing for many labels (slow) or for few rows (noise)."""
    alone = {**BASE, "strength": 1.0}
    if labels > FEW_LABELS:
        return [{**alone, "bayes": 0.6}]
    if rows < FEW_ROWS:
        # Ratios from so few rows mislead: on a hundred they cost a point.
        return [{**alone, "min_df": 1}] if rows < VERY_FEW_ROWS else [alone]
    usual = {**alone, "ratios": [0.3, 1.0]}
    rare = {**usual, "min_df": 1}
    # Long texts want the ratios less tamed.
    return [alone, usual, rare] if rows < SOME_ROWS else [usual, rare, {**usual, "ratios": [1.0, 3.0]}]


def enough(answers: Ints) -> tuple[Ints, Ints]:
    """The labels that occur often enough to be cross-validated, and each row's number among them, -1 for others."""
    often = np.bincount(answers)
    least = FOLDS if int((often >= FOLDS).sum()) >= 2 else 2
    kept = np.flatnonzero(often >= least)
    numbers = np.full(len(often), -1, dtype=np.int64)
    numbers[kept] = np.arange(len(kept))
    return kept, numbers[answers]


def other_of(labels: Sequence[Any]) -> int:
    """The number of the label that means none of the others; -1 when there is none, or but one other."""
    found = [k for k, label in enumerate(labels) if re.sub(r"[\W_]+", "_", str(label).lower()).strip("_") in OTHERS]
    return found[0] if len(found) == 1 and len(labels) > 3 else -1


def choose(
    corpus: Corpus, counts: Counts, answers: Ints, seed: int, deadline: float, other: int = -1
) -> dict[str, Any]:
    """The recipe that does best on rows it was not fitted on, with its calibration and its threshold of doubt."""
    labels = int(answers.max(initial=-1)) + 1
    tried = recipes(max(2, labels), len(answers))
    if labels < 2:
        return dict(tried[0])
    least = int(np.bincount(answers).min())
    splits = list(StratifiedKFold(min(FOLDS, least), shuffle=True, random_state=seed).split(answers, answers))
    splits = splits[: max(1, BIG // (counts.words.nnz * labels))]
    splits = splits[:FOLDS]
    right = np.concatenate([answers[held] for _, held in splits])
    chosen, scores = tried[0], _judge(tried[0], corpus, counts, answers, splits, seed)
    for recipe in tried[1:]:
        if time.monotonic() < deadline:
            found = _judge(recipe, corpus, counts, answers, splits, seed)
            if _lead(found, scores, right) > (SURELY if len(answers) >= SOME_ROWS else 0.0):
                scores, chosen = found, recipe
    if labels <= FEW_LABELS and len(right) >= SOME_ROWS and time.monotonic() < deadline:
        # Pairs are a third of the running time: they must earn it.
        recipe = {**chosen, "weights": {**chosen["weights"], "pairs": 0.0}}
        found = _judge(recipe, corpus, counts, answers, splits, seed)
        if _lead(found, scores, right) >= 0.0:
            scores, chosen = found, recipe
    calibration = calibrate(scores, right)
    return {**chosen, "calibration": calibration, "doubt": doubt(scores, right, calibration, other)}


def doubt(scores: Floats, answers: Ints, calibration: Sequence[float], other: int) -> float:
    """How sure another label than `other` must be to be said: so that `LOST` of the others' rows fall below."""
    if other < 0:
        return 0.0
    said = scores.argmax(axis=1)
    wrongly = float(((said == other) & (answers != other)).sum())
    inside = (answers != other) & (said != other)
    logits = logits_of(scores, calibration)[inside]
    share = LOST - wrongly / max(1, int((answers != other).sum()))
    if share <= 0 or not len(logits):
        return 0.0
    return round(float(1.0 / (1.0 + np.exp(-np.quantile(logits, share)))), 4)


def logits_of(scores: Floats, calibration: Sequence[float]) -> Floats:
    """The log-odds that the best label is right."""
    slope, offset, height = calibration
    ordered = np.sort(scores, axis=1)
    raised = ordered[:, -1] - scores.mean(axis=1)
    return np.asarray(offset + slope * (ordered[:, -1] - ordered[:, -2]) + height * raised)


def _judge(
    recipe: dict[str, Any],
    corpus: Corpus,
    counts: Counts,
    answers: Ints,
    splits: Sequence[tuple[Ints, Ints]],
    seed: int,
) -> Floats:
    """The scores that a recipe gives the held-out rows of the splits."""
    scores: list[Floats] = []
    for train, held in splits:
        weighting = Weighting.fit(counts[train], corpus, recipe)
        weights, bias = fit(weighting.apply(counts[train]), answers[train], recipe, seed)
        scores.append(np.asarray(weighting.apply(counts[held]) @ weights.T) + bias)
    return np.vstack(scores)


def _lead(one: Floats, other: Floats, answers: Ints) -> float:
    """How much oftener the first is right where just one of the two is, in standard deviations.

    McNemar's test (1947) with the correction of Edwards (1948), signed.
    """
    first, second = one.argmax(axis=1) == answers, other.argmax(axis=1) == answers
    wins, losses = int((first & ~second).sum()), int((second & ~first).sum())
    return float(np.sign(wins - losses) * max(0, abs(wins - losses) - 1) / np.sqrt(max(1, wins + losses)))


def calibrate(scores: Floats, answers: Ints) -> list[float]:
    """Slope, offset and height of Platt's scaling: how likely the best label is right, from margin and height."""
    ordered = np.sort(scores, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    height = ordered[:, -1] - scores.mean(axis=1)
    right = (scores.argmax(axis=1) == answers).astype(int)
    if right.min() == right.max():
        # Never wrong on so many: Laplace's rule for the odds at the middle margin.
        return [round(float(np.log(len(right) + 1.0) / max(np.median(margin), 1e-6)), 4), 0.0, 0.0]
    many = scores.shape[1] > 2
    inputs = np.column_stack([margin, height]) if many else margin[:, None]
    model = LogisticRegression(C=10.0).fit(inputs, right)
    slopes = [float(value) for value in model.coef_[0]]
    return [round(slopes[0], 4), round(float(model.intercept_[0]), 4), round(slopes[1], 4) if many else 0.0]


def source_of(task: Task, labels: Sequence[Any]) -> str:
    """The module that evaluates the weights."""
    shown = ", ".join(str(label) for label in labels[:8]) + (", ..." if len(labels) > 8 else "")
    head = docstring(f"A linear text model: {' + '.join(task.text_fields)} -> one of {len(labels)} labels ({shown}).")
    return (
        f"{head}\n\nfrom programs.runtime.linear import Linear\n\nMODEL = Linear(DATA)\n\n\n"
        "def run(record):\n    return MODEL.run(record)\n\n\n"
        "def run_batch(records):\n    return MODEL.run_batch(records)\n"
    )
