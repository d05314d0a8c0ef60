"""A poison record costs itself: neighbours, other callers and other programs are unharmed."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executors.jail.jail import Jail
from executors.jail.limits import Limits
from loopai.errors import ConflictError
from tests.executors.jail.helpers import LIMITS, Open, outcomes, outputs, program

POISON = """
import ctypes, os, signal
def run(record):
    if record == "loop":
        while True: pass
    if record == "exit": os._exit(7)
    if record == "segfault": ctypes.string_at(0)
    if record == "memory": return len("x" * (1 << 40))
    if record == "raise": raise ValueError("no")
    if record == "none": return None
    if record == "schema": return {"a": float("nan")}
    if record == "flood": print("x" * 10_000_000)
    if record == "large": return "x" * 1_000_000
    return [record]
"""
EXPECTED = {
    "loop": "timeout",
    "exit": "killed",
    "segfault": "killed",
    "memory": "killed",
    "raise": "error",
    "none": "abstained",
    "schema": "error",
    "flood": "ok",
    "large": "error",
}


@pytest.mark.parametrize("poison", sorted(EXPECTED))
async def test_the_neighbours_of_a_poison_record_are_unharmed(opened: Open, poison: str) -> None:
    cell = await opened(POISON, gate=False)
    values = [b"%d" % n for n in range(1000)]
    values[500] = msgspec.json.encode(poison)
    answers = await cell.run(values)
    assert answers[500].outcome == EXPECTED[poison]
    assert outputs(answers[:500] + answers[501:]) == [b"[%d]" % n for n in range(1000) if n != 500]


async def test_several_poison_records_in_one_call_are_all_named(jail: Jail, opened: Open) -> None:
    cell = await opened(POISON, gate=False)
    values = [b'"exit"' if n in (0, 1, 127, 128, 999) else b"%d" % n for n in range(1000)]
    answers = await cell.run(values)
    assert [n for n, outcome in enumerate(outcomes(answers)) if outcome == "killed"] == [0, 1, 127, 128, 999]
    assert outcomes(answers).count("ok") == 995
    assert answers[0].reason == "killed: the process ended with status 7"
    assert jail.kills["crash"] == 5


async def test_a_worker_that_breaks_the_protocol_is_killed_and_costs_one_record(jail: Jail, opened: Open) -> None:
    source = """
import os
def run(record):
    if record == 1: os.write(3, b"\\x02\\0\\0\\0\\x06{}")
    if record == 2: os.write(3, b"\\xff\\xff\\xff\\xff\\x06")
    if record == 3: os.write(3, b"\\x00\\0\\0\\0\\x63")
    if record == 4:
        body = b'[["ok","\\xff"]]'
        os.write(3, len(body).to_bytes(4, "little") + b"\\x06" + body)
    return record
