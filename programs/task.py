"""A loop app or bare examples in, the task out: which kind of answer, from which fields, among which labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from loopai.apps import Kind, LoopApp, label_output_schema, text_input_schema
from loopai.errors import ConfigurationError
from loopai.records import Example


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What programs are generated for. `labels` closes the answers of a classification; empty: whatever occurs."""

    app: str = ""
    kind: Kind = "classification"
    description: str = ""
    labels: tuple[Any, ...] = ()
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}
    text_fields: tuple[str, ...] = ()
    number_fields: tuple[str, ...] = ()


def task_of(app: LoopApp, examples: Sequence[Example]) -> Task:
    """The task of a loop app; what the app leaves open is taken from the examples."""
    return infer_task(
        examples,
        app=app.id,
        kind=app.kind,
        description=app.description,
        labels=app.labels,
        input_schema=app.input_schema,
        output_schema=app.output_schema,
    )


def infer_task(
    examples: Sequence[Example],
    *,
    app: str = "",
    kind: Kind = "classification",
    description: str = "",
    labels: tuple[Any, ...] = (),
    input_schema: dict[str, Any] | None = None,
    output_schema: dict[str, Any] | None = None,
) -> Task:
    """The task that the examples show.

    A field is a number field when nine in ten of its values are numbers (or read as such), else a text field. Fields
    that hold a different short value in each row, such as ids, tell nothing and are left out when others are there.
    """
    texts, numbers = _fields(examples)
    found = labels or (labels_of(examples) if kind == "classification" else ())
    return Task(
        app=app,
        kind=kind,
        description=description,
        labels=found,
        input_schema=input_schema or (text_input_schema() if texts == ("text",) and not numbers else {}),
        output_schema=output_schema or (_label_schema(found) if kind == "classification" else {}),
        text_fields=texts,
        number_fields=numbers,
    )


def labels_of(examples: Sequence[Example]) -> tuple[Any, ...]:
    """The distinct expected values, in a stable order."""
    seen = {msgspec.json.encode(example.expected, order="sorted"): example.expected for example in examples}
    return tuple(seen[key] for key in sorted(seen))


def _label_schema(labels: tuple[Any, ...]) -> dict[str, Any]:
    if all(isinstance(label, str) for label in labels):
        return label_output_schema(labels)
    return {"enum": list(labels)}


def as_number(value: Any) -> float | None:
    """A JSON value as a number, if it is one or reads as one. Booleans count as 0 and 1."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str) and value and len(value) < 40:
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _fields(examples: Sequence[Example]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The text fields and the number fields of the inputs."""
    columns: dict[str, list[Any]] = {}
    for example in examples:
        if isinstance(example.input, str):
            columns.setdefault("text", []).append(example.input)
        elif isinstance(example.input, dict):
            for name, value in example.input.items():
                if value is not None and isinstance(value, str | int | float):
                    columns.setdefault(name, []).append(value)
        else:
            raise ConfigurationError(
                f"The input of example {example.id!r} is {type(example.input).__name__}, not an object.",
                next_step='Give each input as a JSON object, such as {"text": "..."}.',
            )
    texts: list[str] = []
    numbers: list[str] = []
    for name, values in columns.items():
        if name == "text":
            texts.append(name)
        elif sum(as_number(value) is not None for value in values) >= 0.9 * len(values):
            numbers.append(name)
        else:
            texts.append(name)
    telling = [name for name in texts if not _is_identifier(columns[name])]
    numbers = [name for name in numbers if not _is_counter(columns[name])]
    return tuple(sorted(telling or texts)), tuple(sorted(numbers))


def _is_identifier(values: list[Any]) -> bool:
    """Whether a text column names its rows: all distinct, short, one word each."""
    words = [str(value) for value in values]
    return (
        len(words) > 20 and len(set(words)) == len(words) and all(" " not in word and len(word) < 40 for word in words)
    )


def _is_counter(values: list[Any]) -> bool:
    """Whether a number column counts its rows: whole, distinct and rising throughout."""
    numbers = [as_number(value) for value in values]
    steady = all(a is not None and b is not None and b > a for a, b in pairwise(numbers))
    return len(values) > 20 and steady and all(number is not None and number.is_integer() for number in numbers)


def class_counts(examples: Sequence[Example]) -> Counter[bytes]:
    """How often each expected value occurs, keyed by its JSON."""
    return Counter(msgspec.json.encode(example.expected, order="sorted") for example in examples)
