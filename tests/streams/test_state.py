"""Small shared state, over both forms: in memory and in Redis."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from loopai.clock import ManualClock
from loopai.errors import TransientError
from streams.state import MemoryState, RedisState, State


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else str(request.getfixturevalue("redis_url"))


@pytest.fixture
async def state(url: str | None) -> AsyncIterator[State]:
    made: State = MemoryState() if url is None else RedisState(url, prefix=f"test-{uuid.uuid4().hex}:")
    yield made
    await made.close()


async def test_what_was_put_is_there_until_it_ends(state: State) -> None:
    await state.put("a", b"1", ttl=0.2)
    assert await state.get("a") == b"1"
    await asyncio.sleep(0.3)
    assert await state.get("a") is None
    assert await state.get("never") is None


async def test_a_counter_adds_up_under_many_hands(state: State) -> None:
    totals = await asyncio.gather(*(state.add("n", 2, ttl=30) for _ in range(50)))
    assert sorted(totals) == list(range(2, 102, 2))
    assert await state.get("n") == b"100"


async def test_a_counter_ends_by_its_first_addition(state: State) -> None:
    await state.add("n", 1, ttl=0.3)
    await asyncio.sleep(0.2)
    assert await state.add("n", 1, ttl=0.3) == 2
    await asyncio.sleep(0.2)
    assert await state.add("n", 1, ttl=0.3) == 1


async def test_memory_is_bounded_and_counts_what_it_dropped() -> None:
    state = MemoryState(capacity=10, clock=ManualClock())
    for i in range(25):
        await state.put(str(i), b"x", ttl=60)
    assert state.dropped == 15
    assert await state.get("24") == b"x"
    assert await state.get("0") is None


async def test_a_redis_that_is_not_there_is_told_as_transient() -> None:
    state = RedisState("redis://127.0.0.1:1/0", timeout=0.5)
    with pytest.raises(TransientError, match="Redis does not answer"):
        await state.get("a")
    await state.close()
