"""Labelled records in, a decision tree as readable nested `if`s out.

CART (Breiman et al. 1984) over the number fields of the records and over the commonest values of their short text
fields. Depth and smallest leaf are chosen by cross-validation on the training rows. A leaf's confidence is its share of
the winning label, smoothed by Laplace's rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.tree import DecisionTreeClassifier

from loopai.errors import ProgramError
from loopai.records import Example
from programs.runtime.tree import number, text
from programs.strategies.base import Proposal, docstring
from programs.strategies.features import Floats
from programs.task import Task, labels_of

SHAPES = ((4, 5), (6, 10), (9, 20), (12, 40))
"""Depth and smallest leaf of the trees that are tried."""
VALUES = 12
SHORT = 40


class TreeStrategy:
    """See the module."""

    name = "tree"
    nominal_us = 3.0

    def suits(self, task: Task, rows: Sequence[Example]) -> str:
        if task.kind != "classification":
            return "it classifies only"
        return "" if task.number_fields else "the records hold no numbers"

    def propose(
        self, task: Task, rows: Sequence[Example], seed: int, deadline: float, recipe: dict[str, Any] | None = None
    ) -> Proposal:
        labels = labels_of(rows)
        place = {repr(label): k for k, label in enumerate(labels)}
        answers = np.asarray([place[repr(row.expected)] for row in rows])
        if len(labels) < 2:
            raise ProgramError("A tree needs two labels.")
        questions = questions_of(task, rows)
        table = answers_to(questions, rows)
        if recipe is None:
            recipe = {"shape": list(SHAPES[0])}
            least = int(np.bincount(answers).min())
            if least >= 2:
                folds = StratifiedKFold(min(4, least), shuffle=True, random_state=seed)
                value = [
                    float(cross_val_score(_tree(shape, seed), table, answers, cv=folds).mean()) for shape in SHAPES
                ]
                recipe = {"shape": list(SHAPES[int(np.argmax(value))])}
        model = _tree(tuple(recipe["shape"]), seed).fit(table, answers)
        source = (
            f"{docstring('A decision tree over ' + ', '.join(dict.fromkeys(name for name, _ in questions)) + '.')}\n\n"
            "from programs.runtime.tree import number, text\n\n\n"
            "def run(record):\n"
            + _reads(questions, {int(i) for i in model.tree_.feature if i >= 0})
            + "\n".join(_lines(model.tree_, 0, questions, labels, "    "))
            + "\n"
        )
        return Proposal(strategy="tree", source=source, recipe=recipe, notes=f"{model.get_n_leaves()} leaves.")


Question = tuple[str, str | None]
"""A number field (None), or a text field and the value that is asked for."""


def questions_of(task: Task, rows: Sequence[Example]) -> list[Question]:
    """What a tree may ask of a record."""
    questions: list[Question] = [(name, None) for name in task.number_fields]
    for name in task.text_fields:
        values = Counter(text(row.input, name) for row in rows)
        common = [value for value, n in values.most_common(VALUES) if n >= 5 and len(value) <= SHORT]
        questions += [(name, value) for value in sorted(common)]
    return questions


def answers_to(questions: Sequence[Question], rows: Sequence[Example]) -> Floats:
    """Rows x questions: the numbers, and 1 where a text field has the value."""
    table = [
        [
            number(row.input, name) if value is None else float(text(row.input, name) == value)
            for name, value in questions
        ]
        for row in rows
    ]
    # CART compares in single precision; what is rounded here is compared as rounded there, too.
    return np.asarray(table, dtype=np.float32).clip(-1e30, 1e30).astype(np.float64)


def _tree(shape: tuple[int, ...], seed: int) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=shape[0], min_samples_leaf=shape[1], random_state=seed)


def _reads(questions: Sequence[Question], used: set[int]) -> str:
    """Each number that the tree compares, read once."""
    numbers = [i for i in sorted(used) if questions[i][1] is None]
    return "".join(f"    f{i} = number(record, {questions[i][0]!r})\n" for i in numbers)


def _lines(tree: Any, node: int, questions: Sequence[Question], labels: Sequence[Any], indent: str) -> list[str]:
    feature = int(tree.feature[node])
    if feature < 0:
        shares = np.asarray(tree.value[node][0])
        n = int(tree.n_node_samples[node])
        best = int(shares.argmax())
        sure = (float(shares[best] / shares.sum()) * n + 1) / (n + len(labels))
        return [f"{indent}return {labels[best]!r}, {round(sure, 4)}"]
    name, value = questions[feature]
    condition = (
        f"f{feature} <= {float(tree.threshold[node]):.7g}" if value is None else f"text(record, {name!r}) != {value!r}"
    )
    lines = [f"{indent}if {condition}:"]
    lines += _lines(tree, int(tree.children_left[node]), questions, labels, indent + "    ")
    lines.append(f"{indent}else:")
    lines += _lines(tree, int(tree.children_right[node]), questions, labels, indent + "    ")
    return lines
