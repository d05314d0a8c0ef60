"""Server-sent events: the same stream for those without Socket.IO."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec

from gateway.live.listeners import Listeners
from streams.topics import DRIFT_ALERTS
from tests.gateway.support import Running, drift, until


async def frames(answer: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    frame: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name and value:
            frame[name] = value
        elif frame:
            yield frame
            frame = {}


async def take(gateway: Running, client: httpx2.AsyncClient, count: int, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(15), client.stream("GET", "/api/v1/stream", **options) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for frame in frames(answer):
            found.append(frame)
            if len(found) == count:
                break
    await until(lambda: len(gateway.parts.hub.listeners) == 0)
    return found


async def test_events_arrive_and_resume_by_their_id(gateway: Running, client: httpx2.AsyncClient) -> None:
    reading = asyncio.create_task(take(gateway, client, 2, params={"room": ["alerts", "loop/news"]}))
    await until(lambda: len(gateway.parts.hub.listeners) == 1)
    for n in range(4):
        await gateway.publish(DRIFT_ALERTS, drift(f"d{n}"))
    first, second = await reading
    assert first["event"] == "io.loopai.drift.detected.v1"
    assert msgspec.json.decode(first["data"])["id"] == "d0"
    assert first["id"] == f"{await gateway.store.epoch()}:{1:020}"
    await until(lambda: gateway.parts.hub.cursor == 4)
    rest = await take(gateway, client, 2, params={"room": "alerts"}, headers={"Last-Event-ID": second["id"]})
    assert [msgspec.json.decode(frame["data"])["id"] for frame in rest] == ["d2", "d3"]


async def test_another_history_is_a_reset(gateway: Running, client: httpx2.AsyncClient) -> None:
    (frame,) = await take(gateway, client, 1, headers={"Last-Event-ID": "0000:7"})
    assert frame["event"] == "reset"
    answer = await client.get("/api/v1/stream", headers={"Last-Event-ID": "nonsense"})
    assert answer.status_code == 422


async def test_a_stop_ends_the_stream_politely(gateway: Running, client: httpx2.AsyncClient) -> None:
    reading = asyncio.create_task(take(gateway, client, 1))
    await until(lambda: len(gateway.parts.hub.listeners) == 1)
    await gateway.server.stop()
    assert (await reading)[0]["event"] == "bye"


async def test_a_listener_that_does_not_keep_up_is_let_go() -> None:
    listeners = Listeners()
    slow, other = listeners.add(["alerts"]), listeners.add(["loop/x"])
    for n in range(600):
        listeners.tell(("alerts", "loops"), {"n": n})
    assert len(listeners) == 1
    assert listeners.dropped == 1
    kept = []
    while (envelope := await slow.next()) is not None:
        kept.append(envelope["n"])
    assert kept == list(range(500))
    assert other.queue.empty()
