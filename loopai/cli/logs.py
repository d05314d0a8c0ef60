"""Log lines: one JSON object each, or text for a terminal. Secrets never reach them: settings hold them masked."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import msgspec

from loopai.clock import iso


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "role"}` and the exception when there is one."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "role": self._role,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(role: str, level: str, form: Literal["json", "text"]) -> None:
    """Every log line of this process to stderr, in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(role) if form == "json" else logging.Formatter(f"%(asctime)s %(levelname)-7s {role}: %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # The client tells of every reconnection; our own loops tell of those that matter.
    logging.getLogger("aiokafka").setLevel("ERROR")
    for noisy in ("httpx", "httpx2", "httpcore2", "openai", "uvicorn.access", "alembic", "engineio", "socketio"):
        logging.getLogger(noisy).setLevel("WARNING")
