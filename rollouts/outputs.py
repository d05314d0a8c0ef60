"""Decisions in, the records that tell them out: topic, key, value and CloudEvents headers of each."""

from __future__ import annotations

from typing import Final

from loopai.deployments import Deployment
from loopai.events import ce_type
from loopai.records import Agreement, Event
from programs.artifact import Program
from programs.artifact import encode as encode_program
from streams.broker import Outgoing
from streams.cloudevents import event_headers
from streams.codec import encode
from streams.topics import DEPLOYMENTS, DRIFT_ALERTS, METRICS, PROGRAMS, ROLLOUTS
from streams.worker import Output

SOURCE: Final = "/loopai/controller"


def event(e: Event) -> Output:
    """A fact for people, keyed by app: drift on `loopai.drift-alerts`, the rest on `loopai.rollouts`."""
    topic = DRIFT_ALERTS if e.type.startswith("drift.") else ROLLOUTS
    headers = event_headers(id=e.id, type=ce_type(e.type), source=SOURCE, app=e.app, time=e.at)
    return Output(topic, Outgoing(e.app.encode(), encode(e), headers))


def deployment(d: Deployment, at: str) -> Output:
    """What runs now, keyed by app."""
    headers = event_headers(
        id=f"{d.app}-r{d.revision}", type="io.loopai.deployment.v1", source=SOURCE, app=d.app, time=at
    )
    return Output(DEPLOYMENTS, Outgoing(d.app.encode(), encode(d), headers))


def program(app: str, p: Program) -> Output:
    """A program, keyed by its id."""
    headers = event_headers(id=p.id, type="io.loopai.program.v1", source=SOURCE, app=app)
    return Output(PROGRAMS, Outgoing(p.id.encode(), encode_program(p), headers))


def agreement(a: Agreement, seen: int) -> Output:
    """A version's right answers, keyed by app; `seen` checks of the app make the id."""
    headers = event_headers(
        id=f"{a.app}-v{a.version}-{seen}", type=ce_type("agreement.window"), source=SOURCE, app=a.app, time=a.at
    )
    return Output(METRICS, Outgoing(a.app.encode(), encode(a), headers))
