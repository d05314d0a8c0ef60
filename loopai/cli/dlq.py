"""`loopai dlq`: the inputs that were set aside, straight from Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import typer

from loopai import settings as settings_module
from loopai.cli.output import JSON, err, print_json, print_rows
from loopai.errors import ConfigurationError
from loopai.records import APP_HEADER
from loopai.settings import Settings
from streams import dead_letters
from streams.broker import Message
from streams.cloudevents import header
from streams.kafka import KafkaBroker
from streams.topics import DEAD_LETTERS

app = typer.Typer(no_args_is_help=True, help="Inputs that were set aside (dead letters).")

KAFKA = typer.Option("", "--kafka", help="Kafka's address. Default: LOOPAI_KAFKA__BOOTSTRAP_SERVERS.")
APP = typer.Option("", "--app", help="Of this app alone.")


def _broker(kafka: str) -> KafkaBroker:
    changes: dict[str, Any] = {"kafka": {"bootstrap_servers": kafka}} if kafka else {}
    settings: Settings = settings_module.load(changes)
    if not settings.kafka.bootstrap_servers:
        raise ConfigurationError(
            "No Kafka is named.", next_step="Give --kafka HOST:PORT, or set LOOPAI_KAFKA__BOOTSTRAP_SERVERS."
        )
    return KafkaBroker(settings.kafka, client_id="loopai-cli")


async def _letters(broker: KafkaBroker) -> AsyncIterator[Message]:
    """Everything that lies in the topic now, oldest first in each partition."""
    consumer = broker.consumer([DEAD_LETTERS], group=None)
    await consumer.start()
    try:
        left = {tp: end for tp, end in (await consumer.end_offsets()).items() if end}
        while left:
            batch = await consumer.getmany(timeout=2.0, max_records=1000)
            if not batch:
                return
            for tp, messages in batch.items():
                for message in messages:
                    yield message
                if messages and messages[-1].offset + 1 >= left.get(tp, 0):
                    left.pop(tp, None)
    finally:
        await consumer.stop()


def _text(message: Message, name: str) -> str:
    return (header(message.headers, name) or b"").decode("utf-8", "replace")


def _row(message: Message) -> dict[str, Any]:
    return {
        "at": f"{message.partition}:{message.offset}",
        "app": _text(message, APP_HEADER),
        "reason": _text(message, dead_letters.REASON),
        "message": _text(message, dead_letters.MESSAGE),
        "from": f"{_text(message, dead_letters.TOPIC)}:{_text(message, dead_letters.PARTITION)}"
        f":{_text(message, dead_letters.OFFSET)}",
        "value": (message.value or b"")[:200].decode("utf-8", "replace"),
    }


@app.command("list")
def list_letters(
    kafka: str = KAFKA, app_id: str = APP, limit: int = typer.Option(100, min=1), as_json: bool = JSON
) -> None:
    """What was set aside, and why."""

    async def collect() -> list[dict[str, Any]]:
        letters = _letters(_broker(kafka))
        rows = [_row(m) async for m in letters if not app_id or _text(m, APP_HEADER) == app_id]
        return rows[-limit:]

    print_rows(
        asyncio.run(collect()),
        ("at", "app", "reason", "message", "from"),
        as_json=as_json,
        empty="Nothing is set aside.",
    )


@app.command()
def show(at: str = typer.Argument(..., help="PARTITION:OFFSET, as listed."), kafka: str = KAFKA) -> None:
    """One of them, whole, as JSON."""

    async def find() -> dict[str, Any] | None:
        async for message in _letters(_broker(kafka)):
            if f"{message.partition}:{message.offset}" == at:
                whole = {**_row(message), "value": (message.value or b"").decode("utf-8", "replace")}
                return whole | {"headers": {k: v.decode("utf-8", "replace") for k, v in message.headers}}
        return None

    found = asyncio.run(find())
    if found is None:
        raise ConfigurationError(f"Nothing lies at {at}.", next_step="See `loopai dlq list`.")
    print_json(found)


@app.command()
def replay(
    kafka: str = KAFKA,
    app_id: str = APP,
    reason: str = typer.Option("", help="Of this reason alone."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be sent."),
    as_json: bool = JSON,
) -> None:
    """Send them again to the topic they came from."""

    async def send() -> int:
        broker, count = _broker(kafka), 0
        producer = broker.producer()
        await producer.start()
        try:
            async for message in _letters(broker):
                if app_id and _text(message, APP_HEADER) != app_id:
                    continue
                if reason and _text(message, dead_letters.REASON) != reason:
                    continue
                topic, record = dead_letters.revived(message)
                if not dry_run:
                    await (await producer.send(topic, record))
                count += 1
        finally:
            await producer.stop()
        return count

    count = asyncio.run(send())
    if as_json:
        print_json({"replayed": 0 if dry_run else count, "found": count})
    else:
        err.print(f"{count} {'would be sent' if dry_run else 'sent'} again.")
