"""A model that can be asked and labelled rows in, the program it wrote that did best on rows it never saw out.

Several candidates are written from one prompt; each must pass the gate, is run by the caller's runner (the jail) and is
scored on the held-out rows. Then the best is repaired: the model is shown where it failed *on the training rows* and
what was right there. Held-out rows are never shown, so their score stays honest but for the choice among a handful.

The prompt quotes examples as data in a fixed frame. What they say to the model may still be believed by it, so the
program is trusted no further for that: it is gated, jailed and measured like any other.

Requests carry a seed made of the caller's, so that recorded replies give the same program again.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from loopai.errors import BudgetError, LoopaiError, ProgramError
from loopai.records import Example
from programs.artifact import Attempt, Manifest, Program, Score
from programs.prompts import embed, quote, render
from programs.providers.chat import ChatModel, ChatReply, ChatRequest
from programs.running import Runner, encode_inputs, output_of
from programs.synthesis import digest, prepare, score, split_rows
from programs.task import Task

SHOWN: Final = 32
"""Examples in the prompt; one of each label at least, as far as twice as many go."""

SHOWN_FAILURES: Final = 16
TRIED_ROWS: Final = 500
"""Training rows that a candidate is run over to find counterexamples."""

EXAMPLE_CHARACTERS: Final = 600
OUTPUT_TOKENS: Final = 12_000
GATE_SECONDS: Final = 10.0

_FENCED: Final = re.compile(r"^```[ \t]*(?:python|py)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)
_RUN: Final = re.compile(r"^(?:def run\b|run\s*=)", re.MULTILINE)


class Draft(msgspec.Struct, kw_only=True):
    """One reply on its way to being a program. Without a score, `fault` says what was wrong with it."""

    seed: int
    request: str = ""
    reply: ChatReply | None = None
    source: str = ""
    program: Program | None = None
    score: Score | None = None
    fault: str = ""

    @property
    def rank(self) -> tuple[float, float, int]:
        """Better is larger: the lower end, then the accuracy, then the earlier one."""
        return (self.score.low, self.score.accuracy, -self.seed) if self.score else (-1.0, -1.0, -self.seed)


async def write_program(
    model: ChatModel,
    task: Task,
    train: Sequence[Example],
    held_out: Sequence[Example],
    run: Runner,
    *,
    candidates: int = 2,
    repairs: int = 1,
    seed: int = 0,
) -> Program:
    """The best program of `candidates` replies and `repairs` rounds, with its held-out score in the manifest.

    A spent budget in the middle ends the search with what there is.

    Raises:
        ProgramError: there are no rows, or no reply was a program that passes the gate and runs; says why for each.
        BudgetError, TransientError, ProviderError: the model answered nothing at all.
    """
    if not train or not held_out:
        raise ProgramError("There are too few examples.", next_step="Give rows to learn from and rows to be scored on.")
    began = time.monotonic()
    shown = _shown(train, seed)
    first = seed * 1_000
    drafts: list[Draft] = []
    failures: list[LoopaiError] = []
    asked = await asyncio.gather(
        *(_write(model, task, shown, first + i) for i in range(max(1, candidates))), return_exceptions=True
    )
    for outcome in asked:
        if isinstance(outcome, LoopaiError):
            failures.append(outcome)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            await _try(outcome, task, held_out, run)
            drafts.append(outcome)
    if not drafts:
        raise failures[0]
    for round in range(repairs):
        best = max(drafts, key=lambda draft: draft.rank)
        faults = await _faults(best, train, run, seed)
        if best.score is not None and not faults:
            break
        try:
            repaired = await _repair(model, task, best, shown, faults, first + 500 + round)
        except LoopaiError as error:
            failures.append(error)
            if isinstance(error, BudgetError):
                break
            continue
        await _try(repaired, task, held_out, run)
        drafts.append(repaired)
    return _finished(drafts, failures, train, held_out, seed, time.monotonic() - began)


def train_and_held_out(task: Task, examples: Sequence[Example], seed: int = 0) -> tuple[list[Example], list[Example]]:
    """The rows to show and the rows to score on: a fifth, with like shares of each label, near-duplicates together.

    Raises:
        ProgramError: there are too few usable rows for both.
    """
    rows, _ = prepare(task, examples)
    splits = split_rows(task, rows, seed)
    if not splits:
        raise ProgramError("There are too few examples.", next_step="Give at least two that are not alike.")
    train, held = splits[0]
    return [rows[i] for i in train], [rows[i] for i in held]


async def _write(model: ChatModel, task: Task, shown: Sequence[Example], seed: int) -> Draft:
    lines = "\n".join(_example(example) for example in shown)
    request = ChatRequest(
        messages=render("write_program", **_frame(task), examples=lines), seed=seed, max_output_tokens=OUTPUT_TOKENS
    )
    return await _draft(model, request, seed)


async def _repair(
    model: ChatModel, task: Task, best: Draft, shown: Sequence[Example], faults: Sequence[str], seed: int
) -> Draft:
    """Another draft. A reply that was no module at all leaves nothing to repair: it is asked for anew."""
    if not best.source:
        return await _write(model, task, shown, seed)
    fault = best.fault or f"it is right on {best.score.accuracy:.3f} of other records" if best.score else best.fault
    request = ChatRequest(
        messages=render(
            "repair_program",
            **_frame(task),
            source=embed(best.source),
            fault=quote(fault, EXAMPLE_CHARACTERS),
            examples="\n".join(faults or [_example(example) for example in shown]),
        ),
        seed=seed,
        max_output_tokens=OUTPUT_TOKENS,
    )
    return await _draft(model, request, seed)


async def _draft(model: ChatModel, request: ChatRequest, seed: int) -> Draft:
    reply = await model.complete(request)
    source = extract_source(reply.text)
    fault = "" if source else "the reply holds no module that defines run(record)"
    if reply.finish == "length":
        fault = "the reply was cut off at the output limit"
    return Draft(seed=seed, request=request.digest(), reply=reply, source=source, fault=fault)


def extract_source(text: str) -> str:
    """The module in a reply: the longest fenced block that defines `run`, else the whole text if that does; else ''."""
    text = text.replace("\r\n", "\n")
    blocks = [block for block in _FENCED.findall(text) if _RUN.search(block)]
    source = max(blocks, key=len) if blocks else text if "```" not in text and _RUN.search(text) else ""
    return source.strip() + "\n" if source.strip() else ""


async def _try(draft: Draft, task: Task, held_out: Sequence[Example], run: Runner) -> None:
    """Gate, run and score a draft; what goes wrong becomes its fault."""
    if draft.fault:
        return
    try:
        await check_apart(draft.source)
        draft.program = Program.make(
            kind=task.kind,
            strategy="llm",
            source=draft.source,
            input_schema=task.input_schema,
            output_schema=task.output_schema,
        )
        started = time.perf_counter()
        answers = await run(draft.program, encode_inputs([row.input for row in held_out]))
        spent = time.perf_counter() - started
    except ProgramError as error:
        draft.fault = error.message
        return
    answered = [answer for answer in answers if answer.outcome in ("ok", "abstained")]
    if not answered:
        reason = getattr(answers[0], "reason", None) if answers else None
        draft.fault = f"no record was answered: {answers[0].outcome if answers else 'nothing'} {reason or ''}".strip()
        return
    given = [output_of(answer) for answer in answers]
    draft.score = score([row.expected for row in held_out], given, 1e6 * spent / len(held_out))


async def _faults(draft: Draft, train: Sequence[Example], run: Runner, seed: int) -> list[str]:
    """Training rows that the draft gets wrong, as lines of the repair prompt; each answer is given its turn."""
    if draft.program is None or draft.score is None:
        return []
    rows = list(train)
    if len(rows) > TRIED_ROWS:
        rows = random.Random(seed).sample(rows, TRIED_ROWS)  # noqa: S311 - reproducible, not secret
    answers = await run(draft.program, encode_inputs([row.input for row in rows]))
    wrong: defaultdict[bytes, list[str]] = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        given = output_of(answer)
        if _key(given) != _key(row.expected):
            said = given if answer.outcome == "ok" else answer.outcome
            wrong[_key(row.expected)].append(_example(row, said))
    return _in_turn(wrong, SHOWN_FAILURES)


def _finished(
    drafts: Sequence[Draft],
    failures: Sequence[LoopaiError],
    train: Sequence[Example],
    held_out: Sequence[Example],
    seed: int,
    seconds: float,
) -> Program:
    best = max(drafts, key=lambda draft: draft.rank)
    replies = [draft.reply for draft in drafts if draft.reply is not None]
    paid = [reply for reply in replies if not reply.replayed]
    cost = sum(reply.cost_usd or 0.0 for reply in paid)
    reasons = [*(draft.fault for draft in drafts if draft.fault), *(failure.message for failure in failures)]
    if best.program is None or best.score is None or best.reply is None:
        raise ProgramError(
            f"The model wrote no program that runs ({'; '.join(reasons)}). Spent: {cost:.4f} USD.",
            next_step="Describe the task more closely, or generate without a model.",
        )
    why = f"The best of {len(drafts)} drafts, chosen on {len(held_out)} held-out examples that no prompt showed."
    if any(reply.cost_usd is None for reply in paid):
        why += " The price of the model is unknown, so the cost is left out."
    manifest = Manifest(
        reason="written by a language model",
        seed=seed,
        examples=digest(train),
        n_examples=len(train),
        n_held_out=len(held_out),
        score=best.score,
        attempts=tuple(Attempt(strategy="llm", score=draft.score, reason=draft.fault) for draft in drafts),
        why=why,
        model=best.reply.model,
        prompt=best.request,
        tokens_in=sum(reply.tokens_in for reply in paid),
        tokens_out=sum(reply.tokens_out for reply in paid),
        cost_usd=cost,
        seconds=round(seconds, 3),
    )
    return msgspec.structs.replace(best.program, manifest=manifest)


def _frame(task: Task) -> dict[str, str]:
    labels = f"The output is one of: {quote(list(task.labels))}" if task.labels else ""
    return {
        "kind": task.kind,
        "description": task.description or "as the examples show",
        "labels": labels,
        "input_schema": quote(task.input_schema, 2_000),
        "output_schema": quote(task.output_schema, 2_000),
    }


def _shown(train: Sequence[Example], seed: int) -> list[Example]:
    """Rows for the prompt: each answer in turn, in a seeded order, no input twice."""
    rows = list(train)
    random.Random(seed).shuffle(rows)  # noqa: S311 - reproducible, not secret
    by_answer: defaultdict[bytes, list[Example]] = defaultdict(list)
    seen: set[bytes] = set()
    for row in rows:
        if (content := _key(row.input)) not in seen:
            seen.add(content)
            by_answer[_key(row.expected)].append(row)
    return _in_turn(by_answer, max(SHOWN, min(2 * SHOWN, len(by_answer))))


def _in_turn(groups: defaultdict[bytes, list[Any]], most: int) -> list[Any]:
    """One of each group, then the next of each, until there are `most`."""
    taken: list[Any] = []
    depth = 0
    while len(taken) < most and any(len(group) > depth for group in groups.values()):
        taken += [groups[key][depth] for key in sorted(groups) if len(groups[key]) > depth]
        depth += 1
    return taken[:most]


_NOT_SAID: Final = object()


def _example(example: Example, answered: Any = _NOT_SAID) -> str:
    row = {"input": example.input, "expected": example.expected}
    if answered is not _NOT_SAID:
        row["answered"] = answered
    return quote(row, EXAMPLE_CHARACTERS)


def _key(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


_GATE: Final = """
import sys
from programs.gate import Refused, check
try:
    check(sys.stdin.buffer.read().decode("utf-8", "replace"))
except Refused as refusal:
    sys.stdout.write(str(refusal))
    sys.exit(3)
"""


async def check_apart(source: str) -> None:
    """The gate, in a process that may die of what it parses, without our environment. Raises `ProgramError`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _GATE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        async with asyncio.timeout(GATE_SECONDS):
            said, _ = await process.communicate(source.encode("utf-8", "replace"))
    except TimeoutError:
        raise ProgramError("the gate could not read it in time") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 3:
        raise ProgramError(said.decode("utf-8", "replace"))
    if process.returncode != 0:
        raise ProgramError("the parser died of it")
