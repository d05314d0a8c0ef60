"""What the gateway is given by an entry point: settings, store, broker, a way to execute, and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from loopai.clock import Clock
from loopai.records import ExecutionResult
from loopai.settings import Settings
from programs.store import Store
from streams.broker import Broker

Execute: TypeAlias = Callable[[str, Sequence[bytes]], Awaitable[list[ExecutionResult]]]
"""An app's id and raw JSON inputs in, one result each out. Raises `ConflictError` while the app runs no program and
`UnavailableError` when nothing executes here."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway imports no other role: whoever composes them hands it what it needs."""

    settings: Settings
    store: Store
    broker: Broker
    execute: Execute
    clock: Clock
