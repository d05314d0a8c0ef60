"""Labelled examples in, one program out: tries strategies, scores them on rows they never saw, keeps the best.

Without a language model this is the whole of generation; strategies that ask one come in as `extra`. The choice is by
the lower end of the interval of the held-out accuracy, then by how well the confidence fits, then by nominal speed and
cost: never by a clock, so the same examples and seed give the same program, unless the time runs out.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from loopai.errors import LoopaiError, ProgramError
from loopai.records import Example
from programs.artifact import Attempt, Manifest, Program, Score
from programs.running import Runner, encode_inputs, output_of
from programs.runtime.text import text_of
from programs.scoring import accuracy, folds, macro_f1, wilson
from programs.strategies.base import Proposal, Strategy
from programs.strategies.catalog import constant, offline_strategies
from programs.task import Task, infer_task

Progress = Callable[[float, str], None]
_SPELLED = str.maketrans("0123456789", "ghijklmnop")

PARTS = 5
FEW, SOME = 1000, 4000
"""Up to FEW rows every part is held out once; up to SOME two parts are; above, one part of five."""
CLOSE, CLOSE_ROWS = 0.002, 2
"""Lower ends nearer than this ratio, or than so many rows make, count as equal."""
ALIKE = 1.05
"""Squared errors of the confidence within this factor count as equal, and the quicker program wins."""


@dataclass
class Trial:
    """A strategy on its way through the router."""

    strategy: Strategy
    score: Score | None = None
    recipe: dict[str, Any] | None = None
    reason: str = ""
    seconds: float = 0.0
    cost_usd: float = 0.0
    tokens: tuple[int, int] = (0, 0)
    model: str = ""
    expected: list[Any] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    @property
    def brier(self) -> float:
        """The mean squared error of the confidence that the answer is right (Brier 1950)."""
        return sum(self.errors) / max(1, len(self.errors))


async def synthesise(
    task: Task,
    examples: Sequence[Example],
    *,
    seed: int = 0,
    seconds: float = 120.0,
    run: Runner,
    progress: Progress | None = None,
    extra: Sequence[Strategy] = (),
    only: str = "",
) -> Program:
    """The program that does best on held-out rows, refitted on all of them.

    `only` names the one strategy to try. `seconds` bounds the search softly: a strategy that has begun ends. Rows with
    the same input and different answers count with the commonest answer. One label only gives a constant program.
    Raises ProgramError, before anything is tried, for no usable example and for a label outside the task's; or when no
    strategy gave a program that runs.
    """
    began = time.monotonic()
    deadline = began + seconds
    tell = progress or (lambda _share, _step: None)
    tell(0.0, "reading the examples")
    rows, notes = prepare(task, examples)
    if not (task.text_fields or task.number_fields):
        shown = infer_task(rows)
        task = msgspec.structs.replace(task, text_fields=shown.text_fields, number_fields=shown.number_fields)
    base = Manifest(seed=seed, examples=digest(rows), n_examples=len(rows))
    if task.kind == "classification" and len({_key(row.expected) for row in rows}) == 1:
        why = f"Every example says {rows[0].expected!r}: a constant program. Add examples of another label."
        return constant(rows[0].expected).program(task, msgspec.structs.replace(base, why=why, seconds=_since(began)))
    splits = await asyncio.to_thread(split_rows, task, rows, seed)
    known = (*offline_strategies(), *extra)
    trials = [Trial(strategy) for strategy in known if only in ("", strategy.name)]
    if not trials:
        names = ", ".join(strategy.name for strategy in known)
        raise ProgramError(
            f"There is no strategy {only!r}.", next_step=f"Take one of {names}, or leave the choice open."
        )
    for number, trial in enumerate(trials):
        tell(0.05 + 0.8 * number / len(trials), f"trying {trial.strategy.name}")
        await _try(trial, task, rows, splits, seed, deadline, run)
    chosen = choose(trials)
    if chosen is None:
        reasons = "; ".join(f"{trial.strategy.name}: {trial.reason}" for trial in trials)
        raise ProgramError(f"No strategy gave a program ({reasons}).", next_step="Add examples, or allow more time.")
    tell(0.9, f"refitting {chosen.strategy.name} on all examples")
    final = await asyncio.to_thread(chosen.strategy.propose, task, rows, seed, deadline + seconds, chosen.recipe)
    attempts = tuple(
        Attempt(strategy=t.strategy.name, score=t.score, reason=t.reason, seconds=round(t.seconds, 3)) for t in trials
    )
    manifest = msgspec.structs.replace(
        base,
        n_held_out=len(chosen.expected),
        score=chosen.score,
        attempts=attempts,
        why=" ".join([explain(chosen, trials, splits), *notes, final.notes]).strip(),
        model=chosen.model,
        tokens_in=sum(t.tokens[0] for t in trials),
        tokens_out=sum(t.tokens[1] for t in trials),
        cost_usd=sum(t.cost_usd for t in trials),
        seconds=_since(began),
    )
    tell(1.0, "done")
    return final.program(task, manifest)


def prepare(task: Task, examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """The usable rows in their order, and notes on what was set aside or settled by majority."""
    if not examples:
        raise ProgramError("There are no examples.", next_step="Give at least two labelled examples of each label.")
    notes: list[str] = []
    rows = [row for row in examples if row.expected is not None and not _empty(row.input)]
    if len(rows) < len(examples):
        notes.append(f"{len(examples) - len(rows)} examples without an input or an answer were left out.")
    if not rows:
        raise ProgramError("Every example is empty.", next_step="Give examples with an input and an expected answer.")
    if task.kind != "classification":
        return rows, notes
    allowed = {_key(label) for label in task.labels}
    strange = [row for row in rows if allowed and _key(row.expected) not in allowed]
    if strange:
        raise ProgramError(
            f"Example {strange[0].id!r} has the label {strange[0].expected!r}, which is not one of the app's labels"
            f" ({len(strange)} such examples).",
            next_step="Correct the examples, or add the label to the app.",
        )
    votes: defaultdict[bytes, Counter[bytes]] = defaultdict(Counter)
    for row in rows:
        votes[_key(row.input)][_key(row.expected)] += 1
    settled = []
    changed = 0
    for row in rows:
        counted = votes[_key(row.input)]
        winner = min(counted, key=lambda key: (-counted[key], key))
        if winner != _key(row.expected):
            changed += 1
            row = msgspec.structs.replace(row, expected=msgspec.json.decode(winner))
        settled.append(row)
    if changed:
        notes.append(f"{changed} examples contradicted others with the same input; the commonest answer was taken.")
    return settled, notes


def split_rows(task: Task, rows: Sequence[Example], seed: int) -> list[tuple[list[int], list[int]]]:
    """Pairs of (training, held-out) row numbers; near-duplicates never on both sides."""
    texts = [_comparable(task, row.input) for row in rows]
    parts = min(PARTS, len(rows))
    cut = folds(texts, [_key(row.expected) for row in rows], parts, seed)
    held = parts if len(rows) <= FEW else 2 if len(rows) <= SOME else 1
    splits = []
    for part in cut[:held]:
        inside = set(part)
        train = [i for i in range(len(rows)) if i not in inside]
        if part and train:
            splits.append((train, part))
    return splits


async def _try(
    trial: Trial,
    task: Task,
    rows: Sequence[Example],
    splits: Sequence[tuple[list[int], list[int]]],
    seed: int,
    deadline: float,
    run: Runner,
) -> None:
    """Score one strategy on every split; fill in its score or why it fell out.

    The recipe is chosen by the first split's training rows and kept for the others, so that choosing costs once.
    """
    began = time.monotonic()
    trial.reason = trial.strategy.suits(task, rows)
    spent, answered = 0.0, 0
    for train, held in () if trial.reason else splits:
        if time.monotonic() > deadline:
            trial.reason = "" if trial.given else "the time ran out"
            break
        try:
            learned = [rows[i] for i in train]
            proposal = await asyncio.to_thread(trial.strategy.propose, task, learned, seed, deadline, trial.recipe)
            _count(trial, proposal)
            inputs = encode_inputs([rows[i].input for i in held])
            program = proposal.program(task)
            started = time.perf_counter()
            answers = await run(program, inputs)
            spent += time.perf_counter() - started
            answered += len(answers)
        except LoopaiError as error:
            trial.reason = error.message
            break
        outputs, wanted = [output_of(answer) for answer in answers], [rows[i].expected for i in held]
        trial.given += outputs
        trial.expected += wanted
        for answer, output, want in zip(answers, outputs, wanted, strict=True):
            sure = 0.0 if output is None else 1.0 if answer.confidence is None else answer.confidence
            trial.errors.append((sure - float(output is not None and _key(output) == _key(want))) ** 2)
    trial.seconds = time.monotonic() - began
    if not trial.reason and answered:
        trial.score = score(trial.expected, trial.given, 1e6 * spent / answered)


def _count(trial: Trial, proposal: Proposal) -> None:
    trial.recipe = proposal.recipe
    trial.cost_usd += proposal.cost_usd
    trial.tokens = (trial.tokens[0] + proposal.tokens_in, trial.tokens[1] + proposal.tokens_out)
    trial.model = proposal.model


def score(expected: Sequence[Any], given: Sequence[Any], us_per_record: float = 0.0) -> Score:
    """Held-out answers as a score with Wilson's interval."""
    wanted = [_key(value) for value in expected]
    said = [None if value is None else _key(value) for value in given]
    share = accuracy(wanted, said)
    low, high = wilson(round(share * len(wanted)), len(wanted))
    return Score(
        n=len(wanted),
        accuracy=share,
        low=low,
        high=high,
        macro_f1=macro_f1(wanted, said),
        abstained=sum(value is None for value in given),
        us_per_record=round(us_per_record, 2),
    )


