"""The state of apps: what the executors report, what was raised, and the sentence over it."""

from __future__ import annotations

import httpx2
import msgspec

from gateway.live.alerts import of_events
from gateway.live.windows import Windows
from loopai.clock import ManualClock, iso
from loopai.deployments import Deployment
from loopai.records import Agreement, Event, MetricsWindow, Rollout, ValidationResult
from streams.topics import DRIFT_ALERTS, METRICS, VALIDATIONS
from tests.gateway.support import Running, deployed, drift, until

STATUS = "/api/v1/loop-apps/spam-filter/status"


def window(start: float, source: str = "executor-1", **fields: object) -> MetricsWindow:
    return MetricsWindow(app="spam-filter", source=source, window_start=iso(start), window_ms=1000, **fields)  # type: ignore[arg-type]


def test_executors_of_one_second_are_one_second() -> None:
    clock = ManualClock(1_000_000.0)
    windows = Windows(clock)
    windows.add_window(window(1_000_000, inputs=30, ok=30, p50_us=10.0, p99_us=50.0, by_version={"1": 30}))
    windows.add_window(window(1_000_000.4, "executor-2", inputs=10, ok=9, failed=1, p50_us=50.0, p99_us=20.0))
    windows.add_window(window(1_000_001, inputs=7, ok=7, oldest_waiting_s=2.0))
    windows.add_window(window(1_000_000.9, "executor-2", by_version={"1": 1, "2": 2}))
    windows.add_window(window(1_000_001, "validator-1", inputs=99))
    first, second = windows.last("spam-filter", 60)
    assert (first.inputs, first.ok, first.failed, first.p50_us, first.p99_us) == (40, 39, 1, 20.0, 50.0)
    assert first.by_version == {"1": 31, "2": 2}
    assert (second.inputs, second.oldest_waiting_s, second.inputs_per_second) == (7, 2.0, 7.0)
    assert windows.totals("spam-filter").inputs == 47
    assert windows.totals("other").inputs == 0


def test_only_what_is_fresh_is_now_and_ten_minutes_are_kept() -> None:
    clock = ManualClock(1_000_000.0)
    windows = Windows(clock)
    for _ in range(700):
        windows.add_window(window(clock.now(), inputs=1))
        clock.advance(1)
    assert len(windows.last("spam-filter", 10_000)) == 601
    latest = windows.latest("spam-filter")
    assert latest is not None
    assert latest.second == 1_000_697, "the last one that every executor can have reported"
    clock.advance(10)
    assert windows.latest("spam-filter") is None


def test_a_window_with_a_clock_far_off_counts_where_it_came() -> None:
    clock = ManualClock(1_000_000.0)
    windows = Windows(clock)
    windows.add_window(window(1_000_000 - 86_400, inputs=1))
    windows.add_window(msgspec.structs.replace(window(0, inputs=1), window_start="yesterday"))
    assert [s.second for s in windows.last("spam-filter", 5)] == [1_000_000]


def test_an_alert_is_open_until_its_detector_says_otherwise() -> None:
    def at(n: int, event: Event) -> tuple[int, Event]:
        return n, msgspec.structs.replace(event, at=iso(n))

    log = [
        at(1, drift("a", "spam")),
        at(2, drift("b", "spam")),
        at(3, drift("c", "spam", detector="other")),
        at(4, drift("d", "spam", "drift.cleared")),
        at(5, drift("e", "news")),
        at(6, drift("f", "news", "validation.budget_exhausted")),
    ]
    found = {alert.id: alert for alert in of_events(log[::-1], "1970-01-01")}
    assert {id: alert.open for id, alert in found.items()} == {
        "a": False,
        "b": False,
        "c": True,
        "e": True,
        "f": True,
    }
    assert found["a"].closed_at == found["b"].at, "the detector's next alert renewed it"
    assert found["b"].closed_at == iso(4)
    assert found["f"].severity == "info"
    assert of_events([at(7, drift("g", severity="critical"))], "")[0].severity == "critical"
    assert of_events([at(8, drift("h", severity="<b>"))], "")[0].severity == "warning"
    assert not {a.id: a for a in of_events(log[::-1], "1970-01-02")}["f"].open, "a new day, a new budget"


