"""The store, the windows and the log in; the state of one app, and of all of them, out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.http.answers import AppState, ChecksAnswer, OverviewAnswer, StatusAnswer
from gateway.http.asked import today
from gateway.live.alerts import Alert, alerts
from gateway.live.envelope import of_event, padded
from gateway.parts import Parts
from loopai import __version__
from loopai.apps import LoopApp
from loopai.clock import iso
from loopai.deployments import Deployment
from loopai.records import Rollout
from programs.store import Tally

_ACTING_SECONDS: Final = 60
_MOST_APPS: Final = 200
_EVENTS: Final = 50


async def status_of(parts: Parts, app: LoopApp, raised: Sequence[Alert]) -> StatusAnswer:
    """The state of `app`; `raised` are the alerts of all apps or of this one."""
    tallies = await parts.store.tallies([app.id], today(parts))
    return _status(parts, app, tallies[app.id], raised)


def _status(parts: Parts, app: LoopApp, tally: Tally, raised: Sequence[Alert]) -> StatusAnswer:
    windows, deployment, last = parts.windows, tally.deployment, tally.last_rollout
    stable = None if deployment is None else deployment.stable
    candidate = None if deployment is None else deployment.candidate
    checks = {} if stable is None else tally.checks.get(stable, {})
    mine = [alert for alert in raised if alert.app == app.id and alert.open]
    totals = windows.totals(app.id)
    quiet = totals.inputs == 0 and not checks
    state, because = _state(parts.clock.now(), deployment, last, mine, quiet)
    values: dict[str, Any] = {
        "app": app,
        "state": state,
        "because": because,
        "deployment": deployment,
        "rollout": last if last is not None and last.state in ("running", "paused") else None,
        "agreement": {
            "stable": windows.agreement(app.id, "stable", stable),
            "candidate": windows.agreement(app.id, "candidate", candidate),
        },
        "metrics": windows.latest(app.id),
        "totals": totals,
        "checks": ChecksAnswer(**checks),
        "spending": {"day": today(parts), **msgspec.structs.asdict(tally.spending)},
        "oracle": {"kind": app.oracle.kind, "model": app.oracle.model},
        "simulated": app.simulated,
        "alerts_open": len(mine),
        "examples": tally.examples,
        "programs": tally.programs,
    }
    return StatusAnswer.model_validate(values, from_attributes=True)


async def overview_of(parts: Parts) -> OverviewAnswer:
    """Everything the first screen needs. The position is read first: who subscribes with it misses nothing, and may
    be told again what is already in here."""
    epoch, sequence = await parts.store.position()
    raised = await alerts(parts.store, today(parts))
    apps = (await parts.store.list_apps(limit=_MOST_APPS)).items
    events = await parts.store.latest_events(limit=_EVENTS)
    tallies = await parts.store.tallies([app.id for app in apps], today(parts))
    values: dict[str, Any] = {
        "epoch": epoch,
        "sequence": padded(sequence),
        "at": iso(parts.clock.now()),
        "environment": parts.settings.environment,
        "version": __version__,
        "apps": [_status(parts, app, tallies[app.id], raised) for app in apps],
        "alerts": [alert for alert in raised if alert.open],
        "rollouts": await parts.store.current_rollouts(),
        "events": [of_event(event, number, epoch) for number, event in events],
        "live": {"clients": parts.hub.clients + len(parts.hub.listeners), "dropped": parts.hub.dropped},
    }
    return OverviewAnswer.model_validate(values, from_attributes=True)


def _state(
    now: float, deployment: Deployment | None, last: Rollout | None, raised: Sequence[Alert], quiet: bool
) -> tuple[AppState, str]:
    """The state and the sentence behind it. What is happening comes before what was noticed."""
    if deployment is None or deployment.stable is None:
        return "no_program", "No program runs yet."
    if deployment.paused:
        return "paused", "Paused by a person."
    if last is not None and last.state == "rolled_back" and _age(now, last.updated_at) < _ACTING_SECONDS:
        return "acting", f"Went back from v{last.to_version} to v{last.from_version}. {last.reason}".strip()
    if last is not None and last.state in ("running", "paused"):
        verb = "Trial of" if last.state == "running" else "Paused trial of"
        return "trial_running", f"{verb} v{last.to_version} on {last.weight} % of the inputs."
    if raised:
        return "needs_a_look", raised[0].summary
    return ("no_inputs", "No inputs yet.") if quiet else ("healthy", "")


def _age(now: float, at: str) -> float:
    try:
        return now - datetime.fromisoformat(at).timestamp()
    except ValueError:
        return float("inf")
