"""The live stream over a real socket: what arrives, in which rooms, and what a client that comes back is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from gateway.live.requests import Rates
from loopai.records import Agreement, MetricsWindow, ValidationResult
from loopai.telemetry import LIVE_CLIENTS, LIVE_RESYNCS
from streams.topics import DRIFT_ALERTS, METRICS, ROLLOUTS, VALIDATIONS
from tests.gateway.support import Client, Running, drift, moved, until

ROOM = "loop/spam-filter"


def check(id: str, app: str = "spam-filter") -> ValidationResult:
    return ValidationResult(id=id, app=app, version=1, program="p", variant="stable", tier=3, verdict="match")


@pytest.fixture
async def live(gateway: Running) -> Any:
    client = Client()
    await client.connect(gateway.url)
    yield client
    await client.close()


async def test_the_three_kinds_arrive_by_their_plain_names(gateway: Running, live: Client) -> None:
    assert await live.ask("join", {"rooms": [ROOM]}) == {"rooms": [ROOM]}
    await gateway.publish(VALIDATIONS, check("sms-1"))
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await until(lambda: live.named("drift_alert") != [])
    await gateway.publish(ROLLOUTS, moved("r1", weight=50, to=2))
    names = ("validation_result", "drift_alert", "rollout_event")
    await until(lambda: all(live.named(name) for name in names))
    validation, alert, rollout = (live.named(name)[0] for name in names)
    assert validation["type"] == "io.loopai.validation.completed.v1"
    assert validation["data"]["id"] == "sms-1"
    assert validation["data"]["similarity"] is None
    assert "sequence" not in validation
    assert alert["data"]["summary"] == "spam-filter drifts"
    assert alert["specversion"] == "1.0"
    assert (alert["sequence"], alert["epoch"]) == (f"{1:020}", await gateway.store.epoch())
    assert (rollout["subject"], rollout["data"]["weight"]) == ("spam-filter", 50)
    assert len(live.named("event")) == 3, "the same three again, for clients that follow by position"


async def test_a_durable_event_is_in_the_store_before_it_is_shown(gateway: Running, live: Client) -> None:
    await live.ask("join", "alerts")
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await until(lambda: live.named("event") != [])
    assert [event.id for _, event in await gateway.store.events_after(0)] == ["d1"]


async def test_a_room_gets_only_its_own_and_nobody_twice(gateway: Running) -> None:
    rooms = (["loop/news"], [ROOM, "alerts", "loops", "rollout/spam-filter"], ["alerts"], ["rollout/spam-filter"])
    clients = [Client() for _ in rooms]
    for client, names in zip(clients, rooms, strict=True):
        await client.connect(gateway.url)
        await client.ask("subscribe", {"rooms": names})
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await gateway.publish(DRIFT_ALERTS, drift("d2", "news"))
    await gateway.publish(ROLLOUTS, moved("r1"))
    await gateway.publish(METRICS, MetricsWindow(app="news", source="e1", window_start="", window_ms=1000))
    await until(lambda: len(clients[1].named("event")) == 4 and len(clients[0].named("event")) == 2)
    seen = [sorted(e["id"] for e in client.named("event") if "sequence" in e) for client in clients]
    assert seen == [["d2"], ["d1", "d2", "r1"], ["d1", "d2"], ["r1"]]
    for client in clients:
        await client.close()


async def test_who_wants_no_plain_names_gets_none(gateway: Running, live: Client) -> None:
    await live.ask("subscribe", {"rooms": ["loops"], "names": False})
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await gateway.publish(VALIDATIONS, check("1"))
    await until(lambda: len(live.named("event")) == 2)
    assert {name for name, _ in live.got} == {"event"}


async def test_who_comes_back_with_a_position_gets_exactly_the_gap(gateway: Running, live: Client) -> None:
    first = await live.ask("subscribe", {"rooms": [ROOM]})
    assert (first["reset"], first["events"]) == (False, [])
    for n in range(5):
        await gateway.publish(DRIFT_ALERTS, drift(f"d{n}"))
        await gateway.publish(DRIFT_ALERTS, drift(f"n{n}", "news"))
    await until(lambda: len(live.named("event")) == 5)
    last = live.named("event")[1]
    back = Client()
    await back.connect(gateway.url)
    answer = await back.ask("subscribe", {"rooms": [ROOM], "epoch": last["epoch"], "after": last["sequence"]})
    assert answer["reset"] is False
    assert answer["events"] == live.named("event")[2:]
    assert int(answer["seq"]) == 10
    answer = await back.ask("subscribe", {"rooms": [ROOM], "epoch": last["epoch"], "after": int(answer["seq"])})
    assert answer["events"] == []
    assert gateway.parts.counters.get(LIVE_RESYNCS, "gap") == 2
    await back.close()


async def test_another_history_is_a_reset(gateway: Running, live: Client) -> None:
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    epoch = await gateway.store.epoch()
    await until(lambda: gateway.parts.hub.cursor == 1)
    for position in (
        {"epoch": "0000000000000000", "after": 0},
        {"after": 0},
        {"epoch": epoch, "after": 99},
    ):
        answer = await live.ask("subscribe", {"rooms": [ROOM], **position})
        assert (answer["reset"], answer["events"], answer["epoch"]) == (True, [], epoch)
    assert gateway.parts.counters.get(LIVE_RESYNCS, "reset") == 3


async def test_no_event_is_lost_or_doubled_between_the_gap_and_the_live_events(gateway: Running) -> None:
    """Clients come and go while events flow; each gap ends exactly where the live events begin."""
    total, seen = 150, {n: [] for n in range(4)}  # type: dict[int, list[int]]
    epoch = await gateway.store.epoch()

    async def write() -> None:
        for n in range(total):
            await gateway.publish(DRIFT_ALERTS, drift(f"d{n}"))
            await asyncio.sleep(0.005)

    async def follow(mine: list[int]) -> None:
        while len(mine) < total:
            client = Client()
            await client.connect(gateway.url)
            after = mine[-1] if mine else 0
            answer = await client.ask("subscribe", {"rooms": ["alerts"], "epoch": epoch, "after": after})
            assert answer["reset"] is False
            await asyncio.sleep(0.15)
            mine += [int(envelope["sequence"]) for envelope in answer["events"]]
            mine += client.sequences()
            await client.close()

    async with asyncio.timeout(60):
        await asyncio.gather(write(), *(follow(mine) for mine in seen.values()))
    for mine in seen.values():
        assert mine == list(range(1, total + 1))


async def test_a_flood_comes_as_lists(gateway: Running, live: Client) -> None:
    await live.ask("join", ROOM)
    for n in range(60):
        await gateway.publish(VALIDATIONS, check(str(n)))
    for n in range(30):
        await gateway.publish(METRICS, agreement(n), type="agreement.window")
    await until(lambda: len(live.named("validation_result")) == 60)
    lists = live.named("batch")
    assert 1 <= len(lists) <= 4
    shown = [e for one in [*lists, live.named("event")] for e in one]
    assert [e["data"]["id"] for e in shown if e["type"].startswith("io.loopai.validation")] == [
        str(n) for n in range(60)
    ]
    estimates = [e["data"]["estimate"] for e in shown if e["type"].startswith("io.loopai.agreement")]
    assert estimates[-1] == 29 / 30
    assert len(estimates) <= 4, "of the latest-only kind only the last of a tick is shown"


def agreement(n: int) -> Agreement:
    return Agreement(
        app="spam-filter", version=1, variant="stable", checks=n, estimate=n / 30, low=0, high=1, at=str(n)
    )


async def test_leaving_a_room_ends_its_events(gateway: Running, live: Client) -> None:
    await live.ask("join", {"rooms": ["alerts", ROOM]})
    assert await live.ask("unsubscribe", {"rooms": ["alerts", ROOM]}) == {"rooms": ["alerts", ROOM]}
    await live.ask("join", "loop/news")
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await gateway.publish(DRIFT_ALERTS, drift("d2", "news"))
    await until(lambda: live.got != [])
    assert {envelope["id"] for _, envelope in live.got} == {"d2"}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, "invalid"),
        ({}, "invalid"),
        ({"rooms": []}, "invalid"),
        ({"rooms": 7}, "invalid"),
        ({"rooms": {"a": 1}}, "invalid"),
        ({"rooms": [7]}, "unknown_room"),
        ({"rooms": ["audit"]}, "unknown_room"),
        ({"rooms": ["loop/"]}, "unknown_room"),
        ({"rooms": ["loop/../../etc"]}, "unknown_room"),
        ({"rooms": ["names:alerts"]}, "unknown_room"),
        ({"rooms": ["loop/x\n"]}, "unknown_room"),
        ({"rooms": ["alerts"] * 51}, "too_many_rooms"),
        ({"rooms": ["alerts"], "after": -1}, "invalid"),
        ({"rooms": ["alerts"], "after": "1e3"}, "invalid"),
        ({"rooms": ["alerts"], "after": True}, "invalid"),
        ({"rooms": ["alerts"], "after": 2**70}, "invalid"),
        ({"rooms": ["alerts"], "after": 1, "epoch": 5}, "invalid"),
        ({"rooms": ["alerts"], "names": "yes"}, "invalid"),
    ],
)
async def test_a_bad_request_is_answered_and_changes_nothing(
    gateway: Running, live: Client, payload: Any, code: str
) -> None:
    answer = await live.ask("subscribe", payload)
    assert answer["error"]["code"] == code
    assert answer["error"]["detail"]
    assert await live.ask("join", "alerts") == {"rooms": ["alerts"]}


async def test_who_asks_too_often_is_told(live: Client, gateway: Running) -> None:
    answers = [await live.ask("join", "alerts") for _ in range(Rates.PER_SECOND * 3)]
    assert next(a for a in answers if "error" in a)["error"]["code"] == "rate_limited"


async def test_rooms_are_limited_over_several_requests(live: Client) -> None:
    for n in range(2):
        assert "error" not in await live.ask("join", {"rooms": [f"loop/a{n}-{i}" for i in range(25)]})
    answer = await live.ask("join", "alerts")
    assert answer["error"]["code"] == "too_many_rooms"


async def test_a_message_that_is_too_large_ends_only_its_own_connection(gateway: Running, live: Client) -> None:
    other = Client()
    await other.connect(gateway.url)
    await other.socket.emit("join", {"rooms": ["x" * 100_000]}, namespace="/live")
    await until(lambda: not other.socket.connected)
    assert await live.ask("join", "alerts") == {"rooms": ["alerts"]}
    await other.close()


async def test_there_is_no_other_namespace_and_no_polling(gateway: Running) -> None:
    client = socketio.AsyncClient(reconnection=False)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(gateway.url, namespaces=["/admin"], transports=["websocket"])
    await client.disconnect()
    async with gateway.client() as http:
        assert (await http.get("/socket.io/?EIO=4&transport=polling")).status_code == 400


async def test_clients_are_counted_and_told_when_the_gateway_stops(gateway: Running) -> None:
    client = Client()
    await client.connect(gateway.url)
    await until(lambda: gateway.parts.counters.get(LIVE_CLIENTS, "/live") == 1)
    await gateway.server.stop()
    await until(lambda: client.named("bye") != [])
    assert client.named("bye")[0] == {"reason": "shutdown", "retry_after_ms": 500}
    await client.close()
