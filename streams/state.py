"""Small shared state with an end: rate limits, the result cache and idempotency, in memory or in Redis."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from loopai.clock import Clock, SystemClock
from loopai.errors import TransientError


class State(Protocol):
    """Every entry ends: `ttl` is in seconds and is set when the entry is made. Trouble raises `TransientError`."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, value: bytes, ttl: float) -> None: ...
    async def add(self, key: str, amount: int, ttl: float) -> int:
        """Adds to a counter, atomically, and returns its new value; the counter ends `ttl` after its first addition."""
        ...

    async def close(self) -> None: ...


class MemoryState:
    """One process's own state, bounded: past `capacity` entries the least recently used one goes."""

    def __init__(self, capacity: int = 100_000, clock: Clock | None = None) -> None:
        self._capacity = capacity
        self._clock = clock or SystemClock()
        self._entries: OrderedDict[str, tuple[bytes | int, float]] = OrderedDict()
        self.dropped = 0

    async def get(self, key: str) -> bytes | None:
        found = self._live(key)
        return str(found).encode() if isinstance(found, int) else found

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        self._set(key, value, self._clock.monotonic() + ttl)

    async def add(self, key: str, amount: int, ttl: float) -> int:
        now = self._live(key)
        total = (now if isinstance(now, int) else 0) + amount
        end = self._entries[key][1] if now is not None else self._clock.monotonic() + ttl
        self._set(key, total, end)
        return total

    async def close(self) -> None:
        self._entries.clear()

    def _live(self, key: str) -> bytes | int | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] <= self._clock.monotonic():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def _set(self, key: str, value: bytes | int, end: float) -> None:
        self._entries[key] = (value, end)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
            self.dropped += 1


class RedisState:
    """State that replicas share. Keys are prefixed, so that several environments may share a server."""

    def __init__(self, url: str, prefix: str = "loopai:", timeout: float = 2.0) -> None:
        self._redis = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._prefix = prefix

    async def get(self, key: str) -> bytes | None:
        try:
            value = await self._redis.get(self._prefix + key)
        except RedisError as error:
            raise _unwell(error) from error
        return value.encode() if isinstance(value, str) else value

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        try:
            await self._redis.set(self._prefix + key, value, px=max(1, int(ttl * 1000)))
        except RedisError as error:
            raise _unwell(error) from error

    async def add(self, key: str, amount: int, ttl: float) -> int:
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.incrby(self._prefix + key, amount)
                pipe.pexpire(self._prefix + key, max(1, int(ttl * 1000)), nx=True)
                total, _ = await pipe.execute()
        except RedisError as error:
            raise _unwell(error) from error
        return int(total)

    async def close(self) -> None:
        await self._redis.aclose()


def _unwell(error: RedisError) -> TransientError:
    return TransientError(f"Redis does not answer: {type(error).__name__}: {error}.")
