"""Fields of a record in, numbers that a decision tree compares out."""

from __future__ import annotations

from typing import Any


def number(record: Any, name: str) -> float:
    """A field as a number: numbers, booleans and texts that read as one; -1e300 for anything else, so it goes left."""
    value = record.get(name) if isinstance(record, dict) else None
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str) and len(value) < 40:
        try:
            return float(value)
        except ValueError:
            return -1e300
    return -1e300


def text(record: Any, name: str) -> str:
    """A field as a text, lower case without outer spaces; empty when absent."""
    value = record.get(name) if isinstance(record, dict) else None
    return "" if value is None else str(value).strip().lower()
