"""CloudEvents 1.0 in Kafka's binary mode: attributes to and from headers; the value stays the bare data.

A producer that sends no CloudEvents headers is welcome too: a record then takes its id from where it lies, so the id
is the same on every reading.
"""

from __future__ import annotations

from typing import Final

from loopai.records import APP_HEADER
from streams.broker import Headers, Message

SPEC_VERSION: Final = b"1.0"
TYPE_HEADER: Final = "ce_type"
JSON: Final = b"application/json"

MAX_ID_BYTES: Final = 256
"""A longer id is not an id; such a record is named by where it lies."""


def event_headers(*, id: str, type: str, source: str, app: str, time: str | None = None) -> list[tuple[str, bytes]]:
    """Headers of one event about `app`. `time` is RFC 3339; Kafka's own timestamp serves when it is absent."""
    headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", id.encode()),
        (TYPE_HEADER, type.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", app.encode()),
        (APP_HEADER, app.encode()),
        ("content-type", JSON),
    ]
    if time is not None:
        headers.append(("ce_time", time.encode()))
    return headers


def header(headers: Headers, name: str) -> bytes | None:
    """The last value of a header, as Kafka's own clients read it; None when it is absent."""
    for key, value in reversed(headers):
        if key == name:
            return value
    return None


def record_id(message: Message) -> str:
    """The id of a record: its `ce_id`, else `topic-partition-offset`."""
    raw = header(message.headers, "ce_id")
    if raw and len(raw) <= MAX_ID_BYTES:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    return f"{message.topic}-{message.partition}-{message.offset}"


def event_type(headers: Headers) -> str:
    """The catalogued name inside `ce_type`: `io.loopai.drift.detected.v1` gives `drift.detected`; else ''."""
    raw = header(headers, TYPE_HEADER)
    if raw is None:
        return ""
    name = raw.decode("utf-8", "replace")
    return name.removeprefix("io.loopai.").rpartition(".v")[0]
