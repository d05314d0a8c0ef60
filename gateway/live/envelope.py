"""What people are shown, as CloudEvents 1.0 in JSON: the same on the socket, in the history and in the overview."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from loopai.events import CATALOGUE, room_of
from loopai.records import Agreement, Event, MetricsWindow, ValidationResult

Envelope: TypeAlias = dict[str, Any]

EVERYTHING: Final = "loops"
"""The room of a page that shows every app."""


def of_event(event: Event, sequence: int, epoch: str) -> Envelope:
    """A durable event with its position. The sentence travels in `data`, beside what the event says."""
    data = dict(event.data)
    data["summary"] = event.summary
    if event.command is not None:
        data["command"] = event.command
    envelope = _envelope(event.id, event.type, _source(event.type), event.app, event.at, data)
    envelope["epoch"] = epoch
    envelope["sequence"] = padded(sequence)
    return envelope


def of_validation(result: ValidationResult) -> Envelope:
    """One check. Its id is stable: the record's id and the version."""
    id = f"{result.id}:v{result.version}:check"
    data = msgspec.structs.asdict(result)
    return _envelope(id, "validation.completed", "/loopai/validator", result.app, result.validated_at, data)


def of_window(window: MetricsWindow) -> Envelope:
    """What one executor or validator did in one window."""
    id = f"{window.app}:{window.source}:{window.window_start}"
    data = msgspec.structs.asdict(window)
    return _envelope(id, "metrics.window", f"/loopai/{window.source}", window.app, window.window_start, data)


def of_agreement(agreement: Agreement) -> Envelope:
    """How often a version agrees with the oracle."""
    id = f"{agreement.app}:v{agreement.version}:{agreement.at}"
    data = msgspec.structs.asdict(agreement)
    return _envelope(id, "agreement.window", "/loopai/controller", agreement.app, agreement.at, data)


def rooms(type: str, app: str) -> tuple[str, ...]:
    """The rooms of an event: the catalogue's own, its app's, and the one that holds everything."""
    home = room_of(type, app) if type in CATALOGUE else f"loop/{app}"
    return tuple(dict.fromkeys((home, f"loop/{app}", EVERYTHING)))


def plain_name(type: str) -> str | None:
    """The event name that any Socket.IO client may listen to without knowing the catalogue."""
    if type == "validation.completed":
        return "validation_result"
    if type.startswith("drift.") or type == "validation.budget_exhausted":
        return "drift_alert"
    return "rollout_event" if type.startswith("rollout.") else None


def padded(sequence: int) -> str:
    """A sequence as the CloudEvents extension wants it: a string whose order is the number's."""
    return f"{sequence:020d}"


def _source(type: str) -> str:
    return "/loopai/gateway" if type.startswith("loop.") else "/loopai/controller"


def _envelope(id: str, type: str, source: str, app: str, at: str, data: dict[str, Any]) -> Envelope:
    return {
        "specversion": "1.0",
        "id": id,
        "type": f"io.loopai.{type}.v1",
        "source": source,
        "time": at,
        "subject": app,
        "datacontenttype": "application/json",
        "data": data,
    }
