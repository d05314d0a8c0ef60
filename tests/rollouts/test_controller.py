"""The controller over a store in memory: messages by hand, outputs looked at, crashes at every write."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from loopai.errors import RecordError, TransientError
from loopai.records import Command
from streams.codec import encode
from streams.topics import COMMANDS, VALIDATIONS
from tests.rollouts.fakes import Bench, Message, agreements, deployments, events, program, published_programs


async def test_a_rollout_goes_from_10_to_50_to_100_and_completes_by_itself() -> None:
    bench = Bench(min_checks=30)
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    shares = [bench.deployment.share]
    for n in range(200):
        await bench.check(n % 40 != 0, version=2 if n % 2 else 1, revision=bench.deployment.revision)
        if bench.deployment.share != shares[-1]:
            shares.append(bench.deployment.share)
    assert shares == [10, 50, 100, 0]
    assert bench.deployment.stable == 2
    assert bench.types() == [
        "program.activated",
        "rollout.started",
        "rollout.step_changed",
        "rollout.step_changed",
        "rollout.completed",
    ]
    assert bench.said()[1] == "Trial of v2 on 10 % of inputs started."
    assert [d.revision for d in deployments(bench.outputs)] == [1, 2, 3, 4, 5]
    assert len(published_programs(bench.outputs)) == 2


async def test_a_bad_version_is_taken_back_in_words_and_stays_back() -> None:
    bench = Bench(min_checks=50, min_agreement=0.95)
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    n = 0
    while bench.deployment.candidate is not None:
        n += 1
        await bench.check(n % 4 != 0, version=2)
        await bench.check(n % 50 != 0, version=1)
        assert n < 200
    assert bench.deployment.stable == 1
    event = events(bench.outputs)[-1]
    assert event.type == "rollout.rolled_back"
    assert event.data["trigger"] == "auto"
    assert event.summary.startswith("Went back to v1: right answers fell to ")
    assert event.summary.endswith(" checks).")
    assert "(limit 95 %, " in event.summary
    refused = await bench.command("rollout.start", version=2)
    assert refused.type == "command.refused"
    assert refused.summary == "v2 was taken back and stays so. If the cause is gone, start it with reopen."
    assert (await bench.command("rollout.start", version=2, reopen=True)).type == "rollout.started"


async def test_a_message_that_comes_twice_counts_once_and_answers_alike() -> None:
    bench = Bench()
    await bench.command("program.activate", version=1)
    start = bench.message(
        COMMANDS.name,
        Command(id="s1", app="spam", verb="rollout.start", arguments={"version": 2}, actor="anna"),
    )
    first = await bench.feed(start)
    assert events(await bench.feed(start)) == events(first)
    check = bench.message(VALIDATIONS.name, bench.validation(False))
    for _ in range(3):
        await bench.feed(check)
    await bench.controller.tick()
    bench.restart()
    assert events(await bench.feed(start)) == events(first)
    await bench.feed(check)
    await bench.check(True)
    found = agreements(await bench.tick())
    assert [(a.version, a.checks) for a in found] == [(1, 2)]
    assert bench.deployment.revision == 2


@pytest.mark.parametrize("writes", range(6))
async def test_a_crash_at_any_write_neither_loses_nor_doubles_a_decision(writes: int) -> None:
    bench = Bench()
    await bench.command("program.activate", version=1)
    message = bench.message(
        COMMANDS.name,
        Command(id="s1", app="spam", verb="rollout.start", arguments={"version": 2}, actor="anna"),
    )
    bench.store.crash_after = writes
    with contextlib.suppress(TransientError):
        await bench.feed(message)
    bench.store.crash_after = None
    bench.restart()
    found = events(await bench.feed(message))
    assert [(e.id, e.type, e.command) for e in found] == [("s1-0", "rollout.started", "s1")]
    assert bench.deployment.revision == 2
    assert [r.state for r in bench.store.rollouts.values()] == ["running"]


@pytest.mark.parametrize("writes", range(6))
async def test_a_crash_during_a_rollback_still_goes_back_once(writes: int) -> None:
    bench = Bench(min_agreement=0.95)
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    message: Message | None = None
    while bench.deployment.candidate is not None:
        message = bench.message(VALIDATIONS.name, bench.validation(False, 2))
        bench.store.crash_after = writes if bench.store.crash_after is None else bench.store.crash_after
        try:
            await bench.feed(message)
            bench.store.crash_after = None
        except TransientError:
            bench.store.crash_after = None
            bench.restart()
            await bench.feed(message)
    assert bench.types().count("rollout.rolled_back") == 1
    assert [r.state for r in bench.store.rollouts.values()] == ["rolled_back"]
    assert bench.deployment.stable == 1


async def test_the_first_tick_tells_again_what_runs_and_its_programs() -> None:
    bench = Bench()
    await bench.command("program.activate", version=1)
    bench.restart()
    outputs = await bench.tick()
    assert deployments(outputs) == [bench.deployment]
    assert published_programs(outputs) == [bench.store.programs["spam"][0].id.encode()]
    assert deployments(await bench.tick()) == []


async def test_a_paused_trial_does_not_step_but_is_taken_back() -> None:
    bench = Bench(min_checks=20)
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    await bench.command("rollout.pause")
    for _ in range(100):
        await bench.check(True, version=2)
    assert bench.deployment.share == 10
    for _ in range(100):
        await bench.check(False, version=2)
    assert bench.deployment.candidate is None
    assert bench.types()[-1] == "rollout.rolled_back"


async def test_agreement_is_told_once_a_tick_and_only_when_something_was_checked() -> None:
    bench = Bench()
    await bench.command("program.activate", version=1)
    await bench.tick()
    for n in range(100):
        await bench.check(n % 10 != 0)
    outputs = await bench.tick()
    [agreement] = agreements(outputs)
    assert agreement.checks == 100
    assert agreement.estimate == pytest.approx(0.9)
    assert 0.82 < agreement.low < 0.9 < agreement.high < 0.95
    [metric] = [o for o in outputs if o.topic.name == "loopai.metrics"]
    assert ("ce_type", b"io.loopai.agreement.window.v1") in metric.record.headers
    assert agreements(await bench.tick()) == []


async def test_what_is_no_command_and_no_check_is_set_aside() -> None:
    bench = Bench()
    for topic, raw in (
        (COMMANDS.name, b"{"),
        (COMMANDS.name, b'{"id": "x", "app": "spam", "verb": "rollout.explode"}'),
        (VALIDATIONS.name, b"[]"),
        (VALIDATIONS.name, encode(bench.validation(True, inclusion_probability=0.0))),
        (VALIDATIONS.name, encode(bench.validation(True, app="nobody"))),
    ):
        with pytest.raises(RecordError):
            await bench.feed(bench.message(topic, raw))


async def test_commands_that_cannot_be_done_are_refused_with_a_way_out() -> None:
    bench = Bench()
    nobody = bench.message(COMMANDS.name, Command(id="n", app="nobody", verb="rollout.pause"))
    [event] = events(await bench.feed(nobody))
    assert (event.type, event.command) == ("command.refused", "n")
    assert event.summary == "There is no loop app 'nobody'. Create it first."
    for verb, arguments, sentence in (
        ("rollout.start", {"version": 2}, "No program answers for spam yet. Activate v2 first."),
        ("rollout.promote", {}, "spam has no trial running. Start one first."),
        (
            "program.activate",
            {"version": 9},
            "spam has no v9 (there are: v1, v2). Choose one or generate one.",
        ),
        ("program.activate", {"version": "x"}, "No version was given. Give a version number, for example 2."),
    ):
        answer = await bench.command(verb, **arguments)
        assert (answer.type, answer.summary) == ("command.refused", sentence)


async def test_two_who_promote_at_once_step_once() -> None:
    bench = Bench()
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    seen = bench.deployment.revision
    assert (await bench.command("rollout.promote", id="a", revision=seen)).type == "rollout.step_changed"
    assert (await bench.command("rollout.promote", id="b", revision=seen)).type == "command.refused"
    assert bench.deployment.share == 50
    assert (await bench.command("rollout.rollback", id="c", revision=seen)).type == "rollout.rolled_back"


async def test_two_controllers_over_one_store_do_not_undo_each_other() -> None:
    bench = Bench(min_checks=20)
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    first = bench.controller
    for _ in range(19):
        await bench.check(True, version=2)
    bench.restart()
    await bench.command("rollout.rollback")
    bench.controller = first
    await bench.check(True, version=2)
    assert bench.deployment.candidate is None
    assert [r.state for r in bench.store.rollouts.values()] == ["rolled_back"]


async def test_an_app_that_is_deleted_stops_nothing_and_comes_back_new() -> None:
    bench = Bench(versions=2)
    await bench.command("program.activate", version=1)
    await bench.command("rollout.start", version=2)
    for _ in range(30):
        await bench.check(False)
    app = bench.store.apps.pop("spam")
    bench.store.deployments.clear()
    bench.store.rollouts.clear()
    bench.store.programs["spam"] = [program(9)]
    bench.clock.advance(1)
    assert agreements(await bench.tick()) == []
    with pytest.raises(RecordError):
        await bench.check(True)
    bench.store.apps["spam"] = app
    bench.restart()
    await bench.tick()
    assert bench.store.deployments == {}
    await bench.command("program.activate", id="new", version=1)
    assert (bench.deployment.revision, bench.deployment.programs) == (1, {"1": program(9).id})
    await bench.check(True)
    assert [(a.checks, a.estimate) for a in agreements(await bench.tick())] == [(1, 1.0)]


async def test_a_store_that_is_down_during_a_tick_loses_nothing() -> None:
    bench = Bench(versions=0)
    await bench.command("program.generate", id="g1")
    for _ in range(5):
        await asyncio.sleep(0)
    bench.store.crash_after = 0
    assert await bench.tick() == []
    bench.store.crash_after = None
    await bench.tick()
    assert bench.types() == ["program.generating", "program.generated", "program.activated"]