"""
    cell = await opened(source, gate=False)
    for bad in (b"1", b"2", b"3", b"4"):
        answers = await cell.run([b"0"] * 200 + [bad] + [b"0"] * 200)
        assert outcomes(answers).count("killed") == 1
        assert outcomes(answers).count("ok") == 400
        assert answers[200].outcome == "killed"
    assert jail.kills["policy"] == 8, "once to notice, once to name"


async def test_a_slow_program_does_not_starve_another(opened: Open) -> None:
    slow = await opened("def run(record):\n    for _ in range(300_000): pass\n    return 'slow'")
    quick = await opened("def run(record):\n    return 'quick'")
    long = asyncio.create_task(slow.run([b"0"] * 100))
    times = []
    for _ in range(100):
        began = time.perf_counter()
        assert outputs(await quick.run([b"0"])) == [b'"quick"']
        times.append(time.perf_counter() - began)
    assert sorted(times)[50] < 0.05
    assert outcomes(await long) == ["ok"] * 100


async def test_a_single_record_does_not_wait_for_a_large_call_of_the_same_program(opened: Open) -> None:
    cell = await opened("def run(record):\n    for _ in range(record): pass\n    return record")
    large = asyncio.create_task(cell.run([b"1000"] * 20_000))
    await asyncio.sleep(0.01)
    assert outputs(await cell.run([b"1"])) == [b"1"]
    assert not large.done()
    assert outcomes(await large) == ["ok"] * 20_000


async def test_concurrent_calls_get_their_own_answers(opened: Open) -> None:
    cell = await opened(POISON, gate=False)

    async def call(base: int) -> None:
        values = [b"%d" % n for n in range(base, base + 300)]
        values[base % 300] = b'"exit"'
        answers = await cell.run(values)
        assert answers[base % 300].outcome == "killed"
        assert sum(a.outcome == "ok" for a in answers) == 299
        assert all(bytes(a.output) in (b"[%d]" % (base + n), b"null") for n, a in enumerate(answers))

    await asyncio.gather(*(call(n * 1000) for n in range(10)))


async def test_a_cancelled_call_leaves_the_others_alone(opened: Open) -> None:
    cell = await opened("def run(record):\n    for _ in range(100_000): pass\n    return record")
    first = asyncio.create_task(cell.run([b"1"] * 50))
    second = asyncio.create_task(cell.run([b"2"] * 50))
    third = asyncio.create_task(cell.run([b"3"] * 50))
    await asyncio.sleep(0.01)
    first.cancel()
    second.cancel()
    assert outputs(await third) == [b"3"] * 50
    assert outputs(await cell.run([b"4"])) == [b"4"]


async def test_closing_a_cell_ends_its_calls(opened: Open) -> None:
    cell = await opened("def run(record):\n    while True: pass")
    call = asyncio.create_task(cell.run([b"1"] * 5))
    await asyncio.sleep(0.02)
    await cell.close()
    with pytest.raises(ConflictError):
        await call


async def test_records_larger_than_any_buffer_pass(opened: Open) -> None:
    cell = await opened("def run(record):\n    return record[:200_000]")
    value = b'"' + b"x" * (2 << 20) + b'"'
    answers = await cell.run([value] * 40)
    assert {len(bytes(a.output)) for a in answers} == {200_002}


async def test_the_breaker_opens_refuses_and_lets_a_trial_through() -> None:
    limits = Limits(soft_ms=50, hard_ms=150, max_kills=3, breaker_seconds=0.3)
    async with Jail(limits) as jail:
        cell = await jail.open(program(POISON), gate=False)
        answers = await cell.run([b'"exit"'] * 10)
        assert outcomes(answers) == ["killed"] * 3 + ["rejected"] * 7
        assert (answers[9].reason or "").startswith("breaker: ")
        assert outcomes(await cell.run([b"1"])) == ["rejected"]
        await asyncio.sleep(0.35)
        assert outcomes(await cell.run([b'"exit"', b"1"])) == ["killed", "rejected"]
        await asyncio.sleep(0.65)
        assert outcomes(await cell.run([b"1"] * 100)) == ["ok"] * 100
        assert outcomes(await cell.run([b'"exit"', b"1"])) == ["killed", "ok"]


async def test_a_rare_poison_record_does_not_open_the_breaker() -> None:
    async with Jail(Limits(max_kills=3)) as jail:
        cell = await jail.open(program(POISON), gate=False)
        for _ in range(10):
            answers = await cell.run([b'"exit"'] + [b"1"] * 200)
            assert outcomes(answers) == ["killed"] + ["ok"] * 200


async def test_a_worker_is_recycled_after_its_records() -> None:
    source = "N = 0\ndef run(record):\n    global N\n    N += 1\n    return N"
    async with Jail(Limits(recycle_records=500)) as jail:
        cell = await jail.open(program(source))
        seen: list[int] = []
        for _ in range(200):
            seen += map(int, outputs(await cell.run([b"0"] * 50)))
            await asyncio.sleep(0.001)
        assert len(seen) == 10_000
        assert seen.count(1) > 1
        assert max(seen) < 5_000
        assert sum(jail.kills.values()) == 0


VALUES = st.one_of(
    st.integers(0, 10**6).map(lambda n: b"%d" % n),
    st.integers(0, 10**6).map(lambda n: b"%d" % n),
    st.sampled_from([b'"raise"', b'"none"', b'"schema"', b'"flood"', b'"large"']),
    st.sampled_from([b"", b"{", b"nan", b'"\xff"', b"],["]),
    st.sampled_from([b'"exit"', b'"segfault"', b'"memory"']),
)


async def test_answers_align_with_their_inputs_whatever_the_mix() -> None:
    loop = asyncio.get_running_loop()
    limits = msgspec.structs.replace(LIMITS, chunk=7)
    async with Jail(limits) as jail:
        cell = await jail.open(program(POISON), gate=False)

        async def check(values: list[bytes]) -> None:
            for value, answer in zip(values, await cell.run(values), strict=True):
                if value.isdigit():
                    assert (answer.outcome, bytes(answer.output)) == ("ok", b"[%s]" % value)
                elif (
                    value.startswith(b'"')
                    and value.endswith(b'"')
                    and value[1:-1].decode("ascii", "replace") in EXPECTED
                ):
                    assert answer.outcome == EXPECTED[value[1:-1].decode()]
                else:
                    assert answer.outcome == "rejected"

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(VALUES, max_size=40))
        def holds(values: list[bytes]) -> None:
            asyncio.run_coroutine_threadsafe(check(values), loop).result(60)

        await asyncio.to_thread(holds)


async def test_answers_flow_while_a_chunk_is_slow(opened: Open) -> None:
    """A kill late in a chunk of slow records repeats little of it."""
    source = """
import os
N = 0
def run(record):
    global N
    N += 1
    if record == 1: os._exit(1)
    for _ in range(1_000_000): pass
    return N
"""
    cell = await opened(source, gate=False)
    answers = await cell.run([b"0"] * 20 + [b"1"] + [b"0"] * 5)
    assert outcomes(answers) == ["ok"] * 20 + ["killed"] + ["ok"] * 5
    assert outputs(answers[:16]) == [b"%d" % n for n in range(1, 17)], "the first answers are those of the first worker"


async def test_many_timeouts_in_a_row_are_answered_as_they_come(opened: Open) -> None:
    cell = await opened("def run(record):\n    while record: pass\n    return 1")
    call = asyncio.create_task(cell.run([b"1"] * 12 + [b"0"]))
    assert outcomes(await call) == ["timeout"] * 12 + ["ok"]
