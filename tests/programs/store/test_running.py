"""The store's contract for deployments, rollouts, runs and machine state, over SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from loopai.deployments import Deployment
from loopai.errors import ConflictError, NotFoundError
from loopai.records import Example, Rollout, Run, ValidationResult
from programs.artifact import Program
from programs.store import Store, Tally


def rollout(id: str, app: str = "spam", **fields: object) -> Rollout:
    return Rollout(id=id, app=app, from_version=1, to_version=2, stages=(10, 100), **fields)  # type: ignore[arg-type]


async def test_a_deployment_is_replaced_only_by_a_later_revision(store: Store) -> None:
    assert await store.get_deployment("spam") is None
    await store.put_deployment(Deployment(app="spam", revision=3, stable=1, programs={"1": "abc"}))
    for revision in (3, 2):
        with pytest.raises(ConflictError):
            await store.put_deployment(Deployment(app="spam", revision=revision))
    await store.put_deployment(Deployment(app="spam", revision=5, stable=2))
    await store.put_deployment(Deployment(app="news", revision=1))
    found = await store.get_deployment("spam")
    assert found is not None
    assert (found.revision, found.stable) == (5, 2)
    assert [d.app for d in await store.list_deployments()] == ["news", "spam"]


async def test_of_two_deployments_of_one_revision_one_wins(store: Store) -> None:
    tries = [store.put_deployment(Deployment(app="spam", revision=1, stable=n)) for n in range(8)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(one is None for one in done) == 1


async def test_nothing_runs_for_an_app_that_does_not_exist(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.put_deployment(Deployment(app="nothing", revision=1))
    with pytest.raises(NotFoundError):
        await store.put_rollout(rollout("r", app="nothing"))
    with pytest.raises(NotFoundError):
        await store.put_run(Run(id="r", app="nothing", what="generate"))


async def test_an_app_has_one_rollout_under_way(store: Store) -> None:
    await store.put_rollout(rollout("r1", weight=10))
    with pytest.raises(ConflictError):
        await store.put_rollout(rollout("r2"))
    await store.put_rollout(rollout("r1", weight=10, state="paused"))
    current = await store.current_rollout("spam")
    assert current is not None
    assert (current.id, current.state) == ("r1", "paused")
    await store.put_rollout(rollout("n1", app="news"))
    assert [r.id for r in await store.current_rollouts()] == ["n1", "r1"]
    await store.put_rollout(rollout("r1", state="completed", weight=100))
    assert await store.current_rollout("spam") is None
    await store.put_rollout(rollout("r2"))
    assert [r.id for r in await store.list_rollouts("spam", 10)] == ["r2", "r1"]
    assert [r.id for r in await store.list_rollouts("spam", 1)] == ["r2"]


async def test_a_finished_rollout_stays_finished(store: Store) -> None:
    await store.put_rollout(rollout("r1"))
    await store.put_rollout(rollout("r1", state="rolled_back", reason="worse"))
    await store.put_rollout(rollout("r1", state="rolled_back", reason="worse", checks=9))
    for state in ("running", "paused", "completed"):
        with pytest.raises(ConflictError):
            await store.put_rollout(rollout("r1", state=state))
    assert (await store.get_rollout("r1")).checks == 9
    with pytest.raises(NotFoundError):
        await store.get_rollout("r9")


async def test_a_finished_run_stays_finished(store: Store) -> None:
    run = Run(id="g1", app="spam", what="generate")
    await store.put_run(run)
    await store.put_run(replace(run, state="running", progress=0.5))
    await store.put_run(replace(run, state="succeeded", progress=1.0, result={"version": 1}))
    with pytest.raises(ConflictError):
        await store.put_run(replace(run, state="running"))
    await store.put_run(Run(id="g2", app="spam", what="generate"))
    assert (await store.get_run("g1")).result == {"version": 1}
    assert [one.id for one in await store.list_runs("spam", 10)] == ["g2", "g1"]
    with pytest.raises(NotFoundError):
        await store.get_run("g9")


async def test_state_is_bytes_with_a_revision_that_only_grows(store: Store) -> None:
    assert await store.get_state("drift", "spam") is None
    await store.put_state("drift", "spam", b"\x00\xff", 1)
    await store.put_state("drift", "spam", b"two", 7)
    for revision in (7, 6):
        with pytest.raises(ConflictError):
            await store.put_state("drift", "spam", b"late", revision)
    assert await store.get_state("drift", "spam") == (b"two", 7)
    assert await store.get_state("bound", "spam") is None


async def test_a_tally_tells_of_each_app_what_a_page_shows(store: Store) -> None:
    await store.put_deployment(Deployment(app="spam", revision=1, stable=1))
    await store.put_rollout(rollout("r1", state="completed"))
    await store.put_rollout(rollout("r2"))
    await store.put_rollout(rollout("n1", app="news"))
    await store.add_examples("news", [Example(id=str(n), input={}, expected="a") for n in range(3)])
    await store.add_program("spam", Program.make(kind="classification", strategy="rule", source="x"))
    checks = [
        ValidationResult(id=str(n), app="spam", version=v, program="p", variant="stable", tier=3, verdict="match")
        for n, v in ((1, 1), (2, 1), (1, 2))
    ]
    await store.add_validations(checks)
    await store.reserve("spam", "2026-01-31", usd=0.5, calls=1, limit_usd=1, limit_calls=9)
    found = await store.tallies(["spam", "news", "none"], "2026-01-31")
    spam, news = found["spam"], found["news"]
    assert spam.deployment is not None
    assert spam.last_rollout is not None
    assert (spam.last_rollout.id, spam.examples, spam.programs) == ("r2", 0, 1)
    assert spam.checks == {1: {"match": 2}, 2: {"match": 1}}
    assert (spam.spending.reserved_usd, news.spending.reserved_usd) == (0.5, 0.0)
    assert news.last_rollout is not None
    assert (news.last_rollout.id, news.deployment, news.examples) == ("n1", None, 3)
    assert found["none"] == Tally()
    assert await store.tallies([], "2026-01-31") == {}
