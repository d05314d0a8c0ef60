"""Rollouts and generation over HTTP: a command to the controller, and its answer."""

from __future__ import annotations

import httpx2

from tests.gateway.support import Controller, Running, deployed

ROLLOUTS = "/api/v1/loop-apps/spam-filter/rollouts"


async def test_a_rollout_goes_through_its_stages(
    gateway: Running, client: httpx2.AsyncClient, app: str, controller: Controller
) -> None:
    await deployed(gateway.store)
    started = await client.post(ROLLOUTS, json={"version": 2, "stages": [10, 50, 100], "reason": "try it"})
    assert started.status_code == 201, started.text
    assert started.headers["location"] == f"{ROLLOUTS}/current"
    rollout = started.json()
    assert (rollout["from_version"], rollout["to_version"], rollout["weight"]) == (1, 2, 10)
    assert (await client.get(f"{ROLLOUTS}/current")).json() == rollout
    assert (await client.post(f"{ROLLOUTS}/current/promote")).json()["weight"] == 50
    assert (await client.post(f"{ROLLOUTS}/current/pause")).json()["state"] == "paused"
    assert (await client.post(f"{ROLLOUTS}/current/resume", json={})).json()["state"] == "running"
    assert (await client.post(f"{ROLLOUTS}/current/promote-all")).json()["state"] == "completed"
    assert (await client.get(f"{ROLLOUTS}/current")).status_code == 404
    assert [r["state"] for r in (await client.get(ROLLOUTS)).json()["items"]] == ["completed"]
    command = controller.heard[1]
    assert (command.verb, command.arguments["reason"], command.actor) == ("rollout.start", "try it", "local")


async def test_a_rollback_carries_its_reason(
    gateway: Running, client: httpx2.AsyncClient, app: str, controller: Controller
) -> None:
    await deployed(gateway.store)
    await client.post(ROLLOUTS, json={"version": 2})
    back = (await client.post(f"{ROLLOUTS}/current/rollback", json={"reason": "wrong on links", "revision": 7})).json()
    assert (back["state"], back["reason"]) == ("rolled_back", "wrong on links")
    assert controller.heard[-1].arguments == {"reason": "wrong on links", "revision": 7}


async def test_a_refusal_is_a_conflict_with_the_controllers_sentence(
    gateway: Running, client: httpx2.AsyncClient, app: str, controller: Controller
) -> None:
    await deployed(gateway.store)
    controller.refusal = "v2 is on trial. Promote it or go back first."
    answer = await client.post(ROLLOUTS, json={"version": 2})
    assert answer.status_code == 409
    assert answer.json()["detail"] == controller.refusal


async def test_without_a_controller_it_says_so(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    await deployed(gateway.store)
    gateway.parts.asker.seconds = 0.2
    answer = await client.post(ROLLOUTS, json={"version": 2})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "No controller answered" in answer.json()["detail"]


async def test_what_cannot_be_rolled_out_is_not_asked_for(
    gateway: Running, client: httpx2.AsyncClient, app: str
) -> None:
    await deployed(gateway.store)
    before = len(gateway.commands())
    assert (await client.post(ROLLOUTS, json={"version": 9})).status_code == 404
    assert (await client.post(ROLLOUTS, json={"version": 0})).status_code == 422
    assert (await client.post(ROLLOUTS, json={"version": 2, "stages": [50, 10]})).status_code == 422
    assert (await client.post(ROLLOUTS)).status_code == 422
    assert (await client.post(f"{ROLLOUTS}/current/explode")).status_code == 422
    assert (await client.post("/api/v1/loop-apps/nothing/rollouts", json={"version": 1})).status_code == 404
    assert len(gateway.commands()) == before


async def test_a_generation_is_a_run_that_can_be_watched(
    gateway: Running, client: httpx2.AsyncClient, app: str, controller: Controller
) -> None:
    controller.silent = True
    answer = await client.post("/api/v1/loop-apps/spam-filter/programs", json={"strategy": "linear", "seed": 3})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert (run["state"], run["progress"]) == ("queued", 0.0)
    command = gateway.commands()[-1]
    assert (command.verb, command.arguments) == (
        "program.generate",
        {"run": run["id"], "seed": 3, "rollout": False, "strategy": "linear"},
    )
    assert (await client.get(answer.headers["location"])).json() == run
    assert (await client.get("/api/v1/loop-apps/spam-filter/runs")).json()["items"] == [run]
    assert (await client.get("/api/v1/runs/none")).status_code == 404
    assert (await client.post("/api/v1/loop-apps/spam-filter/programs", json={"strategy": "magic"})).status_code == 422


async def test_a_finished_generation_shows_its_result(
    gateway: Running, client: httpx2.AsyncClient, app: str, controller: Controller
) -> None:
    run = (await client.post("/api/v1/loop-apps/spam-filter/programs")).json()
    while run["state"] == "queued":
        run = (await client.get(f"/api/v1/runs/{run['id']}")).json()
    assert (run["state"], run["result"]) == ("succeeded", {"version": 1})


async def test_versions_can_be_looked_into(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    await deployed(gateway.store)
    url = "/api/v1/loop-apps/spam-filter/programs"
    listed = (await client.get(url)).json()["items"]
    assert [(one["version"], one["strategy"]) for one in listed] == [(1, "rule"), (2, "rule")]
    assert "source" not in listed[0]
    whole = (await client.get(f"{url}/2")).json()
    assert (whole["source"], whole["data_bytes"], whole["id"]) == ("def run(r): return 2", 0, listed[1]["id"])
    assert whole["manifest"]["attempts"] == []
    assert (await client.get(f"{url}/3")).status_code == 404
    for wrong in ("0", "x", "99999999999"):
        assert (await client.get(f"{url}/{wrong}")).status_code == 422
