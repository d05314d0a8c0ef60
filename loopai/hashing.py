"""Keys and ids to stable fractions: every replica, restart and replay routes and samples alike.

A fraction is the first 53 bits of XXH3-64 over the key, seeded by the hash of a salt, divided by 2**53: uniform on
[0, 1). Comparing one fraction with a growing share makes shares nest: who is in at 10 % is in at 50 %. XXH3 costs
0.15 µs where BLAKE2b costs 1.0; CRCs are as quick but visibly uneven on short keys.
"""

from __future__ import annotations

from hashlib import sha256

from xxhash import xxh3_64_intdigest

_SCALE = 1.0 / (1 << 53)


def seed_of(salt: str) -> int:
    """The seed of a salt, to be kept by whoever hashes much."""
    return xxh3_64_intdigest(salt.encode())


def fraction(seed: int, key: bytes) -> float:
    """The place of `key` on [0, 1) under a salt's seed."""
    return (xxh3_64_intdigest(key, seed) >> 11) * _SCALE


def content_id(canonical: bytes) -> str:
    """The address of immutable content: lower-case hex SHA-256."""
    return sha256(canonical).hexdigest()
