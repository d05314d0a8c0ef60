"""`loopai rollout`: the five verbs and the state, in the same words as the page."""

from __future__ import annotations

import time
from typing import Any

import typer

from loopai.cli.client import GatewayClient
from loopai.cli.output import JSON, out, print_json
from loopai.errors import NotFoundError

app = typer.Typer(no_args_is_help=True, help="Rollouts: a new version on a growing share of the keys.")

APP = typer.Argument(..., metavar="APP")
REASON = typer.Option("", help="Why; it lands in the history.")


def _show(rollout: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(rollout)
        return
    steps = []
    for stage in rollout.get("stages", []):
        mark = "✓" if stage < rollout["weight"] or rollout["state"] == "completed" else "·"
        if stage == rollout["weight"] and rollout["state"] in ("running", "paused"):
            mark = "◀"
        steps.append(f"{stage} % {mark}")
    line = f"v{rollout['from_version']} → v{rollout['to_version']}: {' – '.join(steps)}  {rollout['state']}"
    out.print(line + (f" ({rollout['reason']})" if rollout.get("reason") else ""), highlight=False)


@app.command()
def start(
    app_id: str = APP,
    version: int = typer.Argument(..., help="The version to try."),
    stage: list[int] = typer.Option([], "--stage", help="Percent of the keys; repeat it. Default: the app's policy."),
    reopen: bool = typer.Option(False, "--reopen", help="Try again a version that was rolled back."),
    as_json: bool = JSON,
) -> None:
    """Start a trial of a version."""
    body: dict[str, Any] = {"version": version}
    if stage:
        body["stages"] = stage
    if reopen:
        body["reopen"] = True
    _show(GatewayClient().post(f"/loop-apps/{app_id}/rollouts", body), as_json)


def _verb(name: str, app_id: str, reason: str, as_json: bool) -> None:
    body = {"reason": reason} if reason else {}
    _show(GatewayClient().post(f"/loop-apps/{app_id}/rollouts/current/{name}", body), as_json)


@app.command()
def promote(app_id: str = APP, reason: str = REASON, as_json: bool = JSON) -> None:
    """One stage further."""
    _verb("promote", app_id, reason, as_json)


@app.command("promote-all")
def promote_all(app_id: str = APP, reason: str = REASON, as_json: bool = JSON) -> None:
    """To all keys at once."""
    _verb("promote-all", app_id, reason, as_json)


@app.command()
def pause(app_id: str = APP, reason: str = REASON, as_json: bool = JSON) -> None:
    """Keep the share as it is."""
    _verb("pause", app_id, reason, as_json)


@app.command()
def resume(app_id: str = APP, reason: str = REASON, as_json: bool = JSON) -> None:
    """Go on after a pause."""
    _verb("resume", app_id, reason, as_json)


@app.command()
def rollback(
    app_id: str = APP,
    reason: str = REASON,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    as_json: bool = JSON,
) -> None:
    """Back to the stable version, for every key."""
    if not yes and not as_json:
        typer.confirm(f"All inputs of {app_id} go back to the stable version. Go on?", abort=True)
    _verb("rollback", app_id, reason, as_json)


def _current(client: GatewayClient, app_id: str) -> dict[str, Any]:
    """The rollout under way, else the last one."""
    found = next(client.pages(f"/loop-apps/{app_id}/rollouts", limit=1), None)
    if found is None:
        raise NotFoundError(
            f"{app_id} never had a rollout.", next_step=f"Start one with `loopai rollout start {app_id} VERSION`."
        )
    return found


@app.command()
def status(
    app_id: str = APP,
    watch: bool = typer.Option(False, "--watch", help="Follow it to its end."),
    as_json: bool = JSON,
) -> None:
    """The rollout under way, or the last one."""
    client = GatewayClient()
    while True:
        rollout = _current(client, app_id)
        _show(rollout, as_json)
        if not watch or rollout["state"] in ("completed", "rolled_back"):
            return
        time.sleep(1.0)
