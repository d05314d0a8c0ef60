"""A service's name in, what `services.json` says of it out: finds the running service, or starts it.

Rule: a service that cannot be had is a failure. Only `SERVICES=none`, said by a person, skips its tests, and the end
of the run lists them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "infra" / "services" / "services.py"
STATE = ROOT / ".services" / "services.json"
LEFT_OUT = "SERVICES=none: needs "


def service(name: str) -> dict[str, Any]:
    """The entry of `kafka`, `redis` or `postgres` in `services.json`; started first when it does not run."""
    if os.environ.get("SERVICES") == "none":
        pytest.skip(f"{LEFT_OUT}{name}")
    entry = _entry(name)
    if entry is None:
        command = [sys.executable, str(SCRIPT), "start", "--only", name]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        entry = _entry(name)
        if done.returncode != 0 or entry is None:
            pytest.fail(f"{name} could not be started. SERVICES=none leaves it out.\n{done.stderr}", pytrace=False)
    return entry


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _entry(name: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(STATE.read_text()).get(name)
    except (OSError, ValueError):
        return None
    if entry is None:
        return None
    try:
        socket.create_connection(("127.0.0.1", entry["port"]), timeout=2).close()
    except OSError:
        return None
    return dict(entry)
