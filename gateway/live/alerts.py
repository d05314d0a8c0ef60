"""Events in, alerts out: what was raised, and whether it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.live.envelope import padded
from loopai.records import Event
from programs.store import Store

SEVERITIES: Final = ("critical", "warning", "info")
TYPES: Final = ("drift.detected", "drift.cleared", "validation.budget_exhausted")
_SCANNED: Final = 500


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something raised. `severity` is what the detector says, `warning` when it says nothing, and `info` for a spent
    budget, which ends by itself."""

    id: str
    sequence: str
    type: str
    app: str
    at: str
    summary: str
    severity: str
    open: bool
    closed_at: str | None
    data: dict[str, Any]


async def alerts(store: Store, today: str, app: str | None = None) -> list[Alert]:
    """The last alerts, newest first. `today` is the UTC day, at whose end a spent budget is full again."""
    return of_events(await store.latest_events(app=app, types=TYPES, limit=_SCANNED), today)


def of_events(events: Sequence[tuple[int, Event]], today: str) -> list[Alert]:
    """`events` are newest first. A drift is over when the same detector (or none that is named) says so later."""
    cleared: dict[tuple[str, str], str] = {}
    found = []
    for sequence, event in events:
        detector = str(event.data.get("detector", ""))
        if event.type == "drift.cleared":
            cleared[event.app, detector] = event.at
            continue
        if event.type == "drift.detected":
            closed = cleared.get((event.app, detector)) or cleared.get((event.app, ""))
            # A detector that fires again renews its alert: only the newest one is open.
            cleared[event.app, detector] = event.at
            severity = given if (given := event.data.get("severity")) in SEVERITIES else "warning"
        else:
            closed = None if event.at.startswith(today) else event.at
            severity = "info"
        found.append(
            Alert(
                id=event.id,
                sequence=padded(sequence),
                type=event.type,
                app=event.app,
                at=event.at,
                summary=event.summary,
                severity=severity,
                open=closed is None,
                closed_at=closed,
                data=event.data,
            )
        )
    return found
