"""Starting, ending, and what happens when one of the processes is gone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from executors.jail import lockdown
from executors.jail.jail import Jail, supported
from loopai.errors import ConfigurationError, ProgramError
from tests.executors.jail.helpers import LIMITS, outcomes, outputs, program

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")

ECHO = program("def run(record):\n    return record")


def zygote_of(jail: Jail) -> int:
    process = jail._host._zygote
    assert process is not None
    return process.pid


def session(zygote: int) -> list[int]:
    """The living processes of a zygote's session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[3] == str(zygote) and fields[0] != "Z":
                found.append(int(entry.name))
    return found


async def until_gone(zygote: int) -> None:
    for _ in range(500):
        if not session(zygote):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still there: {session(zygote)}")


@linux
async def test_the_layers_in_force_are_said_and_are_true() -> None:
    async with Jail(LIMITS) as jail:
        assert jail.layers["rlimits"] == jail.layers["no_new_privs"] == jail.layers["seccomp"] == "on"
        assert jail.layers["uid"] == ("on" if os.geteuid() == 0 else "off: not root")
        abi = lockdown.landlock_abi()
        assert jail.layers["landlock"] == (f"abi {abi}" if abi else "absent")
        cell = await jail.open(ECHO)
        assert cell._worker is not None
        status = Path(f"/proc/{cell._worker.pid}/status").read_text()
        assert "NoNewPrivs:\t1\n" in status
        assert "Seccomp:\t2\n" in status
        assert "CapEff:\t0000000000000000\n" in status
        assert "CapPrm:\t0000000000000000\n" in status
        if os.geteuid() == 0:
            assert "Uid:\t65534\t65534\t65534\t65534\n" in status
            assert "Groups:\t \n" in status
            assert os.listdir(f"/proc/{cell._worker.pid}/fd") == ["3"]
            limits = Path(f"/proc/{cell._worker.pid}/limits").read_text()
            for name in ("file size", "core file size", "processes", "open files", "locked memory"):
                assert f"Max {name}".ljust(25) in limits
                line = next(line for line in limits.splitlines() if line.startswith(f"Max {name}".ljust(25)))
                assert line[25:].split()[:2] == ["0", "0"]


@linux
async def test_neither_zygote_nor_worker_has_our_environment_or_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPAI_SECRET", "do not tell")
    async with Jail(LIMITS) as jail:
        for pid in session(zygote_of(jail)):
            assert b"LOOPAI_SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()
            assert os.readlink(f"/proc/{pid}/cwd") == "/"
        cell = await jail.open(
            program("import os\ndef run(r):\n    return [sorted(os.environ), os.getcwd()]"), gate=False
        )
        assert outcomes(await cell.run([b"1"])) == ["error"]


@linux
async def test_closing_leaves_no_process() -> None:
    async with Jail(LIMITS, spares=3) as jail:
        zygote = zygote_of(jail)
        cells = [await jail.open(ECHO) for _ in range(3)]
        assert outputs(await cells[0].run([b"1"])) == [b"1"]
        assert len(session(zygote)) >= 4
    await until_gone(zygote)


