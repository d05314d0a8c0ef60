"""Inputs over HTTP: what lands on the stream, and what is answered at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2
import msgspec
import pytest

from loopai.errors import BudgetError, ConflictError, UnavailableError
from loopai.records import ExecutionResult
from loopai.settings import Settings
from programs.store import Store
from streams.cloudevents import header
from streams.memory import MemoryBroker
from streams.topics import INPUTS
from tests.gateway.support import Running, run_gateway

NDJSON = {"Content-Type": "application/x-ndjson"}


def url(app: str, what: str = "inputs") -> str:
    return f"/api/v1/loop-apps/{app}/{what}"


async def test_an_input_is_on_the_stream_when_it_is_accepted(
    gateway: Running, client: httpx2.AsyncClient, app: str
) -> None:
    answer = await client.post(url(app), json={"id": "sms-1", "key": "ada", "input": {"text": "hi"}})
    assert (answer.status_code, answer.json()) == (202, {"ids": ["sms-1"]})
    (message,) = gateway.read(INPUTS)
    assert (message.key, message.value) == (b"ada", b'{"text":"hi"}')
    for name, value in {
        "ce_specversion": b"1.0",
        "ce_id": b"sms-1",
        "loopai-app": app.encode(),
        "ce_subject": app.encode(),
    }.items():
        assert header(message.headers, name) == value


async def test_a_value_keeps_its_bytes(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    value = '{"b": 1.10, "a": 123456789012345678901234567890, "text": "\\u00fc \\u0000"}'
    body = f'{{"input": {value}}}\n{{"input":[1,2]}}\n'.encode()
    answer = await client.post(url(app), content=body, headers=NDJSON)
    assert answer.status_code == 202, answer.text
    ids = answer.json()["ids"]
    assert len(set(ids)) == 2
    assert sorted(m.value for m in gateway.read(INPUTS)) == sorted([value.encode(), b"[1,2]"])
    assert {m.key for m in gateway.read(INPUTS)} == {id.encode() for id in ids}


async def test_a_thousand_at_once_and_no_more(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    answer = await client.post(url(app), json=[{"input": n} for n in range(1000)])
    assert (answer.status_code, len(answer.json()["ids"])) == (202, 1000)
    answer = await client.post(url(app), json=[{"input": n} for n in range(1001)])
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert len(gateway.read(INPUTS)) == 1000


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b"[]", 422, ""),
        (b"", 422, ""),
        (b'{"text":"a"}', 422, ""),
        (b'[{"input":1},{"input":1,"id":7}]', 422, "/1/id"),
        (b'[{"input":1,"id":""}]', 422, "/0/id"),
        (b'[{"input":1,"key":"' + b"k" * 257 + b'"}]', 422, "/0/key"),
        (b'{"input":1', 400, None),
        (b'{"input":NaN}', 400, None),
        (b'{"input":"\\ud800"}', 400, None),
        (b'{"input":"\xff"}', 400, None),
        (b'{"input":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, None),
    ],
)
async def test_a_bad_batch_sends_nothing(
    gateway: Running, client: httpx2.AsyncClient, app: str, body: bytes, status: int, pointer: str | None
) -> None:
    for kind in ("application/json", "application/x-ndjson"):
        if kind.endswith("ndjson") and body.startswith(b"["):
            continue
        answer = await client.post(url(app), content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
        if pointer is not None and kind == "application/json":
            assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert gateway.read(INPUTS) == []


async def test_a_line_that_is_wrong_is_named(client: httpx2.AsyncClient, app: str) -> None:
    answer = await client.post(url(app), content=b'{"input":1}\n{"input":2,"x":3}\n', headers=NDJSON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/1"


async def test_an_unknown_app_takes_no_inputs(gateway: Running, client: httpx2.AsyncClient) -> None:
    assert (await client.post(url("nothing"), json={"input": 1})).status_code == 404
    assert (await client.post(url("nothing", "execute"), json={"input": 1})).status_code == 404
    assert gateway.read(INPUTS) == []


async def test_one_input_is_answered_at_once(client: httpx2.AsyncClient, app: str) -> None:
    result = (await client.post(url(app, "execute"), json={"input": {"text": "hi"}, "id": "mine"})).json()
    assert (result["id"], result["outcome"], result["output"]) == ("mine", "ok", {"text": "hi"})
    assert result["confidence"] is None
    answer = await client.post(url(app, "execute"), json=[{"input": 1}, {"input": 2}])
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConflictError("No program runs yet."), 409, "conflict"),
        (BudgetError("The budget is spent."), 429, "budget"),
        (UnavailableError("Nothing executes here."), 503, "unavailable"),
        (None, 503, "unavailable"),
    ],
)
async def test_what_keeps_an_input_from_an_answer_is_said(
    store: Store, broker: MemoryBroker, settings: Settings, error: Exception | None, status: int, code: str
) -> None:
    async def fails(_app: str, _values: Sequence[bytes]) -> list[ExecutionResult]:
        if error is not None:
            raise error
        return []

    gateway = await run_gateway(store, broker, settings, execute=fails)
    async with gateway.client() as client:
        await client.post("/api/v1/loop-apps", json={"id": "spam"})
        answer = await client.post(url("spam", "execute"), json={"input": 1})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert ("retry-after" in answer.headers) == (status in (429, 503))
    await gateway.server.stop()


async def test_any_json_value_is_an_input(client: httpx2.AsyncClient, app: str) -> None:
    values: list[Any] = [None, True, 0, -1.5, "", "ü\0", [], {}, [[{"a": None}]]]
    for value in values:
        answer = await client.post(url(app, "execute"), content=msgspec.json.encode({"input": value}), headers=JSON)
        assert answer.json()["output"] == value


JSON = {"Content-Type": "application/json"}
