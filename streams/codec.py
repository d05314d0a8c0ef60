"""Topic values to and from structs: JSON by msgspec, with a bad value told as a `RecordError`."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from loopai.errors import RecordError

T = TypeVar("T")

encode = msgspec.json.Encoder().encode


def decode(value: bytes | None, type: type[T]) -> T:
    """The struct in `value`.

    Raises:
        RecordError: `tombstone` when there is no value, `json` when it is not JSON, `schema` when it has another shape.
    """
    if value is None:
        raise RecordError("The record has no value.", reason="tombstone")
    try:
        return msgspec.json.decode(value, type=type)
    except msgspec.ValidationError as error:
        raise RecordError(str(error), reason="schema") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(str(error), reason="json") from None
