"""Labelled files in, one honest row of numbers out: what `loopai evaluate` prints."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import msgspec

from loopai.errors import ConfigurationError
from loopai.records import Example
from programs.artifact import Program
from programs.running import Answer, Runner, encode_inputs, output_of
from programs.synthesis import Progress, score, synthesise
from programs.task import Task, infer_task

BATCH = 1000


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the generated program did on the test rows. `accuracy` and `macro_f1` are percent.

    `us_per_record` is the time in the runner, in microseconds, over batches of 1,000, after a batch of training inputs
    has loaded and warmed the program; `seconds` is generation alone.
    """

    strategy: str
    n: int
    accuracy: float
    macro_f1: float
    abstained: int
    us_per_record: float
    program_id: str
    seconds: float


async def evaluate(
    train: Sequence[Example],
    test: Sequence[Example],
    *,
    labels: int | None = None,
    seed: int = 0,
    seconds: float = 120.0,
    run: Runner,
    task: Task | None = None,
    progress: Progress | None = None,
) -> tuple[EvaluationReport, Program]:
    """Generate from `labels` random rows of `train` (all by default, drawn by `seed`) and score on all of `test`."""
    if not test:
        raise ConfigurationError("The test file has no rows.", next_step="Give a file with labelled rows.")
    rows = draw(train, labels, seed)
    began = time.monotonic()
    program = await synthesise(task or infer_task(rows), rows, seed=seed, seconds=seconds, run=run, progress=progress)
    took = time.monotonic() - began
    inputs = encode_inputs([row.input for row in test])
    given: list[Answer] = []
    await run(program, encode_inputs([row.input for row in rows[:BATCH]]))
    started = time.perf_counter()
    for first in range(0, len(inputs), BATCH):
        given += await run(program, inputs[first : first + BATCH])
    spent = time.perf_counter() - started
    result = score([row.expected for row in test], [output_of(answer) for answer in given])
    report = EvaluationReport(
        strategy=program.strategy,
        n=result.n,
        accuracy=round(100 * result.accuracy, 2),
        macro_f1=round(100 * result.macro_f1, 2),
        abstained=result.abstained,
        us_per_record=round(1e6 * spent / len(inputs), 2),
        program_id=program.id,
        seconds=round(took, 2),
    )
    return report, program


def draw(rows: Sequence[Example], labels: int | None, seed: int) -> list[Example]:
    """`labels` random rows by `seed`, in the order of the file; all of them when None. Raises ConfigurationError."""
    if labels is None or labels >= len(rows):
        return list(rows)
    if labels < 1:
        raise ConfigurationError(f"{labels} labels cannot teach anything.", next_step="Give --labels of 2 or more.")
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), labels))]  # noqa: S311
