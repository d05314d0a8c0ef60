"""Raw JSON records in, an answer each out, in order: one program in its own worker.

Calls share the worker in turns of some two thousand records, so that a large batch does not keep a single record
waiting. When the worker is lost the record in hand is answered for it, what was answered before is kept, and only the
rest is run again in a new worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal

import msgspec

from executors.jail import protocol
from executors.jail.breaker import Breaker
from executors.jail.host import Worker
from executors.jail.limits import Limits
from executors.jail.protocol import ANSWERS, BATCH, IN_BATCH, LAST, RUN, SINGLY
from loopai.errors import ConflictError, LoopaiError
from loopai.records import Outcome

KillReason = Literal["timeout", "memory", "crash", "policy"]

_TURN_RECORDS = 2048
_TURN_BYTES = 4 << 20
_TRIAL_RECORDS = 16
# A mode of the parent's own, beside BATCH and SINGLY: one record a turn, to find who broke the protocol.
_ALONE = 2
# A worker that is runnable but gets no CPU is not stuck; this many hard limits later it is lost anyway.
_STARVED_LIMITS = 20
_NULL = msgspec.Raw(b"null")


class Answer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the program made of one record. `output` is JSON, `null` unless the outcome is `ok`."""

    outcome: Outcome
    output: msgspec.Raw = _NULL
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=protocol.MAX_REASON)] | None = None


_encode_values = msgspec.msgpack.Encoder().encode
_decode_answers = msgspec.json.Decoder(list[Answer]).decode


class Verdict(msgspec.Struct, frozen=True):
    """Why a worker was lost: what is counted, and what the record in hand is answered."""

    counted: KillReason
    outcome: Outcome
    text: str
    # The record in hand need not be the one that did it: the worker went on before it was stopped, or somebody else
    # ended it. What may hold the culprit is run again one record a turn.
    unsure: bool = False


class _Job:
    """One call of `run`: the ranges still to do, and the answers so far."""

    __slots__ = ("answers", "future", "left", "todo", "values")

    def __init__(self, values: Sequence[bytes], future: asyncio.Future[list[Answer]]) -> None:
        self.values = values
        self.future = future
        self.answers: list[Answer | None] = [None] * len(values)
        self.todo = deque([(0, len(values), BATCH)])
        self.left = len(values)


