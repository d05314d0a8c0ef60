"""What decisions need of the outside, as narrow protocols: the store, and whoever writes programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from loopai.apps import LoopApp
from loopai.deployments import Deployment
from loopai.records import Example, Rollout, Run
from programs.artifact import Program


class Version(Protocol):
    """One line of the list of an app's programs."""

    @property
    def version(self) -> int: ...
    @property
    def id(self) -> str: ...


class Apps(Protocol):
    """One page of apps; `next_cursor` is None on the last one."""

    @property
    def items(self) -> Sequence[LoopApp]: ...
    @property
    def next_cursor(self) -> str | None: ...


class Store(Protocol):
    """Where decisions are kept. Reads of what is absent raise `NotFoundError` (or return None where typed so).

    `put_deployment` and `put_state` raise `ConflictError` unless the revision is greater than the stored one;
    `put_rollout` and `put_run` when a finished one would change its state. Anything may raise `TransientError`.
    """

    async def get_app(self, app: str) -> LoopApp: ...
    async def list_apps(self, *, limit: int = 50, cursor: str | None = None) -> Apps: ...
    async def get_deployment(self, app: str) -> Deployment | None: ...
    async def put_deployment(self, d: Deployment) -> None: ...
    async def put_rollout(self, r: Rollout) -> None: ...
    async def list_rollouts(self, app: str, limit: int = 50) -> list[Rollout]: ...
    async def put_run(self, run: Run) -> None: ...
    async def get_program(self, app: str, version: int) -> Program: ...
    async def add_program(self, app: str, program: Program) -> int: ...
    async def list_programs(self, app: str) -> Sequence[Version]: ...
    async def examples(self, app: str) -> list[Example]: ...
    async def put_state(self, kind: str, key: str, value: bytes, revision: int) -> None: ...
    async def get_state(self, kind: str, key: str) -> tuple[bytes, int] | None: ...


class Progress(Protocol):
    """Called by a generation as it goes on: `done` 0..1, `step` what is being done. May be called from any thread."""

    def __call__(self, done: float, step: str) -> None: ...


class Generate(Protocol):
    """Writes a program for `app` from labelled examples. Same examples and seed, same program. `strategy` "" is any.

    Must not block the loop (threads or processes are its own affair). Raises `ProgramError`, `BudgetError` or
    `ConfigurationError` when there is nothing good enough, and `TransientError` when the world was unwell.
    """

    async def __call__(
        self, app: LoopApp, examples: Sequence[Example], *, seed: int, progress: Progress, strategy: str
    ) -> Program: ...
