"""The rules of the house, held by tests: small files, docstrings, layers, names that nobody else claims."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("loopai", "streams", "programs", "executors", "validators", "rollouts", "gateway")
CODE = sorted(
    path
    for folder in (*PACKAGES, "tests", "benchmarks", "infra")
    for path in (ROOT / folder).rglob("*.py")
    if not {"node_modules", "__pycache__", "versions"} & set(path.parts)
)
PAGE = sorted(p for kind in ("*.ts", "*.tsx", "*.css") for p in (ROOT / "dashboard" / "src").rglob(kind))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*CODE, *PAGE], ids=named)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", CODE, ids=named)
def test_a_module_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        docstring = ast.get_docstring(ast.parse(text))
        assert docstring, f"{named(path)} has no module docstring"
        assert docstring.splitlines()[0].rstrip().endswith((".", ":", "?", "!", "`"))


def test_the_layers_hold() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_other_distribution_claims_our_names() -> None:
    claimed = {
        (distribution.metadata["Name"], name)
        for distribution in distributions()
        if (distribution.metadata["Name"] or "").lower() != "loopai"
        for name in PACKAGES
        if any(file.parts and file.parts[0] == name for file in distribution.files or ())
    }
    assert not claimed


def test_no_file_names_a_machine_path_or_a_registry() -> None:
    """What is committed must work anywhere: the words are put together here so that this file does not hold them."""
    forbidden = ["/wo" + "rk/", "py" + "pi.org", "registry.np" + "mjs", "pythonho" + "sted", "proxy.gol" + "ang"]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    found = []
    for name in filter(None, tracked):
        path = ROOT / name.decode()
        if path.is_file():
            text = path.read_bytes()
            found += [(name.decode(), word) for word in forbidden if word.encode() in text]
    assert not found


def test_every_lock_is_hashed() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [i for i, line in enumerate(lines) if "==" in line and not line.startswith(" ")]
    assert len(pins) > 50
    assert all("--hash=sha256:" in lines[i + 1] for i in pins)
    assert '"resolved"' not in (ROOT / "dashboard" / "package-lock.json").read_text()
