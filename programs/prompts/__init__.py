"""Prompt templates as files: a name and values in, chat messages out; foreign text goes in only as quoted data.

A template has a system part and, after the line `<!-- user -->`, a user part; `{{name}}` is filled in one pass, so
a value that looks like a placeholder stays text. Whatever comes from a stream is put in by `quote`: JSON with `<`, `>`
and `&` escaped, so that it cannot close the `<data>` block it stands in, and cut to a length.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from programs.providers.chat import ChatMessage, system, user

_FOLDER: Final = Path(__file__).parent
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")
_DIVIDER: Final = "<!-- user -->"
_ESCAPES: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&`\x85\u2028\u2029"}
"""What could close a block, open a fence, or be read as the end of a line; JSON escapes the other line ends itself."""

CUT: Final = " [cut]"


@cache
def _template(name: str) -> tuple[str, str]:
    first, divider, second = (_FOLDER / f"{name}.md").read_text(encoding="utf-8").partition(_DIVIDER)
    if not divider:
        raise ValueError(f"The prompt {name} has no user part.")
    return first.strip(), second.strip()


def render(name: str, **values: str) -> tuple[ChatMessage, ChatMessage]:
    """The system and user messages of a template. A placeholder without a value is a bug and raises `KeyError`."""
    first, second = _template(name)
    return system(_fill(first, values)), user(_fill(second, values))


def _fill(text: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda match: values[match[1]], text)


def quote(value: Any, limit: int = 1_000) -> str:
    """`value` as one line of JSON that is data wherever it stands, its strings cut to `limit` characters.

    A value that is still longer than four limits is given as a cut string of its own JSON.
    """
    text = msgspec.json.encode(_clip(value, limit), order="sorted").decode()
    if len(text) > 4 * limit:
        text = msgspec.json.encode(text[: 4 * limit] + CUT).decode()
    return text.translate(_ESCAPES)


def embed(text: str) -> str:
    """Lines that a model wrote itself, such as its own source: kept readable, but unable to close the block."""
    return text.replace("</data", "<\\/data")


def is_cut(value: Any, limit: int) -> bool:
    """Whether `quote` would leave something of `value` out."""
    return len(msgspec.json.encode(value).decode()) > 4 * limit or _clip(value, limit) != value


def _clip(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else value[:limit] + CUT
    if isinstance(value, list):
        return [_clip(item, limit) for item in value]
    if isinstance(value, dict):
        return {key if len(key) <= limit else key[:limit]: _clip(item, limit) for key, item in value.items()}
    return value