def choose(trials: Sequence[Trial]) -> Trial | None:
    """The highest lower end; among those as good, by Brier's score; among those as good, the quickest, the cheapest.

    On a hundred rows two programs often differ by one: how sure each was of each answer tells them apart sooner.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        return None
    top = max(trial.score.low for trial in scored if trial.score)
    close = [t for t in scored if t.score and t.score.low >= top - max(CLOSE, CLOSE_ROWS / max(1, t.score.n))]
    least = min(trial.brier for trial in close)
    close = [trial for trial in close if trial.brier <= ALIKE * least]
    return min(close, key=lambda trial: (trial.strategy.nominal_us, trial.cost_usd))


def explain(chosen: Trial, trials: Sequence[Trial], splits: Sequence[tuple[list[int], list[int]]]) -> str:
    """Why this one, for the manifest."""
    if chosen.score is None:
        return ""
    others = ", ".join(
        f"{t.strategy.name} {t.score.accuracy:.3f} (at least {t.score.low:.3f})"
        if t.score
        else f"{t.strategy.name} fell out: {t.reason}"
        for t in trials
        if t is not chosen
    )
    way = f"{len(splits)} held-out parts" if len(splits) > 1 else "one held-out part"
    return (
        f"{chosen.strategy.name} was right on {chosen.score.accuracy:.3f} of {chosen.score.n} held-out examples"
        f" in {way}, surely at least {chosen.score.low:.3f}; tried beside it: {others or 'nothing'}."
        " The recipe was chosen inside the first part's training examples; the score is from before the refit on all."
    )


def digest(rows: Sequence[Example]) -> str:
    """The address of what was learned from: inputs and answers, in their order."""
    seal = sha256()
    for row in rows:
        seal.update(_key(row.input) + b"\t" + _key(row.expected) + b"\n")
    return seal.hexdigest()


def _key(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _comparable(task: Task, value: Any) -> str:
    """What near-duplicates are told by: the text; in records with numbers the whole of it, spelled in letters."""
    if task.number_fields:
        return sha256(_key(value)).hexdigest().translate(_SPELLED)
    return text_of(value, task.text_fields) or repr(value)


def _empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(entry is None or (isinstance(entry, str) and not entry.strip()) for entry in value.values())
    return value is None or (isinstance(value, str) and not value.strip())


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
