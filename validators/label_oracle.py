"""Labels as an oracle: known answers from a file or from `loopai.labels` in, the answer to a sample out by its id.

The honest offline oracle. A label may come before its sample or after it. A sample waits for its label until it is
`oracle.wait_seconds` old, counted from when it was taken and not from when it was read: behind a backlog of samples
without labels the later ones have waited already, so the backlog cannot grow by waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from loopai.apps import LoopApp
from loopai.clock import Clock
from loopai.errors import ConfigurationError, RecordError, TransientError
from loopai.records import Label, Sample
from streams.broker import Broker, TopicPartition
from streams.codec import decode
from streams.topics import LABELS
from validators.oracles import NoAnswer, OracleAnswer

ANY_APP = ""
"""Rows of a file that name no app hold for every app."""


class LabelsOracle:
    """Known answers by app and record id: all of a file's, and the last `kept` of the stream's.

    `live` says that labels may still arrive; without it a missing label is missing at once.
    """

    def __init__(self, clock: Clock, *, kept: int = 200_000, live: bool = False) -> None:
        self._clock = clock
        self._kept = kept
        self._live = live
        self._from_file: dict[tuple[str, str], Any] = {}
        self._arrived: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Future[Any]]] = defaultdict(set)
        self.caught_up = asyncio.Event()
        if not live:
            self.caught_up.set()

    def __len__(self) -> int:
        return len(self._from_file) + len(self._arrived)

    @property
    def waiting(self) -> int:
        """How many samples are waiting for a label now."""
        return sum(map(len, self._waiting.values()))

    def put(self, label: Label) -> None:
        """A label has arrived; the latest one for a record holds."""
        key = (label.app, label.id)
        self._arrived[key] = label.expected
        self._arrived.move_to_end(key)
        if len(self._arrived) > self._kept:
            self._arrived.popitem(last=False)
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(label.expected)

    def load(self, path: Path) -> int:
        """Reads JSON Lines of `id` and `label` or `expected`, and maybe `app`; says how many. Other rows are skipped.

        Raises:
            ConfigurationError: the file cannot be read, or a line of it is not an object.
        """
        before = len(self._from_file)
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        self._load_row(path, number, line)
        except OSError as error:
            raise ConfigurationError(f"The labels file {path} cannot be read: {error.strerror}.") from None
        return len(self._from_file) - before

    def _load_row(self, path: Path, number: int, line: bytes) -> None:
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}, line {number}: {error}") from None
        if "id" in row and ("label" in row or "expected" in row):
            key = (str(row.get("app") or ANY_APP), str(row["id"]))
            self._from_file[key] = row["expected"] if "expected" in row else row["label"]

    async def ask(self, app: LoopApp, sample: Sample) -> OracleAnswer:
        """The label, maybe after waiting for it."""
        began = time.perf_counter()
        expected = self._known(app.id, sample.id)
        if expected is _UNKNOWN and self._live:
            expected = await self._wait(app, sample)
        ms = (time.perf_counter() - began) * 1e3
        if expected is _UNKNOWN:
            reason = "expired" if self._live else "no_label"
            raise NoAnswer(f"No label for {sample.id} came in time.", reason=reason, oracle="labels", ms=ms)
        return OracleAnswer(expected=expected, oracle="labels", ms=ms)

    def _known(self, app: str, id: str) -> Any:
        for labels in (self._arrived, self._from_file):
            if (app, id) in labels:
                return labels[app, id]
        return self._from_file.get((ANY_APP, id), _UNKNOWN)

    async def _wait(self, app: LoopApp, sample: Sample) -> Any:
        """The label that comes before the sample is too old, else `_UNKNOWN`.

        Right after a start the topic is still being read, so even an old sample waits for that to be done.
        """
        key = (app.id, sample.id)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[key].add(future)
        try:
            await self._for(future, self._left(app.oracle.wait_seconds, sample))
            if not future.done() and not self.caught_up.is_set():
                reading = asyncio.ensure_future(self.caught_up.wait())
                await asyncio.wait(
                    {future, reading}, timeout=app.oracle.wait_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                reading.cancel()
            return future.result() if future.done() else _UNKNOWN
        finally:
            if (others := self._waiting.get(key)) is not None:
                others.discard(future)
                if not others:
                    del self._waiting[key]

    async def _for(self, future: asyncio.Future[Any], seconds: float) -> None:
        if seconds > 0:
            await asyncio.wait({future}, timeout=seconds)

    def _left(self, wait_seconds: float, sample: Sample) -> float:
        """Seconds until the sample is too old. Clamped, so that a clock that jumps can neither drop nor hold it."""
        try:
            age = self._clock.now() - datetime.fromisoformat(sample.sampled_at).timestamp()
        except ValueError:
            age = 0.0
        return min(max(wait_seconds - age, 0.0), wait_seconds)


_UNKNOWN: Any = object()


class LabelsFollower:
    """Reads `loopai.labels` from its beginning, outside any group, into an oracle: every validator knows them all."""

    def __init__(self, broker: Broker, oracle: LabelsOracle, *, pause: float = 0.5) -> None:
        self._consumer = broker.consumer([LABELS], group=None, start="earliest")
        self._oracle = oracle
        self._pause = pause
        self._stopping = False
        self.labels = 0
        self.bad = 0

    def stop(self) -> None:
        """Asks `run` to end; it does within its pause."""
        self._stopping = True

    async def run(self) -> None:
        """Until `stop`. Bad labels are counted in `bad`; trouble with the broker is waited out."""
        await self._consumer.start()
        try:
            ends = await self._ends()
            position: dict[TopicPartition, int] = {}
            quiet = 0
            while not self._stopping:
                try:
                    batch = await self._consumer.getmany(timeout=self._pause, max_records=5_000)
                except TransientError:
                    await asyncio.sleep(self._pause)
                    continue
                for partition, messages in batch.items():
                    for message in messages:
                        self._take(message.value)
                        position[partition] = message.offset + 1
                # Retention may have emptied a partition up to its end, so silence counts as well.
                quiet = 0 if batch else quiet + 1
                behind = any(position.get(partition, 0) < end for partition, end in ends.items())
                if not self._oracle.caught_up.is_set() and (not behind or quiet >= 3):
                    self._oracle.caught_up.set()
        finally:
            await self._consumer.stop()

    async def _ends(self) -> dict[TopicPartition, int]:
        while not self._stopping:
            try:
                return dict(await self._consumer.end_offsets())
            except TransientError:
                await asyncio.sleep(self._pause)
        return {}

    def _take(self, value: bytes | None) -> None:
        try:
            self._oracle.put(decode(value, Label))
            self.labels += 1
        except RecordError:
            self.bad += 1
