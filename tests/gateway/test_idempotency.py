"""Idempotency keys: a POST that is repeated is done once."""

from __future__ import annotations

import asyncio

import httpx2

from streams.topics import INPUTS
from tests.gateway.support import Controller, Running, deployed

INPUTS_URL = "/api/v1/loop-apps/spam-filter/inputs"
KEY = {"Idempotency-Key": "first-try"}


async def test_the_same_request_again_gets_the_same_answer(
    gateway: Running, client: httpx2.AsyncClient, app: str
) -> None:
    first = await client.post(INPUTS_URL, json={"input": 1}, headers=KEY)
    again = await client.post(INPUTS_URL, json={"input": 1}, headers=KEY)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(gateway.read(INPUTS)) == 1


async def test_a_created_app_keeps_its_location(client: httpx2.AsyncClient) -> None:
    first = await client.post("/api/v1/loop-apps", json={"id": "x"}, headers=KEY)
    again = await client.post("/api/v1/loop-apps", json={"id": "x"}, headers=KEY)
    assert (again.status_code, again.headers["location"], again.headers["etag"]) == (201, "/api/v1/loop-apps/x", '"1"')
    assert first.json() == again.json()


async def test_a_key_belongs_to_one_request(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    await client.post(INPUTS_URL, json={"input": 1}, headers=KEY)
    for url, body in ((INPUTS_URL, {"input": 2}), (INPUTS_URL.replace("inputs", "execute"), {"input": 1})):
        answer = await client.post(url, json=body, headers=KEY)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert len(gateway.read(INPUTS)) == 1


async def test_what_was_refused_may_be_tried_again(client: httpx2.AsyncClient, app: str) -> None:
    wrong = await client.post(INPUTS_URL, json={"inputs": 1}, headers=KEY)
    right = await client.post(INPUTS_URL, json={"input": 1}, headers=KEY)
    assert (wrong.status_code, right.status_code) == (422, 202)


async def test_two_at_once_do_not_step_twice(
    gateway: Running, client: httpx2.AsyncClient, app: str, controller: Controller
) -> None:
    await deployed(gateway.store)
    rollouts = "/api/v1/loop-apps/spam-filter/rollouts"
    await client.post(rollouts, json={"version": 2})
    both = [client.post(f"{rollouts}/current/promote", headers=KEY) for _ in range(2)]
    answers = await asyncio.gather(*both)
    assert sorted(answer.status_code for answer in answers) in ([200, 200], [200, 409])
    assert [command.verb for command in controller.heard].count("rollout.promote") == 1
    assert (await client.get(f"{rollouts}/current")).json()["weight"] == 50
