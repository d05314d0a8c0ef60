"""The wheel and the sdist: what people install carries the broker and the page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.services import ROOT

BROKER = "streams/_bin/loopai-broker"
HAS_PAGE = (ROOT / "dashboard" / "package.json").exists()


def build(target: str, folder: Path, source: Path = ROOT) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tmp_path_factory.mktemp("sdist"))


def test_the_wheel_carries_a_broker_that_runs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = archive.getinfo(BROKER)
        assert info.external_attr >> 16 & 0o111, "the broker is not executable"
        binary = Path(archive.extract(info, tmp_path))
    binary.chmod(0o755)
    # Its standard input is empty, so it starts, says that it is ready, and leaves.
    done = subprocess.run([binary], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    assert done.returncode == 0, done.stderr
    assert '"bootstrap":"127.0.0.1:' in done.stdout


def test_the_wheel_is_for_one_platform_and_any_python_3(wheel: Path) -> None:
    assert wheel.name.startswith("loopai-")
    tag = wheel.stem.split("-", 2)[2]
    assert tag.startswith("py3-none-")
    assert tag != "py3-none-any"
    assert "-linux_" not in tag, "pip takes such a wheel from nowhere but a local file"


def test_the_wheel_carries_every_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"loopai", "streams", "programs", "executors", "validators", "rollouts", "gateway"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".stamp", ".lock", ".new"))]


@pytest.mark.skipif(not HAS_PAGE, reason="there is no dashboard/package.json to build a page from")
def test_the_wheel_carries_the_page_as_it_was_built(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if name.startswith("gateway/static/")}
    static = ROOT / "gateway" / "static"
    built = {f"gateway/static/{path.relative_to(static)}" for path in static.rglob("*") if path.is_file()}
    assert "gateway/static/index.html" in carried
    assert len(carried) >= 3
    assert carried == built


def test_the_sdist_builds_without_node(sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("loopai-*")
    assert not (source / BROKER).exists(), "a compiled broker is of one platform, and the sdist is for all"
    assert (source / "infra" / "broker" / "main.go").exists()
    assert (source / "gateway" / "static" / "index.html").exists() == HAS_PAGE
    assert not list(source.rglob("node_modules"))
    # With its sources gone the page cannot be built anew, with Node or without.
    shutil.rmtree(source / "dashboard", ignore_errors=True)
    built = build("wheel", tmp_path / "out", source)
    with zipfile.ZipFile(built) as archive:
        assert BROKER in archive.namelist()
        assert ("gateway/static/index.html" in archive.namelist()) == HAS_PAGE


def test_nothing_is_built_twice() -> None:
    builder = [sys.executable, str(ROOT / "hatch_build.py")]
    assert subprocess.run(builder, cwd=ROOT).returncode == 0
    before = os.stat(ROOT / BROKER).st_ino
    done = subprocess.run(builder, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0
    assert done.stderr == ""
    assert os.stat(ROOT / BROKER).st_ino == before


def test_an_unknown_part_is_a_usage_error() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "hatch_build.py"), "engine"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "engine" in done.stderr
