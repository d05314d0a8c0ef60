"""Topics into the log: nothing twice, nothing lost while no gateway ran, nothing stopped by a bad record."""

from __future__ import annotations

import httpx2

from loopai.records import MetricsWindow
from loopai.settings import Settings
from loopai.telemetry import DEAD_LETTERS
from programs.store import Store
from streams.memory import MemoryBroker
from streams.topics import DRIFT_ALERTS, METRICS, ROLLOUTS, VALIDATIONS
from tests.gateway.support import Client, Running, drift, moved, run_gateway, until


async def test_what_happened_while_no_gateway_ran_is_in_the_log_once(
    store: Store, broker: MemoryBroker, settings: Settings
) -> None:
    first = await run_gateway(store, broker, settings)
    await first.publish(DRIFT_ALERTS, drift("d1"))
    await until(lambda: first.parts.hub.cursor == 1)
    await first.server.stop()
    await first.publish(DRIFT_ALERTS, drift("d2"))
    await first.publish(ROLLOUTS, moved("r1"))
    second = await run_gateway(store, broker, settings)
    await until(lambda: second.parts.hub.cursor == 3)
    await second.server.stop()
    logged = [event.id for _, event in await store.events_after(0)]
    assert logged[0] == "d1"
    assert sorted(logged) == ["d1", "d2", "r1"]


async def test_two_gateways_show_the_same_events_in_the_same_order(
    store: Store, broker: MemoryBroker, settings: Settings
) -> None:
    gateways = [await run_gateway(store, broker, settings) for _ in range(2)]
    clients = [Client(), Client()]
    for client, gateway in zip(clients, gateways, strict=True):
        await client.connect(gateway.url)
        await client.ask("join", "loops")
    for n in range(30):
        await gateways[n % 2].publish(DRIFT_ALERTS if n % 3 else ROLLOUTS, drift(f"d{n}"))
    await until(lambda: all(len(client.sequences()) == 30 for client in clients))
    assert clients[0].sequences() == clients[1].sequences() == list(range(1, 31))
    assert [e["id"] for e in clients[0].named("event")] == [e["id"] for e in clients[1].named("event")]
    for client, gateway in zip(clients, gateways, strict=True):
        await client.close()
        await gateway.server.stop()


async def test_a_position_of_one_gateway_holds_at_another(
    store: Store, broker: MemoryBroker, settings: Settings
) -> None:
    ahead, behind = [await run_gateway(store, broker, settings) for _ in range(2)]
    await ahead.publish(DRIFT_ALERTS, drift("d1"))
    await until(lambda: behind.parts.hub.cursor == 1)
    behind.parts.hub.cursor = 0  # as if its tail had not read yet
    client = Client()
    await client.connect(behind.url)
    answer = await client.ask("subscribe", {"rooms": ["alerts"], "epoch": await store.epoch(), "after": 1})
    assert answer["reset"] is False
    await client.close()
    for gateway in (ahead, behind):
        await gateway.server.stop()


async def test_a_record_that_cannot_be_read_is_counted_and_passed_over(
    gateway: Running, client: httpx2.AsyncClient
) -> None:
    for topic in (DRIFT_ALERTS, ROLLOUTS, VALIDATIONS, METRICS):
        for bad in (b"", b"{", b'{"id":1}', b"[]", b"\xff"):
            await gateway.publish(topic, bad)
    await gateway.publish(DRIFT_ALERTS, drift("good"))
    window = MetricsWindow(app="spam-filter", source="e1", window_start="never", window_ms=1000, inputs=5, ok=5)
    await gateway.publish(METRICS, window)
    await until(lambda: gateway.parts.hub.cursor == 1)
    await until(lambda: gateway.parts.windows.totals("spam-filter").inputs == 5)
    assert gateway.parts.counters.get(DEAD_LETTERS, METRICS.name, "json") == 3
    assert gateway.parts.failed is not None
    assert not gateway.parts.failed.done()
    assert (await client.get("/readyz")).status_code == 200
