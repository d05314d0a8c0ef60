"""A fitted linear model in, the bytes that `programs.runtime.linear` reads out: quantised, in safetensors.

Up to 16 labels keep 12 bits a weight, more keep 8. Shifting all weights of one feature by a constant changes no margin,
so each row is centred before it is quantised. A known word's row already holds its n-grams.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save
from scipy.sparse import csr_matrix

from loopai.errors import ProgramError
from programs.runtime.text import STEPS, grams
from programs.strategies.features import FAMILIES, STAIRS, Corpus, Floats, Weighting

WIDE_LABELS = 16
BYTES = 6_000_000
"""Weights as data; base64 makes this 8 MB in an encoded program."""
FACTOR = 16


def pack(
    corpus: Corpus,
    weighting: Weighting,
    weights: Floats,
    bias: Floats,
    labels: Sequence[Any],
    fields: Sequence[str],
    recipe: dict[str, Any],
) -> bytes:
    """The model as one safetensors file. Raises ProgramError when it cannot be made small enough."""
    names = list(corpus.number)
    stairs = climbed(weights[:, -len(STAIRS) :] * weighting.shape)
    scaled = weights[:, : -len(STAIRS)] * weighting.weights
    squares = weighting.weights**2
    rows: dict[str, tuple[list[str], Floats]] = {}
    family_of = np.asarray([FAMILIES.index(names[column][0]) for column in weighting.columns], dtype=np.int64)
    for index, family in enumerate(FAMILIES):
        mine = np.flatnonzero(family_of == index)
        texts = [names[weighting.columns[i]][1] for i in mine]
        order = sorted(range(len(texts)), key=texts.__getitem__)
        values = np.column_stack([scaled[:, mine].T, squares[mine]]) if len(mine) else np.zeros((0, len(labels) + 1))
        rows[family] = ([texts[i] for i in order], values[order])
    rows["words"] = (rows["words"][0], rows["words"][1] + _grams_of(rows["words"][0], *rows["grams"]))
    return _write(rows, bias, stairs, labels, fields, recipe)


def climbed(weights: Floats) -> Floats:
    """Weights of single stairs (labels x stairs) as what standing on a step adds: (measures x steps) x labels."""
    tables = []
    for measure, steps in enumerate(STEPS):
        mine = weights[:, [column for column, (m, _) in enumerate(STAIRS) if m == measure]].T
        tables.append(np.vstack([np.zeros((1, weights.shape[0])), np.cumsum(mine, axis=0)]))
        assert len(tables[-1]) == len(steps) + 1
    return np.vstack(tables).astype(np.float32).astype(np.float64)


def _grams_of(words: Sequence[str], names: Sequence[str], values: Floats) -> Floats:
    """What the n-grams of each word add."""
    place = {name: i for i, name in enumerate(names)}
    found = [[place[gram] for gram in grams(word) if gram in place] for word in words]
    ends = np.cumsum([0, *map(len, found)])
    flat = [i for row in found for i in row]
    picked = csr_matrix((np.ones(len(flat)), flat, ends), shape=(len(words), max(1, len(names))))
    return np.asarray(picked @ values) if len(names) else np.zeros((len(words), values.shape[1]))


def _write(
    rows: dict[str, tuple[list[str], Floats]],
    bias: Floats,
    stairs: Floats,
    labels: Sequence[Any],
    fields: Sequence[str],
    recipe: dict[str, Any],
) -> bytes:
    wide = len(labels) <= WIDE_LABELS
    dtype: Any = np.uint16 if wide else np.uint8
    top, middle = (4095, 2048) if wide else (255, 128)
    centred: dict[str, Floats] = {}
    reach: dict[str, tuple[float, float]] = {}
    for family, (_, values) in rows.items():
        lines = values[:, :-1]
        if len(lines):
            lines = lines - (lines.max(axis=1, keepdims=True) + lines.min(axis=1, keepdims=True)) / 2
        centred[family] = lines
        reach[family] = (float(np.abs(lines).max(initial=1e-9)), float(values[:, -1].max(initial=1e-9)))
    factors = _factors(reach, wide)
    step = max(reach[family][0] / factors[family] for family in rows) / (middle - 1)
    norm_step = max(reach[family][1] / factors[family] for family in rows) / top
    tensors: dict[str, Any] = {}
    for family, (names, values) in rows.items():
        quantised = np.rint(centred[family] / (step * factors[family])) + middle
        lengths = np.rint(values[:, -1:] / (norm_step * factors[family]))
        tensors[family] = np.clip(np.hstack([quantised, lengths]), 0, top).astype(dtype)
        tensors[f"{family}.names"] = np.frombuffer("\n".join(names).encode(), dtype=np.uint8)
    tensors["stairs"] = stairs.astype(np.float32)
    about = {
        "labels": list(labels),
        "fields": list(fields),
        "step": step,
        "norm_step": norm_step,
        "factors": factors,
        "bias": [round(float(value), 6) for value in bias - bias.mean()],
        "calibration": recipe["calibration"],
        "other": [labels.index(recipe["other"]) if recipe["other"] in labels else -1, recipe["doubt"]],
    }
    # One key only: the library writes several in the order of a hash map, which differs from run to run.
    data = save(tensors, metadata={"loopai": json.dumps(about, sort_keys=True, ensure_ascii=False)})
    if len(data) > BYTES:
        raise ProgramError(f"The weights take {len(data)} bytes, more than {BYTES}.")
    return data


def _factors(reach: dict[str, tuple[float, float]], wide: bool) -> dict[str, int]:
    """How many base steps a step of each table is: tables of small weights get finer steps in eight bits."""
    if wide:
        return dict.fromkeys(reach, 1)
    smallest = min(value for value, _ in reach.values())
    return {family: int(min(FACTOR, max(1, round(value / smallest)))) for family, (value, _) in reach.items()}
