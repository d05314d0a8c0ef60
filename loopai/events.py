"""The catalogue of events: every type that may appear on a topic, in a room or in the timeline.

Full CloudEvents type: `io.loopai.<name>.v1`. Delivery classes: D durable (stored before it is shown), B buffered
(ten minutes), L latest-only (coalesced, never filled in).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Delivery = Literal["D", "B", "L"]


class EventType(NamedTuple):
    """`room` is a template: `loop/{app}`, `alerts`, `rollout/{app}`, `system`."""

    name: str
    delivery: Delivery
    room: str


CATALOGUE: Final[dict[str, EventType]] = {
    e.name: e
    for e in (
        EventType("loop.created", "D", "loop/{app}"),
        EventType("loop.updated", "D", "loop/{app}"),
        EventType("metrics.window", "L", "loop/{app}"),
        EventType("agreement.window", "L", "loop/{app}"),
        EventType("validation.completed", "B", "loop/{app}"),
        EventType("validation.budget_exhausted", "D", "alerts"),
        EventType("drift.detected", "D", "alerts"),
        EventType("drift.cleared", "D", "alerts"),
        EventType("program.generating", "D", "loop/{app}"),
        EventType("program.generated", "D", "loop/{app}"),
        EventType("program.rejected", "D", "loop/{app}"),
        EventType("program.activated", "D", "loop/{app}"),
        EventType("rollout.started", "D", "rollout/{app}"),
        EventType("rollout.step_changed", "D", "rollout/{app}"),
        EventType("rollout.paused", "D", "rollout/{app}"),
        EventType("rollout.resumed", "D", "rollout/{app}"),
        EventType("rollout.completed", "D", "rollout/{app}"),
        EventType("rollout.rolled_back", "D", "rollout/{app}"),
        EventType("command.accepted", "D", "audit"),
        EventType("command.refused", "D", "audit"),
    )
}


def ce_type(name: str) -> str:
    """The CloudEvents type of a catalogued name, e.g. `io.loopai.drift.detected.v1`."""
    return f"io.loopai.{CATALOGUE[name].name}.v1"


def room_of(name: str, app: str) -> str:
    """The room that an event of this type about `app` goes to."""
    return CATALOGUE[name].room.format(app=app)
