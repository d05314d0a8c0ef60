"""The two compacted topics, followed: what every app runs now, and the programs themselves.

This is all the state an executor has. It is read to its end before the first input, and then followed; garbage on a
topic is counted and passed over, and an older revision never replaces a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from loopai.deployments import Deployment
from loopai.errors import TransientError
from programs import artifact
from programs.artifact import Program
from streams.broker import Broker, Message
from streams.topics import DEPLOYMENTS, PROGRAMS

Changed = Callable[[Deployment], Awaitable[None]]


class Catalog:
    """Follows deployments and programs. `changed` is called with a deployment once all of its programs are here."""

    def __init__(self, broker: Broker, changed: Changed) -> None:
        self._consumer = broker.consumer([DEPLOYMENTS, PROGRAMS], group=None)
        self._changed = changed
        self._waiting: dict[str, Deployment] = {}
        self._task: asyncio.Task[None] | None = None
        self.deployments: dict[str, Deployment] = {}
        self.programs: dict[str, Program] = {}
        self.garbage = 0

    async def start(self, timeout: float = 30.0) -> None:
        """Reads both topics to the end as it is now, then goes on following them."""
        await self._consumer.start()
        ends = {tp: end for tp, end in (await self._consumer.end_offsets()).items() if end > 0}
        deadline = asyncio.get_running_loop().time() + timeout
        while ends and asyncio.get_running_loop().time() < deadline:
            batch = await self._consumer.getmany(timeout=0.2, max_records=500)
            for tp, messages in batch.items():
                for message in messages:
                    self._take(message)
                if messages and messages[-1].offset + 1 >= ends.get(tp, 0):
                    ends.pop(tp, None)
            if not batch:
                # Compaction may leave no record before the end: an empty fetch means there is nothing more.
                break
        await self._announce()
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            try:
                batch = await self._consumer.getmany(timeout=0.5, max_records=500)
            except TransientError:
                await asyncio.sleep(0.5)
                continue
            for messages in batch.values():
                for message in messages:
                    self._take(message)
            await self._announce()

    def _take(self, message: Message) -> None:
        if message.topic == PROGRAMS.name:
            self._take_program(message)
        else:
            self._take_deployment(message)

    def _take_program(self, message: Message) -> None:
        key = (message.key or b"").decode("utf-8", "replace")
        if message.value is None:
            self.programs.pop(key, None)
            return
        try:
            program = artifact.decode(message.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.garbage += 1
            return
        if program.verify():
            self.programs[program.id] = program
        else:
            self.garbage += 1  # not what its address says: never run

    def _take_deployment(self, message: Message) -> None:
        if message.value is None:
            return
        try:
            deployment = msgspec.json.decode(message.value, type=Deployment)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.garbage += 1
            return
        known = self._waiting.get(deployment.app) or self.deployments.get(deployment.app)
        if known is None or deployment.revision > known.revision:
            self._waiting[deployment.app] = deployment

    async def _announce(self) -> None:
        """Brings into force the deployments whose programs have all arrived."""
        for app, deployment in list(self._waiting.items()):
            if all(p in self.programs for p in deployment.programs.values()):
                del self._waiting[app]
                self.deployments[app] = deployment
                await self._changed(deployment)
        live = {p for d in (*self.deployments.values(), *self._waiting.values()) for p in d.programs.values()}
        if len(self.programs) > 2 * len(live) + 64:
            self.programs = {i: p for i, p in self.programs.items() if i in live}
