"""The store's contract for apps, examples and programs, over SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from loopai.apps import Budget, LoopApp, Sampling
from loopai.errors import ConflictError, NotFoundError
from loopai.records import Example
from programs.artifact import Manifest, Program, Score
from programs.store import Store


def program(source: str, **manifest: object) -> Program:
    return Program.make(kind="classification", strategy="rule", source=source, manifest=Manifest(**manifest))  # type: ignore[arg-type]


async def test_an_app_comes_back_as_it_was_put(store: Store) -> None:
    app = LoopApp(
        id="full",
        name="Ünïcode \0 and NUL",
        kind="extraction",
        input_schema={"type": "object"},
        labels=("a", "b"),
        sampling=Sampling(rate=0.25),
        budget=Budget(usd_per_day=0),
    )
    await store.put_app(app)
    assert await store.get_app("full") == app


async def test_an_app_is_replaced_only_from_the_revision_that_is_stored(store: Store) -> None:
    first = await store.get_app("spam")
    second = replace(first, name="second", revision=2)
    await store.put_app(second)
    assert (await store.get_app("spam")).name == "second"
    for wrong in (replace(first, name="again"), second, replace(first, revision=4)):
        with pytest.raises(ConflictError):
            await store.put_app(wrong)
    with pytest.raises(ConflictError):
        await store.put_app(LoopApp(id="unknown", revision=2))


async def test_of_two_changes_from_the_same_revision_one_wins(store: Store) -> None:
    first = await store.get_app("spam")
    tries = [store.put_app(replace(first, name=str(n), revision=2)) for n in range(8)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, LoopApp) for one in done) == 1
    assert sum(isinstance(one, ConflictError) for one in done) == 7


async def test_an_unknown_app_is_not_found(store: Store) -> None:
    for name in ("nothing", "with \0 inside", "x" * 5000):
        with pytest.raises(NotFoundError):
            await store.get_app(name)
        with pytest.raises(NotFoundError):
            await store.delete_app(name)
    with pytest.raises(NotFoundError):
        await store.add_examples("nothing", [Example(id="1", input={}, expected="a")])
    with pytest.raises(NotFoundError):
        await store.add_program("nothing", program("x"))


async def test_apps_are_listed_in_pages_by_code_point(store: Store) -> None:
    names = ["a", "a-b", "a0", "ab", "b", "z-9", "z9"]
    for name in names:
        await store.put_app(LoopApp(id=name))
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.list_apps(limit=2, cursor=cursor)
        seen += [app.id for app in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted([*names, "spam", "news"])


async def test_deleting_an_app_takes_what_belongs_to_it(store: Store) -> None:
    await store.add_examples("spam", [Example(id="1", input={"text": "a"}, expected="b")])
    await store.add_program("spam", program("x"))
    await store.delete_app("spam")
    assert await store.examples("spam") == []
    assert await store.list_programs("spam") == []
    await store.put_app(LoopApp(id="spam"))
    assert await store.add_program("spam", program("y")) == 1


async def test_examples_are_replaced_by_their_id_and_listed_by_it(store: Store) -> None:
    rows = [Example(id=f"{n:04}", input={"text": str(n)}, expected="a") for n in range(1200)]
    assert await store.add_examples("spam", [*reversed(rows), rows[0]]) == 1201
    await store.add_examples("spam", [Example(id="0007", input={"text": "new"}, expected="b")])
    found = await store.examples("spam")
    assert [row.id for row in found] == [row.id for row in rows]
    assert found[7].expected == "b"
    assert await store.count_examples("spam") == 1200
    assert [row.id for row in await store.examples("spam", limit=2)] == ["0000", "0001"]
    assert await store.examples("news") == []


async def test_ids_that_no_index_takes_are_kept_whole(store: Store) -> None:
    rows = [Example(id=id, input={}, expected="a") for id in ("x" * 10_000, "nul \0", "ü" * 300)]
    await store.add_examples("spam", rows)
    assert {row.id for row in await store.examples("spam")} == {row.id for row in rows}


async def test_programs_are_numbered_by_their_content(store: Store) -> None:
    assert await store.add_program("spam", program("one", reason="first")) == 1
    assert await store.add_program("spam", program("two")) == 2
    assert await store.add_program("spam", program("one", reason="again")) == 1
    assert await store.add_program("news", program("two")) == 1
    listed = await store.list_programs("spam")
    assert [(one.version, one.strategy, one.manifest.reason) for one in listed] == [
        (1, "rule", "first"),
        (2, "rule", ""),
    ]
    assert await store.count_programs("spam") == 2


async def test_a_program_comes_back_with_its_data(store: Store) -> None:
    made = Program.make(
        kind="classification",
        strategy="linear",
        source="def run(record): return 'ü'",
        data=bytes(range(256)) * 10_000,
        manifest=Manifest(score=Score(n=10, accuracy=0.9, low=0.6, high=0.98, macro_f1=0.9)),
    )
    version = await store.add_program("spam", made)
    found = await store.get_program("spam", version)
    assert found == made
    assert found.verify()
    with pytest.raises(NotFoundError):
        await store.get_program("spam", 2)


async def test_programs_added_at_once_get_numbers_without_a_hole(store: Store) -> None:
    versions = await asyncio.gather(*(store.add_program("spam", program(str(n % 10))) for n in range(20)))
    assert sorted(set(versions)) == list(range(1, 11))


async def test_a_waiver_is_written_beside_the_version(store: Store) -> None:
    await store.add_program("spam", program("one"))
    await store.waive("spam", 1, "Ada: the label was wrong")
    assert (await store.list_programs("spam"))[0].waiver == "Ada: the label was wrong"
    with pytest.raises(NotFoundError):
        await store.waive("spam", 2, "")
