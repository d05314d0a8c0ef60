"""A batch in a request body in, its items out: one object, a list or NDJSON, each strictly of one shape.

Inputs keep their bytes: what a caller sent is what the program is given, to the last digit of a number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import jsonschema_rs
import msgspec
from fastapi import Request

from gateway.http.body import NDJSON
from gateway.http.problems import Problem
from loopai.records import Example

MAX_ITEMS: Final = 1_000
_AT: Final = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`", re.DOTALL)
_SHOWN: Final = 20
T = TypeVar("T")


class InputLine(msgspec.Struct, forbid_unknown_fields=True):
    """One input. `key` decides its partition and, in a trial, who answers it; the id by default."""

    input: msgspec.Raw
    id: str | None = None
    key: str | None = None


class ExampleLine(msgspec.Struct, forbid_unknown_fields=True):
    """One labelled input."""

    input: Any
    expected: Any
    id: str | None = None

    def example(self) -> Example:
        """Without an id its content names it."""
        id = self.id or "ex-" + hashlib.sha256(msgspec.json.encode([self.input, self.expected])).hexdigest()[:32]
        return Example(id=id, input=self.input, expected=self.expected)


def read_lines(request: Request, type: type[T], *, limit: int = MAX_ITEMS) -> list[T]:
    """The items of the body. `Problem` 422 with pointers, 413 past the limit."""
    body: bytes = request.scope["state"]["body"]
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == NDJSON:
        lines = [line for line in body.splitlines() if line.strip()]
        items = [_decode(line, type, f"/{number}") for number, line in enumerate(lines)]
    elif body.lstrip()[:1] == b"[":
        items = _decode(body, list[type], "")  # type: ignore[valid-type]
    else:
        items = [_decode(body, type, "")]
    if len(items) > limit:
        raise Problem("too_large", f"{len(items)} items; at most {limit:,} at once.")
    if not items:
        raise Problem("invalid", "There is nothing in the body.", errors=[("", "at least one item is needed")])
    for number, item in enumerate(items):
        _check_texts(item, number)
    return items


def check_examples(examples: Sequence[Example], output_schema: dict[str, Any]) -> None:
    """`Problem` 422 for those whose `expected` no output may be."""
    validator = jsonschema_rs.validator_for(output_schema)
    errors = []
    for number, example in enumerate(examples):
        wrong = next(iter(validator.iter_errors(example.expected)), None)
        if wrong is not None:
            errors.append((f"/{number}/expected", str(wrong.message)))
            if len(errors) == _SHOWN:
                break
    if errors:
        raise Problem("invalid", f"Example {errors[0][0]}: {errors[0][1]}.", errors=errors)


def _decode(raw: bytes, type: Any, at: str) -> Any:
    if not raw.strip():
        raise Problem("invalid", "A body is needed.", errors=[("", "a body is needed")])
    try:
        raw.decode()
        return msgspec.json.decode(raw, type=type)
    except msgspec.ValidationError as error:
        pointer, what = _pointer(str(error), at)
        raise Problem("invalid", f"{pointer or 'The body'}: {what}.", errors=[(pointer, what)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("bad_request", f"{at or 'The body'} is not JSON: {error}.") from None
    except RecursionError:
        raise Problem("bad_request", f"{at or 'The body'} is nested too deeply.") from None


def _pointer(message: str, at: str) -> tuple[str, str]:
    """`Expected str - at $[0].id` as `/0/id` and `Expected str`."""
    match = _AT.fullmatch(message)
    if match is None:
        return at, message
    parts = re.findall(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)", match["path"])
    return at + "".join("/" + (index or name) for index, name in parts), match["what"]


def _check_texts(item: Any, number: int) -> None:
    for name in ("id", "key"):
        text = getattr(item, name, None)
        if text is not None and not 0 < len(text.encode()) <= 256:
            what = "1 to 256 bytes are needed"
            raise Problem("invalid", f"/{number}/{name}: {what}.", errors=[(f"/{number}/{name}", what)])