@linux
@pytest.mark.parametrize("loops", [False, True])
async def test_when_the_parent_dies_zygote_and_workers_die(loops: bool) -> None:
    source = f"""
        import asyncio, sys
        sys.path.insert(0, {str(Path.cwd())!r})
        from executors.jail.jail import Jail
        from executors.jail.limits import Limits
        from programs.artifact import Program
        async def main():
            jail = Jail(Limits(soft_ms=50_000, hard_ms=60_000))
            await jail.start()
            source = "def run(r):\\n    while r: pass"
            cell = await jail.open(Program.make(kind="classification", strategy="rule", source=source))
            call = asyncio.create_task(cell.run([b"{int(loops)}"]))
            await asyncio.sleep(0.05)
            print(jail._host._zygote.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    zygote = int(await asyncio.to_thread(parent.stdout.readline))
    assert len(session(zygote)) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until_gone(zygote)


@linux
async def test_a_killed_zygote_is_started_again_and_the_program_with_it() -> None:
    async with Jail(LIMITS) as jail:
        cell = await jail.open(ECHO)
        before = zygote_of(jail)
        call = asyncio.create_task(cell.run([b"1"] * 1000))
        os.kill(before, signal.SIGKILL)
        answers = await call
        assert outcomes(answers) == ["ok"] * 1000, "no record is blamed for what it did not do"
        await until_gone(before)
        assert outputs(await cell.run([b"2"])) == [b"2"]
        assert zygote_of(jail) != before


@linux
async def test_a_worker_killed_from_outside_between_calls_is_replaced() -> None:
    async with Jail(LIMITS) as jail:
        cell = await jail.open(ECHO)
        assert cell._worker is not None
        os.kill(cell._worker.pid, signal.SIGKILL)
        await asyncio.sleep(0.05)
        assert outputs(await cell.run([b"1"])) == [b"1"]
        assert sum(jail.kills.values()) == 1


@linux
async def test_a_dead_spare_is_not_handed_out() -> None:
    async with Jail(LIMITS, spares=2) as jail:
        for spare in list(jail._spares):
            os.kill(spare.pid, signal.SIGKILL)
        cell = await jail.open(ECHO)
        assert outputs(await cell.run([b"1"])) == [b"1"]


@linux
async def test_a_signal_to_the_group_does_not_end_the_workers() -> None:
    async with Jail(LIMITS) as jail:
        cell = await jail.open(ECHO)
        for pid in session(zygote_of(jail)):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        await asyncio.sleep(0.05)
        assert outputs(await cell.run([b"1"])) == [b"1"]
        assert sum(jail.kills.values()) == 0


@linux
async def test_descriptors_and_memory_do_not_leak_over_many_kills() -> None:
    async with Jail(LIMITS) as jail:
        cell = await jail.open(program("import os\ndef run(r):\n    if r: os._exit(1)\n    return r"), gate=False)
        for _ in range(5):
            await cell.run([b"1"])
        await asyncio.sleep(0.1)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            assert outcomes(await cell.run([b"0", b"1", b"0"])) == ["ok", "killed", "ok"]
        await asyncio.sleep(0.1)
        assert len(os.listdir("/proc/self/fd")) <= before + 3
        assert len(session(zygote_of(jail))) <= 4


@linux
async def test_cells_opened_and_closed_at_any_moment_leave_nothing_behind() -> None:
    sources = ["def run(r):\n    return r", "import os", "import os\ndef run(r): os._exit(1)"]

    async def use(jail: Jail, chance: random.Random) -> None:
        try:
            cell = await jail.open(program(chance.choice(sources)), gate=chance.random() < 0.5)
        except ProgramError:
            return
        call = asyncio.create_task(cell.run([b"1"]))
        await asyncio.sleep(chance.random() * 0.01)
        await cell.close()
        await asyncio.gather(call, return_exceptions=True)

    async with Jail(LIMITS) as jail:
        chance = random.Random(7)
        for _ in range(5):
            await asyncio.gather(*(use(jail, chance) for _ in range(10)))
        cell = await jail.open(ECHO)
        assert outputs(await cell.run([b"1"])) == [b"1"]
        left: list[int] = []
        for _ in range(1000):
            left = session(zygote_of(jail))
            if len(left) <= 3:
                break
            await asyncio.sleep(0.01)
        assert len(left) <= 3, "the zygote, the cell, a spare"


async def test_a_program_that_never_ends_loading_is_stopped() -> None:
    async with Jail(LIMITS.__class__(load_ms=300)) as jail:
        began = time.perf_counter()
        with pytest.raises(ProgramError, match="did not load within 300 ms"):
            await jail.open(
                program(
                    "def run(r): pass\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass"
                )
            )
        assert time.perf_counter() - began < 3


async def test_below_the_minimum_it_refuses_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    can = supported() | {"seccomp": "absent: no table for sparc"}
    monkeypatch.setattr("executors.jail.jail.supported", lambda: can)
    with pytest.raises(ConfigurationError, match="or accept less with") as raised:
        await Jail(LIMITS).start()
    assert "no table for sparc" in raised.value.message


async def test_a_jail_that_cannot_start_says_why() -> None:
    with pytest.raises(ConfigurationError, match="No module named 'no_such_module'"):
        await Jail(LIMITS, preload=["no_such_module"]).start()


async def test_the_process_mode_has_the_same_outcomes() -> None:
    source = """
import os, time
def run(record):
    if record == 1:
        while True: pass
    if record == 2: os._exit(1)
    if record == 3: return len("x" * (1 << 40))
    if record == 4: return open("/etc/passwd").read()
    if record == 5: time.sleep(60)
    if record == 6: return os.fork()
    return record
"""
    async with Jail(LIMITS, mode="process") as jail:
        assert jail.layers["seccomp"] == "off: executor.jail=process"
        assert jail.layers["rlimits"] == "on"
        cell = await jail.open(program(source), gate=False)
        answers = await cell.run([b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"])
        assert outcomes(answers) == ["ok", "timeout", "killed", "killed", "error", "killed", "error", "ok"]
        assert "sleeps" in (answers[5].reason or "")
