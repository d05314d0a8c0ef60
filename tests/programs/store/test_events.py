"""The store's contract for the event log and validation results, over SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

from loopai.records import Event, ValidationResult
from programs.store import Store


def event(id: str, type: str = "rollout.started", app: str = "spam", **data: object) -> Event:
    return Event(id=id, type=type, app=app, at="2026-01-31T12:00:00.000Z", summary=f"{id} happened", data=data)


def check(id: str, version: int = 1, verdict: str = "match", app: str = "spam") -> ValidationResult:
    return ValidationResult(
        id=id,
        app=app,
        version=version,
        program="p",
        variant="stable",
        tier=3,
        verdict=verdict,  # type: ignore[arg-type]
    )


async def test_events_are_numbered_without_a_hole_and_known_by_their_id(store: Store) -> None:
    assert await store.append_events([event("a"), event("b")]) == [1, 2]
    assert await store.append_events([event("b"), event("c"), event("c"), event("a")]) == [2, 3, 3, 1]
    assert await store.append_events([]) == []
    assert [sequence for sequence, _ in await store.events_after(0)] == [1, 2, 3]
    assert (await store.position())[1] == 3


async def test_an_event_comes_back_whole(store: Store) -> None:
    given = event("nul \0 " + "x" * 1000, value={"deep": ["\0", "ü", 1.5]})
    await store.append_events([given])
    assert await store.events_after(0) == [(1, given)]


async def test_ids_and_names_of_any_shape_are_taken(store: Store) -> None:
    odd = [event("i", app="a\0" * 500, type="t\0"), event("j", app="x" * 9000)]
    assert await store.append_events(odd) == [1, 2]


async def test_a_reader_who_follows_never_misses_what_others_append(store: Store, url: str) -> None:
    """The order of commits is the order of sequences: a position once passed holds nothing new."""
    other = await Store.open(url)
    seen: list[int] = []

    async def append(to: Store, name: str) -> None:
        for n in range(20):
            await to.append_events([event(f"{name}-{n}-{i}") for i in range(3)])

    async def follow() -> None:
        while len(seen) < 240:
            for sequence, _ in await store.events_after(seen[-1] if seen else 0, limit=50):
                seen.append(sequence)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *(append(s, f"{n}") for n, s in enumerate((store, other, store, other))))
    await other.close()
    assert seen == list(range(1, 241))


async def test_a_room_holds_what_the_catalogue_says_and_an_app_all_of_its_own(store: Store) -> None:
    await store.append_events(
        [
            event("1", "rollout.started", "spam"),
            event("2", "drift.detected", "spam"),
            event("3", "drift.detected", "news"),
            event("4", "loop.created", "news"),
        ]
    )

    async def ids(*rooms: str) -> list[str]:
        return [e.id for _, e in await store.events_after(0, rooms=rooms)]

    assert await ids("rollout/spam") == ["1"]
    assert await ids("alerts") == ["2", "3"]
    assert await ids("loop/spam") == ["1", "2"]
    assert await ids("loop/news", "rollout/spam") == ["1", "3", "4"]
    assert await ids() == []
    assert [e.id for _, e in await store.events_after(2, limit=1)] == ["3"]


async def test_history_is_read_newest_first(store: Store) -> None:
    await store.append_events([event(str(n), "drift.detected" if n % 2 else "rollout.started") for n in range(10)])
    await store.append_events([event("other", app="news")])
    assert [e.id for _, e in await store.latest_events(app="spam", limit=2)] == ["9", "8"]
    assert [e.id for _, e in await store.latest_events(app="spam", before=9, limit=2)] == ["7", "6"]
    assert [e.id for _, e in await store.latest_events(types=["drift.detected"], limit=2)] == ["9", "7"]
    assert [e.id for _, e in await store.latest_events(limit=1)] == ["other"]


async def test_the_epoch_is_made_once(store: Store, url: str) -> None:
    again = await Store.open(url)
    assert await again.epoch() == await store.epoch()
    await again.close()


async def test_a_check_counts_once(store: Store) -> None:
    assert await store.add_validations([check("a"), check("a"), check("b", verdict="mismatch")]) == 2
    assert await store.add_validations([check("a", verdict="mismatch"), check("a", version=2)]) == 1
    assert await store.add_validations([]) == 0
    assert await store.count_validations("spam", 1) == {"match": 1, "mismatch": 1}
    assert await store.count_validations("spam", 2) == {"match": 1}


async def test_checks_added_at_once_by_two_validators_count_once(store: Store) -> None:
    rows = [check(str(n)) for n in range(300)]
    added = await asyncio.gather(*(store.add_validations(rows[n * 50 : n * 50 + 150]) for n in range(4)))
    assert sum(added) == 300
    assert await store.count_validations("spam", 1) == {"match": 300}


async def test_checks_are_listed_newest_first_in_pages(store: Store) -> None:
    for n in range(7):
        await store.add_validations([check(str(n), version=1 + n % 2, verdict="mismatch" if n > 4 else "match")])
    await store.add_validations([check("other", app="news")])
    page = await store.list_validations("spam", limit=3)
    assert [v.id for v in page.items] == ["6", "5", "4"]
    assert page.next_cursor is not None
    page = await store.list_validations("spam", limit=5, before=int(page.next_cursor))
    assert [v.id for v in page.items] == ["3", "2", "1", "0"]
    assert page.next_cursor is None
    assert [v.id for v in (await store.list_validations("spam", version=2)).items] == ["5", "3", "1"]
    assert [v.id for v in (await store.list_validations("spam", verdict="mismatch")).items] == ["6", "5"]
