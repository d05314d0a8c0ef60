"""A generation in a process of its own: the controller asks, a child learns, scores in a jail, and answers.

Learning takes seconds of CPU and hundreds of megabytes; the controller must go on deciding meanwhile, and gives the
memory back when the child ends. What crosses is JSON on pipes: one request in, lines of progress and one outcome out.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

import msgspec

from loopai import settings as settings_module
from loopai.apps import LoopApp
from loopai.clock import SystemClock
from loopai.errors import BudgetError, ConfigurationError, LoopaiError, ProgramError, TransientError
from loopai.records import Example
from loopai.settings import Settings
from programs import artifact
from programs.artifact import Program
from programs.running import Runner
from programs.task import Task
from rollouts.ports import Progress

_LINE_LIMIT = 64 << 20


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is asked. `strategy` "" lets the router choose; "llm" asks the language model."""

    app: LoopApp
    examples: list[Example]
    seed: int = 0
    strategy: str = ""
    seconds: float = 120.0


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the child says: progress, or at last a program or an error."""

    done: float = 0.0
    step: str = ""
    program: Program | None = None
    error: str = ""
    next_step: str = ""
    kind: str = ""


_KINDS: dict[str, type[LoopaiError]] = {
    e.code: e for e in (ProgramError, ConfigurationError, BudgetError, TransientError, LoopaiError)
}


class ChildGenerator:
    """The controller's `Generate`: a child process for each request."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __call__(
        self, app: LoopApp, examples: Sequence[Example], *, seed: int, progress: Progress, strategy: str = ""
    ) -> Program:
        """The program. Raises what the child raised, or `ProgramError` when it died."""
        request = Request(app=app, examples=list(examples), seed=seed, strategy=strategy, seconds=self._seconds)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loopai.cli.generation",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_LIMIT,
        )  # fmt: skip
        try:
            outcome = await self._talk(child, msgspec.json.encode(request), progress)
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if outcome is None:
            raise ProgramError(f"The generation ended without an answer (exit {child.returncode}).")
        if outcome.program is None:
            raise _KINDS.get(outcome.kind, ProgramError)(outcome.error, next_step=outcome.next_step)
        return outcome.program

    async def _talk(self, child: asyncio.subprocess.Process, request: bytes, progress: Progress) -> Line | None:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            child.stdin.write(request)
            await child.stdin.drain()
            child.stdin.close()
        outcome: Line | None = None
        while raw := await child.stdout.readline():
            line = msgspec.json.decode(raw, type=Line)
            if line.program is not None or line.error:
                outcome = line
            else:
                progress(line.done, line.step)
        await child.wait()
        return outcome


def _say(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


async def generate(request: Request, settings: Settings, progress: Progress) -> Program:
    """The child's work: a jail, the examples, the router or the language model."""
    from executors.direct import JailRunner
    from executors.jail.jail import Jail
    from programs.synthesis import synthesise
    from programs.task import task_of

    async with Jail(mode=settings.executor.jail) as jail:
        runner = JailRunner(jail)
        task = task_of(request.app, request.examples)
        if request.strategy == "llm":
            return await _by_model(request, settings, task, runner)
        return await synthesise(
            task,
            request.examples,
            seed=request.seed,
            seconds=request.seconds,
            run=runner,
            progress=progress,
            only=request.strategy,
        )


async def _by_model(request: Request, settings: Settings, task: Task, runner: Runner) -> Program:
    from programs.providers.models import Models
    from programs.providers.openai_model import OpenAIModel
    from programs.providers.retrying import RetryPolicy
    from programs.store import Store
    from programs.strategies.llm import train_and_held_out, write_program

    endpoint = OpenAIModel(settings.oracle)  # first: without a key, nothing else is begun
    patience = RetryPolicy(attempts=settings.oracle.max_retries + 1)
    store = await Store.open(settings.store_url)
    try:
        model = Models([endpoint], store, SystemClock(), retry=patience).for_app(request.app, "generate")
        train, held_out = train_and_held_out(task, request.examples, request.seed)
        return await write_program(model, task, train, held_out, runner, seed=request.seed)
    finally:
        await endpoint.close()
        await store.close()


def main() -> None:
    """Reads a request from standard input, says lines on standard output."""
    from loopai.cli import logs
    from loopai.cli.supervisor import die_with_parent

    die_with_parent()
    settings = settings_module.load()
    logs.configure("generation", settings.telemetry.log_level, settings.telemetry.log_format)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        program = asyncio.run(generate(request, settings, lambda done, step: _say(Line(done=done, step=step))))
    except LoopaiError as error:
        _say(Line(error=error.message or "failed", next_step=error.next_step, kind=error.code))
    else:
        # One line, and the artifact's own form inside it.
        _say(Line(program=artifact.decode(artifact.encode(program))))


if __name__ == "__main__":
    main()