class Cell:
    """One program, one trust domain, one worker. Made by `Jail.open`.

    `run` may be called concurrently, by one event loop. It does not raise for what a record or the program does; it
    raises `ConflictError` when the cell is closed.
    """

    def __init__(
        self,
        limits: Limits,
        worker: Worker,
        load: Callable[[], Awaitable[Worker]],
        dispose: Callable[[Worker], None],
        wait_status: Callable[[Worker], Awaitable[int | None]],
        count: Callable[[KillReason], None],
    ) -> None:
        self._limits = limits
        self._load = load
        self._dispose = dispose
        self._wait_status = wait_status
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._breaker = Breaker(limits)
        self._jobs: deque[_Job] = deque()
        self._current: _Job | None = None
        self._start = self._size = self._done = self._mode = 0
        self._closed = False
        self._worker: Worker | None = None
        self._fresh: Worker | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._recycling: asyncio.Task[None] | None = None
        self._interval = max(0.005, limits.hard_ms / 10_000)
        self._timer: asyncio.TimerHandle | None = None
        self._turns = 0
        self._seen = (0, 0, 0)
        self._stalled = self._watched_at = 0.0
        self._cpu: float | None = None
        self._adopt(worker)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def run(self, values: Sequence[bytes]) -> list[Answer]:
        """One answer for each raw JSON value, in order."""
        if self._closed:
            raise ConflictError("The cell is closed.")
        if not values:
            return []
        job = _Job(values, self._loop.create_future())
        self._jobs.append(job)
        if self._current is None:
            self._next()
        return await job.future

    async def close(self) -> None:
        """Kill the worker. Calls under way raise `ConflictError`."""
        if self._closed:
            return
        self._closed = True
        for task in (self._replacing, self._recycling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        for worker in (self._worker, self._fresh):
            if worker is not None:
                self._dispose(worker)
        self._worker = self._fresh = None
        self._fail(ConflictError("The cell is closed."))

    def _fail(self, error: Exception) -> None:
        jobs = [*self._jobs, self._current] if self._current else [*self._jobs]
        self._jobs.clear()
        self._current = None
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)

    def _adopt(self, worker: Worker) -> None:
        worker.listen(self._on_frame, self._on_end)
        self._worker = worker

    # One turn: a frame of records out, frames of answers in.

    def _next(self) -> None:
        """Give the worker its next turn, if there is one and a worker to take it."""
        if self._fresh is not None and self._worker is not None:
            self._dispose(self._worker)
            self._adopt(self._fresh)
            self._fresh = None
        while self._jobs and self._replacing is None and not self._closed:
            job = self._jobs.popleft()
            if job.future.done():
                continue  # cancelled
            pause = self._breaker.wait(self._loop.time())
            if pause:
                self._refuse(job, f"breaker: the program was stopped too often; next try in {pause:.1f} s")
            elif self._worker is None:
                self._jobs.appendleft(job)
                self._replace(None, None)
            else:
                self._send(self._worker, job)
                return

    def _send(self, worker: Worker, job: _Job) -> None:
        start, stop, mode = job.todo.popleft()
        most = 1 if mode == _ALONE else _TRIAL_RECORDS if self._breaker.on_trial else _TURN_RECORDS
        size = min(stop - start, most)
        frame = _encode_values(job.values[start : start + size])
        while len(frame) > _TURN_BYTES and size > 1:
            size //= 2
            frame = _encode_values(job.values[start : start + size])
        if start + size < stop:
            job.todo.appendleft((start + size, stop, mode))
        self._current, self._start, self._size, self._done, self._mode = job, start, size, 0, mode
        self._turns += 1
        worker.send(RUN, bytes((BATCH if mode == BATCH else SINGLY,)), frame)
        if self._timer is None:
            self._watched_at = self._loop.time()
            self._timer = self._loop.call_later(self._interval, self._watch)

    def _on_frame(self, kind: int, payload: bytes) -> None:
        job, worker = self._current, self._worker
        if worker is None:
            return
        if job is None or kind not in (ANSWERS, LAST):
            worker.end("a frame out of turn")
            return
        try:
            if not payload.isascii():
                payload.decode()  # the decoder passes raw JSON on without looking at its UTF-8
            answers = _decode_answers(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            worker.end("answers that cannot be read")
            return
        done = self._done + len(answers)
        if not answers or done > self._size or (kind == LAST) != (done == self._size):
            worker.end("another number of answers than records")
            return
        job.answers[self._start + self._done : self._start + done] = answers
        job.left -= len(answers)
        self._done = done
        late = sum(a.outcome == "timeout" for a in answers) if payload.find(b'["timeout"') >= 0 else 0
        for _ in range(late):
            self._breaker.kill(self._loop.time())
        if late < len(answers):
            self._breaker.good(len(answers) - late)
        if kind == LAST:
            self._current = None
            worker.records += done
            self._return(job)
            self._recycle(worker)
            self._next()

    def _return(self, job: _Job) -> None:
        """Back into the queue, or to its caller when it has all its answers."""
        if job.left:
            self._jobs.append(job)
        elif not job.future.done():
            job.future.set_result(job.answers)  # type: ignore[arg-type]

    def _refuse(self, job: _Job, reason: str) -> None:
        answer = Answer("rejected", _NULL, None, reason)
        job.answers = [answer if a is None else a for a in job.answers]
        job.left = 0
        self._return(job)

    # The hard limit.

    def _watch(self) -> None:
        self._timer = None
        worker = self._worker
        if worker is not None:
            worker.drain()
        worker = self._worker
        if self._current is None or worker is None or self._closed:
            return
        now = self._loop.time()
        seen = (self._turns, self._done, worker.index)
        if seen != self._seen:
            self._seen, self._stalled, self._cpu = seen, 0.0, worker.cpu_seconds()
        else:
            # A loop that was itself late has not watched for as long as the clock says.
            self._stalled += min(now - self._watched_at, 2 * self._interval)
        self._watched_at = now
        hard = self._limits.hard_ms / 1000
        if self._stalled >= hard:
            verdict = self._judge(worker, hard)
            if verdict is not None:
                worker.kill()
                self._lose(worker, verdict)
                return
        self._timer = self._loop.call_later(self._interval, self._watch)

    def _judge(self, worker: Worker, hard: float) -> Verdict | None:
        """Whether a stall is the program's doing; None while it may be for want of CPU."""
        now, before = worker.cpu_seconds(), self._cpu
        burnt = now is None or before is None or now - before >= 0.8 * hard
        if burnt or self._stalled >= _STARVED_LIMITS * hard:
            text = f"killed: no answer and no end within {self._limits.hard_ms} ms"
            return Verdict("timeout", "timeout", text)
        if worker.waits():
            return Verdict("crash", "killed", f"killed: the worker sleeps, {self._limits.hard_ms} ms without progress")
        return None

    # Losing a worker, and having a new one.

    def _on_end(self, why: str) -> None:
        worker = self._worker
        if worker is not None and not self._closed:
            text = f"killed: the worker sent {why}"
            self._lose(worker, Verdict("policy", "killed", text, unsure=True) if why else None)

    def _lose(self, worker: Worker, verdict: Verdict | None) -> None:
        self._worker = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._replace(worker, verdict)

    def _replace(self, lost: Worker | None, verdict: Verdict | None) -> None:
        self._replacing = self._loop.create_task(self._replaced(lost, verdict))

    async def _replaced(self, lost: Worker | None, verdict: Verdict | None) -> None:
        try:
            if lost is not None:
                if verdict is None:
                    verdict = diagnose(await self._wait_status(lost), lost.status, self._limits)
                self._blame(verdict, lost.index)
            if not self._breaker.wait(self._loop.time()):
                self._adopt(await self._load())
        except LoopaiError:
            self._breaker.trip(self._loop.time())
        except Exception as error:
            self._fail(error)  # a bug of ours: whoever waits must hear of it
        finally:
            self._replacing = None
            if lost is not None:
                self._dispose(lost)
        if self._current is None:
            self._next()

    def _blame(self, verdict: Verdict, index: int) -> None:
        """Answer the record in hand and put the rest of its turn back in front."""
        self._count(verdict.counted)
        self._breaker.kill(self._loop.time())
        job, self._current = self._current, None
        if job is None:
            return
        start, done, size, mode = self._start, self._done, self._size, self._mode
        if IN_BATCH <= index < IN_BATCH + size:
            # `run_batch` had a whole chunk: run it one by one to find out.
            cut = min(done + self._limits.chunk, size)
            again = [(done, cut, SINGLY), (cut, size, mode)]
        elif verdict.unsure and mode != _ALONE:
            cut = min(done + self._limits.chunk, size)
            again = [(done, cut, _ALONE), (cut, size, mode)]
        else:
            bad = index if done <= index < size else done
            job.answers[start + bad] = Answer(verdict.outcome, _NULL, None, verdict.text)
            job.left -= 1
            again = [(done, bad, mode), (bad + 1, size, mode)]
        job.todo.extendleft((start + a, start + b, m) for a, b, m in reversed(again) if a < b)
        self._return(job)

    def _recycle(self, worker: Worker) -> None:
        """After many records, load a fresh worker beside the old one; `_next` swaps them between turns."""
        if worker.records >= self._limits.recycle_records and self._recycling is None and self._fresh is None:
            self._recycling = self._loop.create_task(self._recycled())

    async def _recycled(self) -> None:
        try:
            self._fresh = await self._load()
        except LoopaiError:
            return  # the old one goes on; the next turn asks again
        finally:
            self._recycling = None


def diagnose(wait_status: int | None, said: int, limits: Limits) -> Verdict:
    """Why a worker ended without us: its wait status (None when nobody knows) and its word on the shared page."""
    if said == protocol.ENDED_BY_MEMORY:
        return Verdict("memory", "killed", f"killed: MemoryError, more than {limits.memory_bytes >> 20} MiB")
    if wait_status is None:
        return Verdict("crash", "killed", "killed: the process that forked the worker is gone", unsure=True)
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        if number == signal.SIGSYS:
            return Verdict("policy", "killed", "killed: a forbidden system call")
        if number == signal.SIGKILL:
            return Verdict(
                "memory", "killed", "killed: SIGKILL, by the kernel for want of memory or by hand", unsure=True
            )
        return Verdict("crash", "killed", f"killed: crashed with {signal.Signals(number).name}")
    return Verdict("crash", "killed", f"killed: the process ended with status {os.waitstatus_to_exitcode(wait_status)}")
