"""The store's contract for the cost ledger and idempotency keys, over SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from programs.store import Spending, Store

DAY = "2026-01-31"


async def reserve(store: Store, usd: float = 0.05, *, limit_usd: float = 1.0, limit_calls: int = 1000) -> bool:
    return await store.reserve("spam", DAY, usd=usd, calls=1, limit_usd=limit_usd, limit_calls=limit_calls)


async def settle(store: Store, reserved: float, spent: float) -> None:
    await store.settle(
        "spam",
        DAY,
        reserved_usd=reserved,
        spent_usd=spent,
        purpose="validate",
        provider="openai",
        model="gpt-5-mini",
        tokens_in=10,
        tokens_out=2,
    )


async def test_fifty_at_once_on_a_budget_for_twenty_pass_twenty_times(store: Store, url: str) -> None:
    other = await Store.open(url)
    passed = await asyncio.gather(*(reserve(store if n % 2 else other) for n in range(50)))
    assert sum(passed) == 20
    assert await other.spent("spam", DAY) == Spending(usd=0.0, calls=20, reserved_usd=1.0)
    await other.close()


async def test_fifty_at_once_with_twenty_calls_pass_twenty_times(store: Store) -> None:
    passed = await asyncio.gather(*(reserve(store, 0.0, limit_calls=20) for _ in range(50)))
    assert sum(passed) == 20


async def test_what_a_call_did_not_cost_can_be_spent_again(store: Store) -> None:
    assert await reserve(store, 0.6)
    assert not await reserve(store, 0.6)
    await settle(store, 0.6, 0.1)
    assert await reserve(store, 0.9)
    assert not await reserve(store, 0.000001)
    assert await store.spent("spam", DAY) == Spending(usd=0.1, calls=2, reserved_usd=0.9)


async def test_a_call_that_cost_more_than_was_reserved_is_told_as_it_was(store: Store) -> None:
    assert await reserve(store, 0.5)
    await settle(store, 0.5, 1.5)
    assert await store.spent("spam", DAY) == Spending(usd=1.5, calls=1, reserved_usd=0.0)
    assert not await reserve(store, 0.0)


async def test_a_limit_of_nothing_forbids_every_call(store: Store) -> None:
    assert not await reserve(store, 0.0, limit_usd=0)
    assert not await reserve(store, 0.0, limit_calls=0)
    assert await store.spent("spam", DAY) == Spending()


async def test_days_and_apps_have_budgets_of_their_own(store: Store) -> None:
    assert await reserve(store, 1.0)
    assert await store.reserve("spam", "2026-02-01", usd=1.0, calls=1, limit_usd=1.0, limit_calls=9)
    assert await store.reserve("news", DAY, usd=1.0, calls=1, limit_usd=1.0, limit_calls=9)


async def test_no_amount_that_is_no_money(store: Store) -> None:
    for amount in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="money"):
            await reserve(store, amount)


async def test_the_ledger_sums_by_purpose_and_model(store: Store) -> None:
    for _ in range(3):
        await reserve(store)
        await settle(store, 0.05, 0.01)
    (line,) = await store.ledger("spam", DAY)
    assert (line.purpose, line.provider, line.model) == ("validate", "openai", "gpt-5-mini")
    assert (line.calls, line.usd, line.tokens_in, line.tokens_out) == (3, 0.03, 30, 6)


async def test_a_key_is_claimed_once_and_answers_ever_after(store: Store) -> None:
    claims = await asyncio.gather(*(store.claim_key("k", "hash", now=1000.0) for _ in range(10)))
    assert sum(claim is None for claim in claims) == 1
    assert all(claim is None or claim.status == 0 for claim in claims)
    await store.keep_answer("k", status=201, headers={"location": "/x"}, response=b'{"a":1}')
    kept = await store.claim_key("k", "other", now=1001.0)
    assert kept is not None
    assert (kept.body_hash, kept.status, kept.headers) == ("hash", 201, {"location": "/x"})
    assert kept.response == b'{"a":1}'


async def test_a_key_can_be_given_up_and_taken_over_from_the_dead(store: Store) -> None:
    assert await store.claim_key("k", "hash", now=1000.0) is None
    assert await store.claim_key("k", "hash", now=1059.0) is not None
    assert await store.claim_key("k", "hash", now=1061.0) is None
    await store.release_key("k")
    assert await store.claim_key("k", "hash", now=1062.0) is None
    await store.keep_answer("k", status=200, headers={}, response=b"")
    await store.release_key("k")
    assert await store.claim_key("k", "hash", now=9999.0) is not None


async def test_old_keys_are_forgotten(store: Store) -> None:
    await store.claim_key("old", "hash", now=1000.0)
    await store.claim_key("new", "hash", now=2000.0)
    assert await store.forget_keys(before=1500.0) == 1
    assert await store.claim_key("new", "hash", now=2001.0) is not None
