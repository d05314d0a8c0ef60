"""Frames in, frames out, on the one descriptor that a locked-down process has left. See `protocol`.

This code runs beside the program, in the same process: nothing here is trusted by the parent. It is careful so that
honest programs get exact answers, and so that a bad record costs one record.

The soft limit is CPU time (ITIMER_PROF): wall-clock time punishes a program for a busy machine. The timer ticks all
along; a tick that finds the same record in hand for long enough raises inside the program. A program may swallow that;
then the parent's hard limit ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from executors.jail import protocol
from executors.jail.limits import Limits
from executors.jail.loader import Loaded, Unloadable, load, rehearse
from executors.jail.protocol import HEADER, IDLE, IN_BATCH, INDEX, MAX_REASON, STATUS
from programs.gate import Refused

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_values = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_load = msgspec.json.Decoder(protocol.Load).decode

_ABSTAINED = b'["abstained"]'
_KEPT_LABELS = 1024


class SoftTimeout(BaseException):
    """The record has used its CPU time. Not an Exception, so that `except Exception` lets it through."""


class Rejected(Exception):
    """The record is not what the program takes; the message is the reason."""


class Wire:
    """Whole frames over a blocking descriptor. The end of the stream is the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> tuple[int, bytes]:
        """The next frame: kind and payload."""
        length, kind = HEADER.unpack(self._exactly(HEADER.size))
        return kind, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self._descriptor, min(size, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Returns when the kernel has all of it."""
        frame = HEADER.pack(len(payload), kind) + payload
        sent = os.write(self._descriptor, frame)
        if sent < len(frame):
            rest = memoryview(frame)[sent:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


class Ticker:
    """The soft limit and the flush signal: a CPU timer that runs from `start` on. Made before the lock-down."""

    def __init__(self, page: memoryview, limits: Limits) -> None:
        self._page = page
        self._interval = max(4.0, limits.soft_ms / 8) / 1000
        self._patience = max(1, round(limits.soft_ms / 1000 / self._interval))
        self._seen = IDLE
        self._ticks = 0
        # Not empty when a tick has passed: what is finished should be sent. A list, because its truth is cheap to ask.
        self.due: list[None] = []
        signal.signal(signal.SIGPROF, self._tick)

    def start(self) -> None:
        """From now on a record that overstays raises `SoftTimeout` where it is."""
        signal.setitimer(signal.ITIMER_PROF, self._interval, self._interval)

    def new_frame(self) -> None:
        """Record 0 of this frame is not record 0 of the last one."""
        self._seen = IDLE

    def _tick(self, *_: object) -> None:
        self.due[:] = [None]
        at = self._page[INDEX]
        if at != self._seen or at == IDLE:
            self._seen, self._ticks = at, 0
            return
        self._ticks += 1
        if self._ticks >= self._patience:
            self._ticks = 0
            raise SoftTimeout


def answer(outcome: str, reason: str) -> bytes:
    """The JSON of an answer without output."""
    return _encode((outcome, None, None, reason[:MAX_REASON]))


def describe(error: BaseException) -> str:
    """`ValueError: text`. The text is the program's code too: it may raise, lie about its type or be enormous."""
    name = type.__getattribute__(type(error), "__name__")
    try:
        text = str(error)[:MAX_REASON].encode("utf-8", "replace").decode()
    except BaseException:
        return f"{name}: (its message cannot be read)"
    return f"{name}: {text}" if text else name


def _holds_nan(value: Any) -> bool:
    if type(value) is float:
        return value - value != 0
    if type(value) is dict:
        return any(map(_holds_nan, value.values()))
    return type(value) in (list, tuple) and any(map(_holds_nan, value))


class Runner:
    """One loaded program: raw values in, the JSON of their answers out."""

    def __init__(self, program: Loaded, limits: Limits, page: memoryview, wire: Wire, ticker: Ticker) -> None:
        self._program = program
        self._limits = limits
        self._page = page
        self._wire = wire
        self._ticker = ticker
        # The answer of a label that has been checked and encoded before.
        self._labels: dict[str, bytes] = {}

    def serve(self, payload: bytes) -> None:
        """Answer one RUN frame, chunk by chunk."""
        mode, values = payload[0], _decode_values(memoryview(payload)[1:])
        count = len(values)
        self._ticker.new_frame()
        done = 0
        while done < count:
            out: list[bytes] = []
            stop = min(done + self._limits.chunk, count)
            if self._program.run_batch is not None and mode == protocol.BATCH:
                self._whole(values, done, stop, out)
            if not out:
                self._one_by_one(values, done, stop, out)
            self._page[INDEX] = IDLE
            done += len(out)
            frame = b"[" + b",".join(out) + b"]"
            self._wire.send(protocol.LAST if done == count else protocol.ANSWERS, frame)

    def _one_by_one(self, values: list[bytes], start: int, stop: int, out: list[bytes]) -> None:
        """Answers of some or all of `values[start:stop]`: fewer when a tick or the size of a frame asks to send.

        A timeout may be raised between any two steps, so the loop can be left anywhere and is entered again; how many
        answers there are says how far it came.
        """
        page, due, run = self._page, self._ticker.due, self._program.run
        check, encode, labels = self._program.check_input, self._encoded, self._labels
        decode, append = _decode, out.append
        room = protocol.FLUSH_BYTES
        at = start
        del due[:]
        while at < stop:
            try:
                for at in range(start + len(out), stop):
                    page[INDEX] = at
                    record = decode(values[at])
                    if check is not None and (wrong := check(record)) is not None:
                        append(answer("rejected", "schema: " + wrong))
                    else:
                        result = run(record)
                        if type(result) is str and (ready := labels.get(result)) is not None:
                            append(ready)
                        elif result is None:
                            append(_ABSTAINED)
                        else:
                            encoded = encode(result)
                            append(encoded)
                            room -= len(encoded)
                    # What the program left behind dies now, while its own record is in hand.
                    record = result = None
                    if due or room < 0:
                        return
                at = stop
            except BaseException as error:
                if len(out) == at - start:
                    append(self._failed(error, values[at]))
                if due:
                    return
                at += 1

    def _whole(self, values: list[bytes], start: int, stop: int, out: list[bytes]) -> None:
        """The answers of `values[start:stop]` by `run_batch`; none at all when it fails, so that `run` says which."""
        run_batch = self._program.run_batch
        assert run_batch is not None
        check = self._program.check_input
        answers: list[bytes] = []
        places: list[int] = []
        records: list[Any] = []
        self._page[INDEX] = IN_BATCH + start
        try:
            for at in range(start, stop):
                answers.append(b"")
                try:
                    record = _decode(values[at])
                    wrong = None if check is None else check(record)
                    if wrong is not None:
                        raise Rejected("schema: " + wrong)
                except SoftTimeout:
                    return
                except Exception as error:
                    answers[-1] = self._failed(error, values[at])
                else:
                    places.append(at - start)
                    records.append(record)
            results = run_batch(records)
            if type(results) is not list or len(results) != len(records):
                return
            for place, result in zip(places, results, strict=True):
                ready = self._labels.get(result) if type(result) is str else _ABSTAINED if result is None else None
                answers[place] = ready or self._checked(result)
        except BaseException as error:
            _end_if_out_of_memory(error, self._page)
            return
        if sum(map(len, answers)) <= protocol.FLUSH_BYTES + self._limits.max_output_bytes:
            out.extend(answers)

    def _checked(self, result: Any) -> bytes:
        try:
            return self._encoded(result)
        except Rejected as error:
            return answer("error", str(error))

    def _encoded(self, result: Any) -> bytes:
        """The answer of a result that is not None. Raises `Rejected` with the reason when it cannot be one."""
        fields: tuple[Any, ...] = ("ok", result)
        if type(result) is tuple and len(result) == 2 and type(result[1]) in (float, int):
            result, confidence = result
            if not 0 <= confidence <= 1:
                raise Rejected(f"output: the confidence {confidence!r:.40} is not within 0..1")
            fields = ("abstained" if result is None else "ok", result, confidence)
        try:
            encoded = _encode(fields)
        except Exception as error:
            raise Rejected(f"output: not JSON: {describe(error)}") from None
        if len(encoded) > self._limits.max_output_bytes:
            raise Rejected(f"output: {len(encoded):,} bytes; {self._limits.max_output_bytes:,} are allowed")
        if result is None:
            return encoded
        if encoded.find(b"null") >= 0 and _holds_nan(result):  # `in` is five times slower for bytes
            raise Rejected("output: not JSON: NaN or infinity")
        check, certain = self._program.check_output, self._program.certain_output
        # What is not certain is checked as a reader will see it: tuples, enums and dataclasses have become JSON.
        if (
            check is not None
            and not (certain is not None and certain(result))
            and (wrong := check(_decode(encoded)[1])) is not None
        ):
            raise Rejected("output: " + wrong)
        if len(fields) == 2 and type(result) is str and len(self._labels) < _KEPT_LABELS and len(result) < 256:
            self._labels[result] = encoded
        return encoded

    def _failed(self, error: BaseException, value: bytes) -> bytes:
        """The answer of a record whose processing raised. Ends the process when memory has run out."""
        _end_if_out_of_memory(error, self._page)
        try:
            if type(error) is SoftTimeout:
                return answer("timeout", f"timeout: more than {self._limits.soft_ms} ms of CPU time")
            if type(error) is Rejected:
                text = str(error)
                return answer("rejected" if text.startswith("schema: ") else "error", text)
            if (refused := _not_json(value)) is not None:
                return answer("rejected", "JSON: " + refused)
            return answer("error", describe(error))
        except BaseException as second:
            _end_if_out_of_memory(second, self._page)
            return answer("error", "the program raised, and so did reading why")


def _not_json(value: bytes) -> str | None:
    """Why `value` is not JSON. Asked only after something raised: the usual record is decoded once."""
    if not value:
        return "empty"
    try:
        _decode(value)
    except RecursionError:
        return "nested too deeply"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return str(error)[:200].encode("utf-8", "replace").decode()
    return None


def _end_if_out_of_memory(error: BaseException, page: memoryview) -> None:
    """Memory may be held by the module's globals or by a broken allocator: only a new process is sure to have some."""
    if isinstance(error, MemoryError):
        page[STATUS] = protocol.ENDED_BY_MEMORY
        os._exit(1)


def serve(
    descriptor: int, page: memoryview, ticker: Ticker, limits: Limits, layers: dict[str, str], warm: bool
) -> NoReturn:
    """The life of a worker after its lock-down: say hello, take one program, answer until the parent hangs up."""
    wire = Wire(descriptor)
    wire.send(protocol.HELLO, _encode(layers))
    if warm:
        rehearse()
    kind, payload = wire.read()
    if kind != protocol.LOAD:
        os._exit(2)
    length = int.from_bytes(payload[:4], "little")
    ticker.start()
    refused = _quiet(lambda: _start(payload, length, page, limits, wire, ticker))
    if refused is not None:
        with contextlib.suppress(BaseException):
            wire.send(protocol.REFUSED, refused.encode("utf-8", "replace"))
    os._exit(0)


def _quiet(step: Callable[[], None]) -> str | None:
    try:
        step()
    except MemoryError:
        return "MemoryError: out of memory while loading"
    except BaseException as error:
        return str(error) if isinstance(error, Refused | Unloadable) else describe(error)
    return None


def _start(payload: bytes, length: int, page: memoryview, limits: Limits, wire: Wire, ticker: Ticker) -> None:
    program = load(_decode_load(payload[4 : 4 + length]), payload[4 + length :])
    runner = Runner(program, limits, page, wire, ticker)
    del payload, program
    wire.send(protocol.LOADED)
    while True:
        kind, frame = wire.read()
        if kind != protocol.RUN:
            os._exit(2)
        runner.serve(frame)


def silence() -> None:
    """print() goes nowhere, and neither does what Python says about errors that nobody can catch."""
    sys.stdin = sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None  # type: ignore[misc]
    sys.unraisablehook = lambda _: None
