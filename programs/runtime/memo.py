"""A pure function in, the same function with a bounded memory out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MEMORY = 20_000
"""Keys remembered at most; at the limit the memory is emptied."""


class Memo(dict[Any, Any]):
    """A missing key is worked out and kept. Looking up a known one costs no Python call."""

    def __init__(self, function: Callable[[Any], Any], limit: int = MEMORY) -> None:
        super().__init__()
        self._function = function
        self._limit = limit

    def __missing__(self, key: Any) -> Any:
        if len(self) >= self._limit:
            self.clear()
        value = self[key] = self._function(key)
        return value
