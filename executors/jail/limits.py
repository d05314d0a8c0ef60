"""What one program may cost."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one jail; every worker of it gets the same.

    `soft_ms` is CPU time of one record inside the worker: an exception is raised there and the outcome is `timeout`.
    `hard_ms` is the parent's patience without progress: the worker is killed. It is wall-clock time, but a worker that
    is starved of CPU (rather than stuck) is given up to twenty times as long. The kernel counts CPU in ticks of 1-10
    ms, so a soft limit below some 5 ms is not sharper.

    `memory_bytes` is address space on top of what the empty worker has. `chunk` records are answered at a time: what a
    kill can cost in repeated work. The circuit breaker opens after `max_kills` kills or timeouts that fewer than
    a hundred good answers each have made good, for `breaker_seconds`, doubling while the retry fails, up to a minute.
    """

    soft_ms: int = 100
    hard_ms: int = 250
    load_ms: int = 5000
    memory_bytes: int = 256 << 20
    max_output_bytes: int = 256 << 10
    chunk: int = 128
    max_kills: int = 20
    breaker_seconds: float = 5.0
    recycle_records: int = 1_000_000
