"""The corpus against the wall: nothing outside changes, nothing is read, each attack ends soon and costs one record."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from executors.jail.jail import Jail
from loopai.errors import ProgramError
from programs import gate
from tests.executors.jail.attacks import ATTACKS, source
from tests.executors.jail.helpers import LIMITS, outputs, program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the full jail is Linux")

# A busy machine gets this much over the limit and the 200 ms that the design allows.
GENEROUS_SECONDS = 2.0


class Canaries:
    """What an escape would touch, and whether it did."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(16)
        # Open to everyone: only the jail stands before it, not the uid.
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o755)
        self.secret = folder / "secret"
        self.secret.write_text(self.token)
        self.secret.chmod(0o666)
        self.drop = folder / "drop"
        self.drop.mkdir()
        self.drop.chmod(0o777)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = self.tcp.getsockname()[1]
        self.udp.bind(("127.0.0.1", self.port))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "unix"))
        (folder / "unix").chmod(0o777)
        self.unix.listen()
        for listening in (self.tcp, self.udp, self.unix):
            listening.setblocking(False)
        nobody = {"user": 65534} if os.geteuid() == 0 else {}
        # With the uid of the workers, so that the uid does not protect it either.
        self.victim = subprocess.Popen(["/bin/sleep", "600"], **nobody)  # type: ignore[call-overload]
        self.names = {
            "SECRET": str(self.secret),
            "DROP": str(self.drop),
            "PORT": self.port,
            "UNIX": str(folder / "unix"),
            "VICTIM": self.victim.pid,
            "PARENT": os.getpid(),
        }

    def check(self) -> None:
        """Raise AssertionError for the first effect."""
        assert self.secret.read_text() == self.token
        assert self.secret.stat().st_mode & 0o777 == 0o666
        assert list(self.drop.iterdir()) == []
        assert self.victim.poll() is None
        assert os.getpriority(os.PRIO_PROCESS, self.victim.pid) == os.getpriority(os.PRIO_PROCESS, 0)
        for listening in (self.tcp, self.unix):
            with pytest.raises(BlockingIOError):
                listening.accept()
        with pytest.raises(BlockingIOError):
            self.udp.recv(1)

    def close(self) -> None:
        self.victim.kill()
        self.victim.wait()
        for listening in (self.tcp, self.udp, self.unix):
            listening.close()


def descendants(of: int) -> dict[int, str]:
    """Which processes live in the session of a zygote, and how; the dead that wait for burial aside."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[3] == str(of) and fields[0] != "Z":
                    found[int(entry.name)] = f"{fields[0]} parent {fields[1]} in {(entry / 'wchan').read_text()}"
            except OSError:
                continue
    return found


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Canaries]:
    os.environ["LOOPAI_CANARY"] = secrets.token_hex(16)
    canaries = Canaries(tmp_path_factory.mktemp("canaries"))
    yield canaries
    canaries.close()
    del os.environ["LOOPAI_CANARY"]


async def attack(jail: Jail, canaries: Canaries, name: str, *, gated: bool) -> tuple[str, float]:
    """How it went (`refused` or the outcome of its record) and how many seconds the three records took."""
    try:
        cell = await jail.open(program(source(ATTACKS[name], canaries.names)), gate=gated)
    except ProgramError:
        return "refused", 0.0
    began = time.perf_counter()
    answers = await cell.run([b"0", b"1", b"0"])
    seconds = time.perf_counter() - began
    again = await cell.run([b"0"])
    for answer in answers:
        said = bytes(answer.output).decode() + (answer.reason or "")
        assert canaries.token not in said
        assert os.environ["LOOPAI_CANARY"] not in said
    # A program that gets at its own worker may spoil its own answers, never another program's.
    if not name.startswith(("worker: ", "imports: the jail's own")) and name != "tree walks: code replaced":
        assert outputs([answers[0], answers[2], *again]) == [b'"fine"'] * 3
    await cell.close()
    return answers[1].outcome, seconds


@pytest.mark.parametrize("name", sorted(ATTACKS))
async def test_an_attack_has_no_effect_and_costs_one_record(jail: Jail, canaries: Canaries, name: str) -> None:
    neighbour = await jail.open(program("def run(r):\n    return 'neighbour'"))
    limit = (LIMITS.soft_ms + LIMITS.hard_ms) / 1000
    for gated in (True, False):
        _, seconds = await attack(jail, canaries, name, gated=gated)
        canaries.check()
        assert seconds < limit + 0.2 + GENEROUS_SECONDS
    assert outputs(await neighbour.run([b"1"])) == [b'"neighbour"']
    await neighbour.close()
    zygote = jail._host._zygote
    assert zygote is not None
    left: dict[int, str] = {}
    for _ in range(1000):
        left = descendants(zygote.pid)
        if jail._filling is None and len(left) <= 2:
            break
        await asyncio.sleep(0.01)
    assert len(left) <= 2, f"more than the zygote {zygote.pid} and one spare: {left}"


def test_the_corpus_is_large_and_the_gate_refuses_the_well_known(canaries: Canaries) -> None:
    assert len(ATTACKS) >= 60
    refused = 0
    for body in ATTACKS.values():
        try:
            gate.check(source(body, canaries.names))
        except gate.Refused:
            refused += 1
    assert refused >= 90
