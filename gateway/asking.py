"""A command for the controller in, the event that answers it out, or `UnavailableError` when nobody answers in time."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Final

from loopai.clock import Clock, iso
from loopai.errors import ConflictError, UnavailableError
from loopai.records import Command, Event
from streams.broker import Outgoing, Producer
from streams.cloudevents import event_headers
from streams.codec import encode
from streams.topics import COMMANDS

ANSWER_SECONDS: Final = 5.0


class Asker:
    """Publishes on `loopai.commands` and hears answers from the event log."""

    def __init__(self, producer: Producer, clock: Clock, seconds: float = ANSWER_SECONDS) -> None:
        self.seconds = seconds
        self._producer = producer
        self._clock = clock
        self._waiting: dict[str, asyncio.Future[Event]] = {}

    async def tell(self, app: str, verb: Any, arguments: dict[str, Any], actor: str) -> Command:
        """Publishes a command and returns once the broker has it."""
        command = self._command(app, verb, arguments, actor)
        await self._publish(command)
        return command

    async def ask(self, app: str, verb: Any, arguments: dict[str, Any], actor: str) -> Event:
        """Publishes a command and waits for its answer.

        Raises:
            ConflictError: the controller refused; the message is its sentence.
            UnavailableError: no controller answered in time. The command may still be carried out.
        """
        command = self._command(app, verb, arguments, actor)
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[command.id] = answer
        try:
            await self._publish(command)
            event = await asyncio.wait_for(answer, self.seconds)
        except TimeoutError:
            raise UnavailableError(
                f"No controller answered within {self.seconds:g} seconds; the command may still be carried out.",
                next_step="Look at the rollout again, and see that a controller runs: loopai serve controller.",
            ) from None
        finally:
            del self._waiting[command.id]
        if event.type == "command.refused":
            raise ConflictError(event.summary)
        return event

    def hear(self, event: Event) -> None:
        """Tells the one who waits for this answer, if any."""
        waiting = self._waiting.get(event.command or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(event)

    def _command(self, app: str, verb: Any, arguments: dict[str, Any], actor: str) -> Command:
        at = iso(self._clock.now())
        return Command(id=str(uuid.uuid4()), app=app, verb=verb, arguments=arguments, actor=actor, at=at)

    async def _publish(self, command: Command) -> None:
        headers = event_headers(
            id=command.id, type="io.loopai.command.v1", source="/loopai/gateway", app=command.app, time=command.at
        )
        record = Outgoing(command.app.encode(), encode(command), headers)
        await (await self._producer.send(COMMANDS.name, record))
