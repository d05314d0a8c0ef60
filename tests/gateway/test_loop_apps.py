"""Loop apps over HTTP: what is filled in, what is refused, and who may change what."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.gateway.support import APP, Running

URL = "/api/v1/loop-apps"


async def test_an_id_is_enough(client: httpx2.AsyncClient) -> None:
    answer = await client.post(URL, json={"id": "tiny"})
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{URL}/tiny"
    app = answer.json()
    assert app["name"] == "tiny"
    assert app["input_schema"] == {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    assert app["output_schema"] == {"type": "string"}
    assert app["sampling"] == {"sampler": "random", "rate": 0.1}
    assert app["revision"] == 1
    assert (await client.get(f"{URL}/tiny")).json() == app


async def test_labels_close_the_output_and_come_from_examples_when_not_given(client: httpx2.AsyncClient) -> None:
    examples = [{"input": {"text": "a"}, "expected": label} for label in ("spam", "ham", "spam")]
    app = (await client.post(URL, json={"id": "named", "examples": examples})).json()
    assert app["labels"] == ["ham", "spam"]
    assert app["output_schema"] == {"type": "string", "enum": ["ham", "spam"]}
    status = (await client.get(f"{URL}/named/status")).json()
    assert status["examples"] == 2  # the same example twice is one example
    assert status["state"] == "no_program"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/id"),
        ({"id": "Upper"}, "/id"),
        ({"id": "x\n"}, "/id"),
        ({"id": "-x"}, "/id"),
        ({"id": "a" * 64}, "/id"),
        ({"id": "x", "kind": "translation"}, "/kind"),
        ({"id": "x", "nmae": "y"}, "/nmae"),
        ({"id": "x", "labels": ["a", "a"]}, "/labels"),
        ({"id": "x", "labels": [""]}, "/labels/0"),
        ({"id": "x", "labels": "ab"}, "/labels"),
        ({"id": "x", "sampling": {"rate": 0}}, "/sampling/rate"),
        ({"id": "x", "sampling": {"rate": "0.5"}}, "/sampling/rate"),
        ({"id": "x", "sampling": {"rate": 1.01}}, "/sampling/rate"),
        ({"id": "x", "budget": {"usd_per_day": -1}}, "/budget/usd_per_day"),
        ({"id": "x", "rollout": {"stages": [50, 10]}}, "/rollout/stages"),
        ({"id": "x", "rollout": {"stages": []}}, "/rollout/stages"),
        ({"id": "x", "rollout": {"stages": [10, 101]}}, "/rollout/stages/1"),
        ({"id": "x", "input_schema": {"type": "objekt"}}, "/input_schema"),
        ({"id": "x", "output_schema": {"$ref": "http://169.254.169.254/"}}, "/output_schema"),
        ({"id": "x", "output_schema": {"$ref": "file:///etc/passwd"}}, "/output_schema"),
        ({"id": "x", "labels": ["a"], "examples": [{"input": 1, "expected": "b"}]}, "/0/expected"),
        ({"id": "x", "examples": [{"input": 1}]}, "/examples/0/expected"),
        ([], ""),
    ],
)
async def test_what_is_wrong_is_pointed_at(client: httpx2.AsyncClient, body: Any, pointer: str) -> None:
    answer = await client.post(URL, json=body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["code"] == "invalid"
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert (await client.get(URL)).json()["items"] == []


async def test_an_id_is_taken_once(client: httpx2.AsyncClient, app: str) -> None:
    answer = await client.post(URL, json=APP)
    assert answer.status_code == 409
    assert "already exists" in answer.json()["detail"]


async def test_a_change_keeps_what_it_does_not_name(client: httpx2.AsyncClient, app: str) -> None:
    change = {"sampling": {"rate": 0.5}, "rollout": {"min_checks": 7}, "name": "Spam"}
    changed = (await client.patch(f"{URL}/{app}", json=change)).json()
    assert changed["sampling"] == {"sampler": "random", "rate": 0.5}
    assert changed["rollout"] == {"stages": [10, 50, 100], "min_checks": 7, "min_agreement": 0.9, "automatic": True}
    assert (changed["name"], changed["labels"], changed["revision"]) == ("Spam", ["ham", "spam"], 2)


async def test_labels_take_the_output_schema_along_unless_it_was_given(client: httpx2.AsyncClient, app: str) -> None:
    changed = (await client.patch(f"{URL}/{app}", json={"labels": ["a", "b", "c"]})).json()
    assert changed["output_schema"] == {"type": "string", "enum": ["a", "b", "c"]}
    own = {"type": "string", "minLength": 1}
    await client.patch(f"{URL}/{app}", json={"output_schema": own})
    changed = (await client.patch(f"{URL}/{app}", json={"labels": ["d"]})).json()
    assert changed["output_schema"] == own


async def test_nothing_becomes_null(client: httpx2.AsyncClient, app: str) -> None:
    answer = await client.patch(f"{URL}/{app}", json={"name": None})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/name"


async def test_of_two_who_change_the_same_revision_the_second_is_told(client: httpx2.AsyncClient, app: str) -> None:
    etag = (await client.get(f"{URL}/{app}")).headers["etag"]
    first = await client.patch(f"{URL}/{app}", json={"name": "first"}, headers={"If-Match": etag})
    assert first.status_code == 200
    second = await client.patch(f"{URL}/{app}", json={"name": "second"}, headers={"If-Match": etag})
    assert (second.status_code, second.json()["code"]) == (412, "precondition_failed")
    third = await client.patch(f"{URL}/{app}", json={"name": "third"}, headers={"If-Match": first.headers["etag"]})
    assert third.json()["name"] == "third"
    assert (await client.delete(f"{URL}/{app}", headers={"If-Match": etag})).status_code == 412


async def test_lists_come_in_pages_with_a_link(client: httpx2.AsyncClient) -> None:
    for n in range(5):
        await client.post(URL, json={"id": f"app-{n}"})
    seen, url = [], f"{URL}?limit=2"
    while url:
        answer = await client.get(url)
        seen += [item["id"] for item in answer.json()["items"]]
        url = answer.links.get("next", {}).get("url", "")
    assert seen == [f"app-{n}" for n in range(5)]
    assert answer.json()["next_cursor"] is None
    for query in ("limit=0", "limit=201", "limit=x"):
        assert (await client.get(f"{URL}?{query}")).status_code == 422


async def test_the_old_name_answers_and_says_that_it_is_old(client: httpx2.AsyncClient, app: str) -> None:
    old = await client.get(f"/api/v1/tasks/{app}")
    assert old.json() == (await client.get(f"{URL}/{app}")).json()
    assert old.headers["deprecation"].startswith("@")
    assert "successor-version" in old.headers["link"]
    assert (await client.post("/api/v1/tasks", json={"id": "by-the-old-name"})).status_code == 201
    assert "deprecation" not in (await client.get(f"{URL}/{app}")).headers
    assert (await client.get("/api/v1/tasks-x")).status_code == 404


async def test_people_and_the_controller_are_told_of_changes(
    gateway: Running, client: httpx2.AsyncClient, app: str
) -> None:
    await client.patch(f"{URL}/{app}", json={"name": "Spam"})
    assert (await client.delete(f"{URL}/{app}")).status_code == 204
    assert (await client.get(f"{URL}/{app}")).status_code == 404
    events = (await client.get(f"{URL}/{app}/events")).json()["items"]
    assert [e["type"] for e in events] == ["io.loopai.loop.updated.v1"] * 2 + ["io.loopai.loop.created.v1"]
    assert [e["data"]["summary"] for e in events] == [
        "Loop Spam was deleted.",
        "Loop Spam was changed.",
        "Loop spam-filter was created.",
    ]
    told = [(command.verb, command.app, command.arguments) for command in gateway.commands()]
    assert told == [
        ("app.changed", app, {"app_revision": 1}),
        ("app.changed", app, {"app_revision": 2}),
        ("app.changed", app, {"app_revision": 2, "deleted": True}),
    ]


async def test_examples_come_as_a_list_or_line_by_line(client: httpx2.AsyncClient, app: str) -> None:
    rows = [{"id": "1", "input": {"text": "a"}, "expected": "spam"}, {"input": {"text": "b"}, "expected": "ham"}]
    answer = await client.post(f"{URL}/{app}/examples", json=rows)
    assert (answer.status_code, answer.json()) == (201, {"added": 2, "total": 2})
    lines = b'{"id":"1","input":{"text":"c"},"expected":"ham"}\n\n{"id":"3","input":1,"expected":"spam"}\n'
    answer = await client.post(f"{URL}/{app}/examples", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert answer.json() == {"added": 2, "total": 3}
    answer = await client.post(f"{URL}/{app}/examples", json=rows[1])
    assert answer.json() == {"added": 1, "total": 3}


async def test_an_example_that_no_output_may_be_is_refused_with_its_place(client: httpx2.AsyncClient, app: str) -> None:
    rows = [{"input": 1, "expected": label} for label in ("spam", "eggs", "ham", 7)]
    answer = await client.post(f"{URL}/{app}/examples", json=rows)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/1/expected", "/3/expected"]
    assert (await client.get(f"{URL}/{app}/status")).json()["examples"] == 0
