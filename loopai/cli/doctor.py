"""`loopai doctor`: what this machine and this configuration can do, part by part, with what to do about the rest."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import typer

from loopai import __version__
from loopai import settings as settings_module
from loopai.cli.output import FAILURE, JSON, out, print_json
from loopai.errors import LoopaiError
from loopai.settings import Settings

app = typer.Typer(help="What this machine can do.")

Check = Callable[[Settings], Awaitable[tuple[str, str]]]


@app.command()
def doctor(as_json: bool = JSON) -> None:
    """Look at Python, the jail, Kafka, the store, Redis and the language model. Exit 1 when something needed fails."""
    settings = settings_module.load()
    rows = asyncio.run(_all(settings))
    if as_json:
        print_json({"version": __version__, "checks": rows})
    else:
        for row in rows:
            mark = {"ok": "[green]ok[/green]     ", "absent": "[yellow]absent[/yellow] "}.get(
                row["state"], "[red]failed[/red] "
            )
            out.print(f"{mark} {row['part']:<10} {row['detail']}".replace("[[", "\\[["), highlight=False)
    if any(row["state"] == "failed" for row in rows):
        raise SystemExit(FAILURE)


async def _all(settings: Settings) -> list[dict[str, Any]]:
    checks: dict[str, Check] = {
        "python": _python,
        "jail": _jail,
        "broker": _broker,
        "kafka": _kafka,
        "store": _store,
        "redis": _redis,
        "model": _model,
        "page": _page,
    }
    rows = []
    for part, check in checks.items():
        try:
            state, detail = await asyncio.wait_for(check(settings), 15.0)
        except LoopaiError as error:
            state, detail = "failed", str(error)
        except TimeoutError:
            state, detail = "failed", "no answer within 15 s"
        rows.append({"part": part, "state": state, "detail": detail})
    return rows


async def _python(settings: Settings) -> tuple[str, str]:
    return "ok", f"{platform.python_version()} on {platform.machine()} {platform.system()} {platform.release()}"


async def _jail(settings: Settings) -> tuple[str, str]:
    from executors.jail.jail import Jail

    async with Jail(mode=settings.executor.jail, spares=0) as jail:
        return "ok", "; ".join(f"{layer} {state}" for layer, state in jail.layers.items())


async def _broker(settings: Settings) -> tuple[str, str]:
    from streams.embedded import LocalBroker

    if settings.kafka.bootstrap_servers:
        return "ok", "not needed: a Kafka is named"
    async with LocalBroker() as broker:
        return "ok", f"the local broker starts (pid {broker.pid}); it is not for production"


async def _kafka(settings: Settings) -> tuple[str, str]:
    from streams.kafka import KafkaBroker

    servers = settings.kafka.bootstrap_servers
    if not servers:
        return "absent", "none is named; `loopai serve all` and `loopai demo` use the local broker"
    await KafkaBroker(settings.kafka).ensure_topics([])
    return "ok", servers


async def _store(settings: Settings) -> tuple[str, str]:
    from programs.store import Store

    if not settings.store.url.get_secret_value():
        return "ok", f"SQLite at {settings.data_dir / 'loopai.db'}"
    store = await Store.open(settings.store_url)
    try:
        await store.ping()
    finally:
        await store.close()
    return "ok", "PostgreSQL answers" if settings.store_url.startswith("postgresql") else "answers"


async def _redis(settings: Settings) -> tuple[str, str]:
    from streams.state import RedisState

    url = settings.redis.url.get_secret_value()
    if not url:
        return "absent", "none is named; state is kept in each process"
    state = RedisState(url)
    try:
        await state.get("doctor")
    finally:
        await state.close()
    return "ok", "answers"


async def _model(settings: Settings) -> tuple[str, str]:
    oracle = settings.oracle
    if not (oracle.api_key.get_secret_value() or oracle.base_url):
        return "absent", "no API key: generation without a language model and the labels oracle work; `llm` does not"
    return "ok", f"{oracle.model} at {oracle.base_url or 'the default endpoint'} (not called)"


async def _page(settings: Settings) -> tuple[str, str]:
    from importlib.resources import files

    if (files("gateway") / "static" / "index.html").is_file():
        return "ok", "built"
    return "absent", f"not built: {sys.executable} hatch_build.py builds it"
