"""`loopai watch`: the live picture in the terminal, over the same socket as the page."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any

import socketio
import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loopai.cli.client import GatewayClient
from loopai.cli.output import out, print_json
from loopai.errors import UnavailableError

app = typer.Typer(help="The live picture in the terminal.")


class Picture:
    """What has been heard so far, drawn as a table of loops and a tail of sentences."""

    def __init__(self, apps: list[str]) -> None:
        self.rates: dict[str, float] = dict.fromkeys(apps, 0.0)
        self.right: dict[str, str] = {}
        self.checks: dict[str, int] = {}
        self.tail: deque[str] = deque(maxlen=12)
        self.connected = False

    def take(self, envelope: dict[str, Any]) -> None:
        """One event of the stream."""
        name = envelope["type"].removeprefix("io.loopai.").rpartition(".v")[0]
        data, loop = envelope.get("data", {}), envelope.get("subject", "")
        if name == "metrics.window":
            self.rates[loop] = data["inputs"] * 1000 / max(1, data["window_ms"])
        elif name == "agreement.window" and data.get("variant") == "stable" and data.get("estimate") is not None:
            self.right[loop] = f"{100 * data['estimate']:.1f} % ({100 * data['low']:.1f}–{100 * data['high']:.1f})"
            self.checks[loop] = data["checks"]
        elif data.get("summary"):
            self.tail.append(f"{envelope.get('time', '')[11:19]}  {loop}: {data['summary']}")

    def draw(self) -> Table:
        """The whole picture."""
        table = Table(box=None, title="Live" if self.connected else "Offline", title_justify="left", expand=True)
        for column in ("loop", "inputs/s", "right answers", "checks"):
            table.add_column(column)
        for loop, rate in self.rates.items():
            table.add_row(loop, f"{rate:.0f}", self.right.get(loop, "–"), str(self.checks.get(loop, 0)))
        table.caption = Text("\n".join(self.tail))
        table.caption_justify = "left"
        return table


@app.command()
def watch(
    app_id: str = typer.Argument("", metavar="[APP]", help="This loop alone."),
    as_json: bool = typer.Option(False, "--json", help="Every event, one line of JSON each."),
    seconds: float = typer.Option(0.0, min=0, help="Leave after so long; 0 stays."),
) -> None:
    """Follow checks, drift alerts and rollouts as they happen. Ctrl-C leaves."""
    client = GatewayClient()
    apps = [app_id] if app_id else [row["id"] for row in client.pages("/loop-apps")]
    ticket = client.post("/tickets")["ticket"] if os.environ.get("LOOPAI_API_KEY") else None
    asyncio.run(_follow(client.url, ticket, apps, as_json=as_json, seconds=seconds))


async def _follow(url: str, ticket: str | None, apps: list[str], *, as_json: bool, seconds: float) -> None:
    socket = socketio.AsyncClient(reconnection_delay=0.25, reconnection_delay_max=5)
    picture = Picture(apps)
    rooms = [f"loop/{a}" for a in apps] + [f"rollout/{a}" for a in apps] + ["alerts"]

    def take(envelope: dict[str, Any]) -> None:
        picture.take(envelope)
        if as_json:
            print_json(envelope)

    def take_all(envelopes: list[dict[str, Any]]) -> None:
        for envelope in envelopes:
            take(envelope)

    async def connected() -> None:
        picture.connected = True
        await socket.emit("subscribe", {"rooms": rooms, "names": False}, namespace="/live")

    async def disconnected(*reason: Any) -> None:
        picture.connected = False

    socket.on("connect", connected, namespace="/live")
    socket.on("disconnect", disconnected, namespace="/live")
    socket.on("event", take, namespace="/live")
    socket.on("batch", take_all, namespace="/live")
    try:
        auth = {"ticket": ticket} if ticket else None
        await socket.connect(url, namespaces=["/live"], transports=["websocket"], auth=auth)
    except socketio.exceptions.ConnectionError as error:
        raise UnavailableError(f"The live stream at {url} refused: {error}.", next_step="Is the gateway up?") from None
    try:
        async with asyncio.timeout(seconds or None):
            if as_json:
                await asyncio.Event().wait()
            with Live(picture.draw(), console=out, refresh_per_second=4) as live:
                while True:
                    await asyncio.sleep(0.25)
                    live.update(picture.draw())
    except TimeoutError:
        pass
    finally:
        await socket.disconnect()
