"""Keys, tickets, hosts and origins: who may come in, over HTTP and over the socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from pydantic import SecretStr

from gateway.access import Access, is_loopback
from loopai.clock import ManualClock
from loopai.errors import ConfigurationError
from loopai.settings import Gateway, Settings
from programs.store import Store
from streams.memory import MemoryBroker
from tests.gateway.support import Client, Running, run_gateway

KEY, OTHER = "k" * 32, "o" * 32


def guarded(**fields: Any) -> Gateway:
    return Gateway(port=0, api_keys=(SecretStr(KEY), SecretStr(OTHER)), **fields)


@pytest.fixture
async def locked(store: Store, broker: MemoryBroker) -> AsyncIterator[Running]:
    settings = guarded(host="0.0.0.0", allowed_origins=("https://ops.example",))
    running = await run_gateway(store, broker, Settings(gateway=settings))
    yield running
    await running.server.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "loopai.example"])
def test_outside_loopback_a_key_is_demanded_before_anything_listens(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.api_keys"):
        Access(Gateway(host=host), ManualClock())
    assert not is_loopback(host)


def test_a_short_key_is_no_key() -> None:
    with pytest.raises(ConfigurationError, match="16"):
        Access(Gateway(api_keys=(SecretStr("short"),)), ManualClock())


async def test_answers_do_not_wait_for_an_acknowledgement(gateway: Running) -> None:
    async with gateway.client() as client:
        await client.get("/livez")
        assert gateway.server._uvicorn is not None
        (connection,) = gateway.server._uvicorn.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_port_that_is_taken_is_named(gateway: Running, store: Store, broker: MemoryBroker) -> None:
    taken = Settings(gateway=Gateway(port=gateway.server.port))
    with pytest.raises(ConfigurationError, match=str(gateway.server.port)):
        await run_gateway(store, broker, taken)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer {OTHER}"}, 200),
        ({"X-API-Key": KEY}, 200),
        ({"X-API-Key": KEY[:-1]}, 401),
        ({"X-API-Key": KEY + "x"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": "ü" * 16}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"X-API-Key": KEY, "Origin": "https://ops.example"}, 200),
        ({"X-API-Key": KEY, "Origin": "https://evil.example"}, 403),
        ({"X-API-Key": KEY, "Origin": "null"}, 403),
    ],
)
async def test_a_key_opens_the_api(locked: Running, headers: dict[str, str], status: int) -> None:
    async with locked.client() as client:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        for path in ("/api/v1/loop-apps", "/metrics"):
            answer = await client.get(path, headers=raw)
            assert answer.status_code == status
            if status == 401:
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_what_an_orchestrator_and_a_browser_need_first_is_open(locked: Running) -> None:
    async with locked.client() as client:
        for path in ("/livez", "/readyz", "/version", "/", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.post("/api/v1/tickets")).status_code == 401


async def test_a_page_of_another_name_for_this_machine_is_refused(gateway: Running) -> None:
    """DNS rebinding: evil.example resolves to 127.0.0.1, and the browser lets its page ask."""
    port = gateway.server.port
    async with gateway.client() as client:
        for host, status in (
            (f"evil.example:{port}", 403),
            (f"127.0.0.1.evil.example:{port}", 403),
            (f"localhost:{port}", 200),
            (f"[::1]:{port}", 200),
        ):
            assert (await client.get("/api/v1/overview", headers={"Host": host})).status_code == status, host
            origin = {"Host": host, "Origin": f"http://{host}"}
            assert (await client.get("/api/v1/overview", headers=origin)).status_code == status, host


async def test_another_port_of_this_machine_is_another_site(gateway: Running) -> None:
    async with gateway.client() as client:
        answer = await client.get("/api/v1/overview", headers={"Origin": "http://127.0.0.1:1"})
        assert answer.status_code == 403


async def test_a_ticket_opens_the_socket(locked: Running) -> None:
    async with locked.client(Authorization=f"Bearer {KEY}") as http:
        answer = await http.post("/api/v1/tickets")
    assert answer.status_code == 201
    url = locked.url.replace("0.0.0.0", "127.0.0.1")
    for auth in ({"ticket": answer.json()["ticket"]}, {"api_key": KEY}):
        client = Client()
        await client.connect(url, auth=auth)
        assert await client.ask("join", ["alerts"]) == {"rooms": ["alerts"]}
        await client.close()


@pytest.mark.parametrize(
    "auth", [None, {}, {"ticket": "x"}, {"ticket": "1.2.3"}, {"api_key": "x"}, {"ticket": 7}, "text"]
)
async def test_without_one_the_socket_stays_shut(locked: Running, auth: Any) -> None:
    client = Client()
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(locked.url, auth=auth)
    await client.close()


def test_tickets_expire_and_cannot_be_made_up() -> None:
    clock = ManualClock()
    access = Access(guarded(), clock)
    ticket, _ = access.make_ticket()
    assert access.ticket_is_valid(ticket)
    assert Access(guarded(), clock).ticket_is_valid(ticket), "another replica with the same keys"
    assert not Access(Gateway(api_keys=(SecretStr(KEY),)), clock).ticket_is_valid(ticket), "a key was withdrawn"
    expires, nonce, signature = ticket.split(".")
    for forged in (
        f"{int(expires) + 1}.{nonce}.{signature}",
        f"{expires}.{nonce}.",
        f"{expires}.{nonce}.ü",
        "",
        "..",
        "x",
    ):
        assert not access.ticket_is_valid(forged)
    clock.advance(301)
    assert not access.ticket_is_valid(ticket)


async def test_a_page_of_another_origin_gets_no_socket(gateway: Running) -> None:
    client = Client()
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.connect(gateway.url, headers={"Origin": "https://evil.example"})
    await client.close()
    client = Client()
    await client.connect(gateway.url, headers={"Origin": gateway.url})
    await client.close()
