"""JSON Lines in, labelled examples out.

A line holds `id` (else its number), `text` or `record`, and `label` or `expected`; other members are ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from loopai.errors import ConfigurationError
from loopai.records import Example

LINE_BYTES = 4_000_000
FILE_BYTES = 2_000_000_000


def read_examples(path: Path | str, *, limit: int = 1_000_000, labelled: bool = True) -> list[Example]:
    """The examples of a file, at most `limit`. `expected` is null where `labelled` is false and a row has none.

    Raises ConfigurationError, naming the line, for a missing or too large file, bytes that are not UTF-8, a line that
    is no JSON object, or one without an input or a label.
    """
    path = Path(path)
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ConfigurationError(
                f"{path} is larger than {FILE_BYTES // 10**9} GB.", next_step="Give a part of it, or a sample."
            )
        with path.open("rb") as file:
            examples: list[Example] = []
            for number, raw in enumerate(file, 1):
                if not raw.strip():
                    continue
                if len(examples) >= limit:
                    break
                examples.append(read_line(raw, number, str(path), labelled=labelled))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror or error}.", next_step="Check the path and its permissions."
        ) from None
    return examples


def read_line(raw: bytes, number: int, name: str, *, labelled: bool = True) -> Example:
    """One line as an example. Raises ConfigurationError with the line's number."""
    if len(raw) > LINE_BYTES:
        raise _bad(name, number, f"is longer than {LINE_BYTES} bytes", "Shorten the record.")
    try:
        row: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(name, number, f"is not JSON in UTF-8 ({error})", "One JSON object a line.") from None
    if not isinstance(row, dict):
        raise _bad(name, number, "is not a JSON object", 'For example {"id": "1", "text": "...", "label": "..."}.')
    if isinstance(row.get("record"), dict):
        value: Any = row["record"]
    elif isinstance(row.get("text"), str):
        value = {"text": row["text"]}
    else:
        raise _bad(name, number, "has neither a `text` (string) nor a `record` (object)", "Add one of the two.")
    expected = row.get("label")
    if expected is None:
        expected = row.get("expected")
    if expected is None and labelled:
        raise _bad(name, number, "has neither a `label` nor an `expected`", "Add the right answer.")
    return Example(id=str(row.get("id", number)), input=value, expected=expected)


def _bad(name: str, number: int, what: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(f"{name}, line {number} {what}.", next_step=next_step)
