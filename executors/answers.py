"""Answers of the jail to bytes on the wire: results, samples and dead letters, without a detour through objects.

A struct and an encoder call a record would cost 2 µs; joining ready pieces costs 0.4 µs. The output is the worker's
own JSON, which the parent has parsed (and so checked) once as it came out of the jail.
"""

from __future__ import annotations

import msgspec

from executors.fleet import Lane
from executors.jail.jail import Answer
from loopai.clock import iso
from loopai.records import Sample
from streams.broker import Outgoing
from streams.cloudevents import event_headers

encode = msgspec.json.Encoder().encode

RESULT_TYPE = "io.loopai.execution.completed.v1"
SAMPLE_TYPE = "io.loopai.execution.sampled.v1"
SOURCE = "loopai/executor"


class ResultWriter:
    """Writes the answers of one lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        app, variant = lane.app, lane.variant
        self._head = (
            f',"app":"{app}","version":{lane.version},"variant":"{variant}","revision":{lane.revision},"outcome":"'
        ).encode()
        fixed = event_headers(id="", type=RESULT_TYPE, source=SOURCE, app=app)
        self._headers = [h for h in fixed if h[0] != "ce_id"]

    def result(self, record_id: bytes, key: bytes | None, answer: Answer, latency: bytes) -> Outgoing:
        """One result: an `ExecutionResult` as JSON. `latency` is microseconds as text."""
        parts = [b'{"id":', encode(record_id.decode("utf-8", "replace")), self._head, answer.outcome.encode(), b'"']
        if answer.outcome == "ok":
            parts += (b',"output":', bytes(answer.output))
        if answer.confidence is not None:
            parts += (b',"confidence":', b"%.6g" % answer.confidence)
        if answer.reason is not None:
            parts += (b',"reason":', encode(answer.reason))
        parts += (b',"latency_us":', latency, b"}")
        return Outgoing(key, b"".join(parts), [("ce_id", record_id), *self._headers])

    def sample(self, record_id: bytes, value: bytes, answer: Answer, probability: float, now: float) -> Outgoing:
        """One sample, keyed by app so that an app's checks stay in order."""
        lane = self._lane
        body = Sample(
            id=record_id.decode("utf-8", "replace"),
            app=lane.app,
            version=lane.version,
            program=lane.program,
            variant=lane.variant,
            outcome=answer.outcome,
            input=msgspec.Raw(value),
            output=answer.output if answer.outcome == "ok" else None,
            confidence=answer.confidence,
            inclusion_probability=probability,
            revision=lane.revision,
            sampled_at=iso(now),
        )
        headers = event_headers(id=body.id, type=SAMPLE_TYPE, source=SOURCE, app=lane.app)
        return Outgoing(lane.app.encode(), encode(body), headers)


def is_bad_input(answer: Answer) -> bool:
    """Whether the record itself is to blame, and not the program: it is set aside rather than answered."""
    return answer.outcome == "rejected" and (answer.reason or "").startswith(("JSON", "schema"))
