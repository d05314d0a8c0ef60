"""Clients that stop reading: let go within a bound, while the others get everything."""

from __future__ import annotations

import asyncio
import json
import socket

from websockets.asyncio.client import connect

from gateway import hub
from tests.gateway.support import Client, Running, drift, until


async def test_a_client_that_does_not_read_is_let_go_and_the_others_miss_nothing(gateway: Running) -> None:
    port = gateway.server.port
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", port))
    narrow.setblocking(False)
    address = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    other = Client()
    await other.connect(gateway.url)
    await other.ask("subscribe", {"rooms": ["alerts"], "names": False})
    async with connect(address, sock=narrow, max_queue=1, compression=None) as deaf:
        assert json.loads(str(await deaf.recv())[1:])["sid"]
        await deaf.send("40/live,")
        await deaf.recv()
        await deaf.send('42/live,0["join","alerts"]')
        await deaf.recv()
        await until(lambda: gateway.parts.hub.clients == 2)
        total = hub.MAX_QUEUED + 1_500
        for start in range(0, total, 100):
            events = [drift(f"d{n}", filler="x" * 4_000) for n in range(start, start + 100)]
            await gateway.store.append_events(events)
            gateway.parts.tail.wake()
            await asyncio.sleep(0.01)
        await until(lambda: gateway.parts.hub.slow >= 1 and gateway.parts.hub.clients == 1, seconds=30)
        await until(lambda: len(other.sequences()) == total, seconds=30)
    assert other.sequences() == list(range(1, total + 1))
    assert gateway.parts.hub.dropped == 1
    await other.close()
