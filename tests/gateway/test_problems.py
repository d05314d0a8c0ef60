"""Every error of the HTTP API is a problem, and every status that comes is in OpenAPI."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest

from gateway.http.problems import DOCS, KINDS
from loopai.records import ExecutionResult
from loopai.settings import Settings
from programs.store import Store
from streams.memory import MemoryBroker
from tests.gateway.support import Running, run_gateway

APPS = "/api/v1/loop-apps"
JSON = {"Content-Type": "application/json"}
FIELDS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}


def check(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == FIELDS
    assert (body["status"], body["code"], body["title"]) == (status, code, KINDS[code].title)
    assert body["type"] == DOCS + code.replace("_", "-")
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["instance"] == answer.request.url.path
    assert body["detail"].endswith((".", "!"))
    return body


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("POST", APPS, {"content": b"{", "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"content": b'{"id": NaN}', "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"content": b'{"id": 1e999}', "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"content": b'{"id": "\\ud800"}', "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"content": b'{"id": "\xff"}', "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"content": b"\xef\xbb\xbf{}", "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"content": b"[" * 100_000, "headers": JSON}, 400, "bad_request"),
        ("POST", APPS, {"json": {"id": "x"}, "headers": {"Idempotency-Key": "with space"}}, 400, "bad_request"),
        ("GET", APPS, {"headers": {"Origin": "https://evil.example"}}, 403, "forbidden"),
        ("GET", APPS, {"headers": {"Host": "evil.example"}}, 403, "forbidden"),
        ("GET", f"{APPS}/nothing", {}, 404, "not_found"),
        ("GET", "/api/v1/nothing", {}, 404, "not_found"),
        ("GET", "/nothing/at/all", {}, 404, "not_found"),
        ("DELETE", "/api/v1/overview", {}, 405, "method_not_allowed"),
        ("POST", APPS, {"content": b" " * (1024 * 1024 + 1), "headers": JSON}, 413, "too_large"),
        ("POST", APPS, {"content": b"id=x", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ("POST", APPS, {"content": b'{"id":"x"}'}, 415, "unsupported_media_type"),
        ("POST", APPS, {"json": {}}, 422, "invalid"),
        ("GET", f"{APPS}?limit=9999", {}, 422, "invalid"),
        ("GET", f"{APPS}/x/events?cursor=abc", {}, 422, "invalid"),
        ("GET", "/api/v1/stream?room=cellar", {}, 422, "invalid"),
    ],
)
async def test_every_error_is_a_problem(
    client: httpx2.AsyncClient, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    check(await client.request(method, path, **options), status, code)


async def test_a_body_without_a_length_is_limited_too(client: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    check(await client.post(APPS, content=endless(), headers=JSON), 413, "too_large")


async def test_a_fault_of_ours_tells_nothing_but_the_requests_id(
    store: Store, broker: MemoryBroker, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_app: str, _values: Sequence[bytes]) -> list[ExecutionResult]:
        raise ZeroDivisionError("the secret is 42")

    gateway = await run_gateway(store, broker, settings, execute=broken)
    async with gateway.client() as client:
        await client.post(APPS, json={"id": "spam"})
        headers = {"X-Request-ID": "given-by-a-proxy"}
        answer = await client.post(f"{APPS}/spam/execute", json={"input": 1}, headers=headers)
        body = check(answer, 500, "internal")
        assert body["request_id"] == "given-by-a-proxy"
        assert "secret" not in answer.text
        assert "the secret is 42" in caplog.text
        assert "request given-by-a-proxy failed: POST" in caplog.text
        assert caplog.text.count("Traceback") == 1
    await gateway.server.stop()


async def test_a_store_that_is_gone_is_unavailable(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    engine = gateway.store._engine
    async with engine.connect() as connection:
        await connection.exec_driver_sql("ALTER TABLE apps RENAME TO hidden")
        await connection.commit()
    answer = await client.get(f"{APPS}/{app}")
    check(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "2"


async def test_openapi_declares_what_comes(client: httpx2.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    assert schema["openapi"].startswith("3.1")
    ids = []
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            ids.append(operation["operationId"])
            assert operation["tags"], path
            declared = set(operation["responses"])
            if path.startswith("/api/"):
                assert {"400", "401", "403", "503"} <= declared, path
            if verb in ("post", "patch") and path != "/api/v1/tickets":
                assert {"413", "415", "422"} <= declared, path
            if operation.get("parameters"):
                assert "422" in declared or not path.startswith("/api/"), path
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    (reference,) = (content["schema"]["$ref"] for content in answer["content"].values())
                    assert reference == "#/components/schemas/Problem", (path, status)
            assert set(re.findall(r"{(\w+)}", path)) == {
                one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
            }
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                assert "example" in body or _has_example(schema, body["schema"]), path
    assert len(ids) == len(set(ids))
    assert {tag for v in schema["paths"].values() for o in v.values() for tag in o["tags"]} == {
        tag["name"] for tag in schema["tags"]
    }


def _has_example(schema: dict[str, Any], body: dict[str, Any]) -> bool:
    names = [one.get("$ref", "").rpartition("/")[2] for one in (body, *body.get("anyOf", ()))]
    return any("examples" in schema["components"]["schemas"].get(name, {}) for name in names)


async def test_each_reference_in_openapi_leads_somewhere(client: httpx2.AsyncClient) -> None:
    text = (await client.get("/openapi.json")).text
    schemas = httpx2.Response(200, content=text).json()["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schemas