async def test_the_state_follows_what_happens(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    async def state() -> str:
        return str((await client.get(STATUS)).json()["state"])

    assert await state() == "no_program"
    await deployed(gateway.store)
    assert await state() == "no_inputs"
    await gateway.publish(METRICS, window(gateway.parts.clock.now(), inputs=5, ok=5))
    await until(lambda: gateway.parts.windows.totals(app).inputs == 5)
    assert await state() == "healthy"
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await until(lambda: gateway.parts.hub.cursor == 2)
    assert await state() == "needs_a_look"
    now = iso(gateway.parts.clock.now())
    trial = Rollout(id="r", app=app, from_version=1, to_version=2, stages=(10, 100), weight=10, updated_at=now)
    await gateway.store.put_rollout(trial)
    assert await state() == "trial_running"
    await gateway.store.put_rollout(msgspec.structs.replace(trial, state="rolled_back", reason="Worse."))
    status = (await client.get(STATUS)).json()
    assert (status["state"], status["because"]) == ("acting", "Went back from v2 to v1. Worse.")
    await gateway.store.put_deployment(Deployment(app=app, revision=2, stable=1, paused=True))
    assert await state() == "paused"


async def test_the_overview_has_all_that_the_first_screen_needs(
    gateway: Running, client: httpx2.AsyncClient, app: str
) -> None:
    await deployed(gateway.store)
    await client.post("/api/v1/loop-apps", json={"id": "other", "simulated": True, "oracle": {"kind": "none"}})
    row = ValidationResult(id="1", app=app, version=1, program="p", variant="stable", tier=3, verdict="match")
    await gateway.store.add_validations([row, msgspec.structs.replace(row, id="2", verdict="mismatch")])
    await gateway.publish(VALIDATIONS, row)
    right = Agreement(app=app, version=1, variant="stable", checks=2, estimate=0.5, low=0.1, high=0.9)
    await gateway.publish(METRICS, right, type="agreement.window")
    await gateway.publish(METRICS, window(gateway.parts.clock.now(), inputs=8, ok=8))
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await gateway.store.reserve(app, iso(gateway.parts.clock.now())[:10], usd=1, calls=2, limit_usd=5, limit_calls=5)
    await until(lambda: gateway.parts.hub.cursor == 3 and gateway.parts.windows.totals(app).inputs == 8)
    seen = (await client.get("/api/v1/overview")).json()
    assert seen["epoch"] == await gateway.store.epoch()
    assert int(seen["sequence"]) == 3
    assert [event["type"] for event in seen["events"]] == [
        "io.loopai.drift.detected.v1",
        "io.loopai.loop.created.v1",
        "io.loopai.loop.created.v1",
    ]
    assert [alert["id"] for alert in seen["alerts"]] == ["d1"]
    assert seen["environment"] == "development"
    other, spam = seen["apps"]
    assert (other["app"]["id"], other["simulated"], other["oracle"]["kind"]) == ("other", True, "none")
    assert spam["checks"] == {"match": 1, "mismatch": 1, "unsure": 0, "error": 0}
    assert spam["agreement"]["stable"]["estimate"] == 0.5
    assert spam["agreement"]["candidate"] is None
    assert (spam["alerts_open"], spam["programs"], spam["totals"]["inputs"]) == (1, 2, 8)
    assert spam["spending"]["reserved_usd"] == 1.0
    assert spam["metrics"]["inputs"] == 8


async def test_checks_alerts_and_events_are_listed(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    base = f"/api/v1/loop-apps/{app}"
    row = ValidationResult(id="0", app=app, version=1, program="p", variant="stable", tier=3, verdict="match")
    await gateway.store.add_validations([msgspec.structs.replace(row, id=str(n), version=1 + n % 2) for n in range(5)])
    page = (await client.get(f"{base}/validations?limit=3")).json()
    assert len(page["items"]) == 3
    rest = (await client.get(f"{base}/validations?cursor={page['next_cursor']}")).json()
    assert len(rest["items"]) == 2
    assert rest["next_cursor"] is None
    assert len((await client.get(f"{base}/validations?version=2&verdict=match")).json()["items"]) == 2
    assert (await client.get(f"{base}/validations?verdict=perhaps")).status_code == 422
    await gateway.publish(DRIFT_ALERTS, drift("d1"))
    await gateway.publish(DRIFT_ALERTS, drift("d2", type="drift.cleared"))
    await until(lambda: gateway.parts.hub.cursor == 3)
    assert (await client.get(f"{base}/alerts?open=true")).json()["items"] == []
    assert [a["id"] for a in (await client.get(f"{base}/alerts")).json()["items"]] == ["d1"]
    found = (await client.get("/api/v1/events?type=drift.detected&type=io.loopai.drift.cleared.v1&limit=1")).json()
    assert [e["id"] for e in found["items"]] == ["d2"]
    found = (await client.get(f"/api/v1/events?type=drift.detected&cursor={found['next_cursor']}")).json()
    assert [e["id"] for e in found["items"]] == ["d1"]


async def test_the_last_minutes_fill_the_charts(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    now = gateway.parts.clock.now()
    for n in range(3):
        await gateway.publish(METRICS, window(now - 3 + n, inputs=n + 1, ok=n + 1))
    await until(lambda: gateway.parts.windows.totals(app).inputs == 6)
    series = (await client.get(f"/api/v1/loop-apps/{app}/metrics?seconds=60")).json()
    assert [w["inputs_per_second"] for w in series["windows"]] == [1.0, 2.0, 3.0]
    assert series["agreement"] == []
    assert (await client.get(f"/api/v1/loop-apps/{app}/metrics?seconds=601")).status_code == 422
