"""The improver: asked by a person, asked by drift, bounded in every direction, and begun again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loopai.apps import LoopApp
from loopai.clock import ManualClock
from loopai.errors import BudgetError, ProgramError
from loopai.records import Example, Sample, ValidationResult, Verdict
from programs.artifact import Program
from rollouts.fresh import KEPT, FreshExamples, FreshRow, combine, surplus
from rollouts.improver import Improver, Job, Options
from rollouts.ports import Progress
from tests.rollouts.fakes import Bench, MemoryStore, events, program


async def settle(bench: Bench) -> None:
    """Lets what runs in the background end, and the controller take it in."""
    for _ in range(2):  # one tick may begin what the next one takes in
        for _ in range(20):
            await asyncio.sleep(0)
        await bench.tick()


async def test_the_first_program_is_written_and_answers_at_once() -> None:
    bench = Bench(versions=0)
    answer = await bench.command("program.generate", id="g1", seed=7)
    assert (answer.type, answer.summary) == ("program.generating", "Writing a new program from 20 examples.")
    assert bench.store.runs["g1"].state == "queued"
    await settle(bench)
    assert bench.types() == ["program.generating", "program.generated", "program.activated"]
    assert bench.said()[1:] == [
        "v1 is written (rule): 98 % right on 400 examples it had not seen (97 % to 99 %).",
        "v1 answers all inputs now.",
    ]
    assert {e.command for e in events(bench.outputs)} == {"g1"}
    assert (bench.deployment.revision, bench.deployment.stable) == (1, 1)
    run = bench.store.runs["g1"]
    assert (run.state, run.progress, run.result["version"]) == ("succeeded", 1.0, 1)


async def test_a_later_program_waits_unless_a_trial_is_asked_for() -> None:
    bench = Bench(versions=1)
    await bench.command("program.activate", version=1)
    await bench.command("program.generate")
    await settle(bench)
    assert bench.deployment.candidate is None
    await bench.command("program.generate", rollout=True)
    await settle(bench)
    assert bench.deployment.candidate == 3
    assert bench.types()[-2:] == ["program.generated", "rollout.started"]


async def test_a_failure_is_told_with_its_reason() -> None:
    bench = Bench(versions=0)
    for error in (
        ProgramError("No strategy was better than guessing", next_step="Add examples."),
        BudgetError("The budget of the day is spent."),
    ):
        bench.writer.fail = error
        await bench.command("program.generate", id=type(error).__name__)
        await settle(bench)
        assert bench.types()[-1] == "program.rejected"
        assert bench.said()[-1].startswith(f"No new program: {error.message.rstrip('.')}")
        run = bench.store.runs[type(error).__name__]
        assert (run.state, run.error) == ("failed", str(error))
    assert bench.store.deployments == {}


async def test_without_examples_nothing_is_written() -> None:
    bench = Bench(versions=0)
    bench.store.rows.clear()
    await bench.command("program.generate")
    await settle(bench)
    assert bench.said()[-1] == "No new program: There are no labelled examples for spam. Add some, then ask again."
    assert bench.writer.calls == []


class Slow:
    """A generation that waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = self.most = 0

    async def __call__(
        self, app: LoopApp, examples: Sequence[Example], *, seed: int, progress: Progress, strategy: str = ""
    ) -> Program:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return program(1)


def many_apps(n: int) -> MemoryStore:
    store = MemoryStore()
    for i in range(n):
        store.apps[f"app{i}"] = LoopApp(id=f"app{i}")
        store.rows[f"app{i}"] = [Example(id="e", input={"text": "t"}, expected="ham")]
    return store


async def test_one_at_a_time_for_an_app_two_in_all_and_sixteen_wait() -> None:
    slow = Slow()
    improver = Improver(many_apps(30), slow, ManualClock(), Options())
    assert await improver.submit(Job(id="a", app="app0")) is None
    assert await improver.submit(Job(id="b", app="app0")) == "A program for app0 is being written already."
    answers = [await improver.submit(Job(id=f"j{i}", app=f"app{i}")) for i in range(1, 20)]
    assert answers.count(None) == 17
    assert answers[-1] == "16 programs wait to be written already."
    for _ in range(5):
        await asyncio.sleep(0)
    slow.go.set()
    for _ in range(200):
        await asyncio.sleep(0)
    assert slow.most == 2
    assert len(improver.finished()) == 18


async def test_what_takes_too_long_is_ended() -> None:
    slow = Slow()
    improver = Improver(many_apps(1), slow, ManualClock(), Options(seconds=0.01))
    await improver.submit(Job(id="a", app="app0"))
    await asyncio.sleep(0.1)
    [outcome] = improver.finished()
    assert outcome.error == "writing took longer than 0 s"


async def test_a_generation_that_a_restart_interrupted_is_begun_again() -> None:
    bench = Bench(versions=1)
    await bench.command("program.activate", version=1)
    await bench.command("program.generate", id="g1")
    bench.restart()
    await bench.tick()
    await settle(bench)
    assert bench.types()[-1] == "program.generated"
    assert bench.store.runs["g1"].state == "succeeded"
    assert await bench.tick() == []


async def test_a_first_generation_that_a_restart_interrupted_is_begun_again_too() -> None:
    bench = Bench(versions=0)
    await bench.command("program.generate", id="g1")
    bench.restart()
    await settle(bench)
    assert bench.deployment.stable == 1


async def drifting(bench: Bench, n: int, wrong_every: int, start: int = 0) -> None:
    for i in range(start, start + n):
        right = i % wrong_every != 0
        await bench.sample(f"i{i}", f"text {i}")
        version = bench.deployment.stable or 1
        await bench.check(right, version=version, id=f"i{i}", expected="spam")


async def test_drift_writes_a_better_program_and_tries_it_without_a_hand() -> None:
    bench = Bench(versions=1, min_checks=20, min_agreement=0.8)
    await bench.command("program.activate", version=1)
    await drifting(bench, 600, 50)
    await bench.tick()
    assert bench.types() == ["program.activated"]
    await drifting(bench, 200, 3, start=600)
    alert = events(bench.outputs)[-1]
    assert alert.type == "drift.detected"
    assert alert.summary.startswith("Inputs look different / answers disagree more: right answers 98 % → ")
    assert len(alert.data["example_ids"]) >= 10
    await bench.tick()
    await settle(bench)
    assert bench.types()[1:] == ["drift.detected", "program.generating", "program.generated", "rollout.started"]
    [learned] = bench.writer.calls
    assert len(learned) == 820  # 20 old ones and 800 checked ones
    for n in range(60):
        await bench.check(True, version=2, revision=bench.deployment.revision)
        await bench.check(n % 3 != 0, version=1)
    assert bench.deployment.stable == 2
    assert bench.types()[-1] == "rollout.completed"
    await drifting(bench, 200, 50, start=1_000)
    assert bench.types()[-1] == "drift.cleared"
    for _ in range(3):
        await settle(bench)
    assert len(bench.writer.calls) == 1


async def test_without_automatic_an_alert_is_all() -> None:
    bench = Bench(versions=1, automatic=False)
    await bench.command("program.activate", version=1)
    await drifting(bench, 600, 50)
    await drifting(bench, 200, 3, start=600)
    await settle(bench)
    assert bench.types() == ["program.activated", "drift.detected"]


async def test_no_storm_three_attempts_an_hour_and_never_two_at_once() -> None:
    bench = Bench(versions=1, min_checks=20)
    bench.writer.fail = ProgramError("nothing good enough")
    await bench.command("program.activate", version=1)
    await drifting(bench, 300, 50)
    at = 300
    for _ in range(80):
        await drifting(bench, 50, 3, start=at)
        at += 50
        await settle(bench)
    assert bench.types().count("drift.detected") == 1
    assert len(bench.writer.calls) == 3
    bench.clock.advance(3_600)
    await drifting(bench, 10, 3, start=at)
    await settle(bench)
    assert len(bench.writer.calls) == 4


async def test_a_command_that_comes_again_writes_no_second_program() -> None:
    bench = Bench(versions=0)
    await bench.command("program.generate", id="g1")
    await settle(bench)
    again = await bench.command("program.generate", id="g1")
    await settle(bench)
    assert again.type == "program.generating"
    assert len(bench.writer.calls) == 1


def sample_of(id: str) -> Sample:
    return Sample(
        id=id, app="spam", version=1, program="p", variant="stable", outcome="ok", input={"text": id}, output="ham"
    )


def check_of(id: str, expected: str | None = "ham") -> ValidationResult:
    verdict: Verdict = "match" if expected in ("ham", None) else "mismatch"
    return ValidationResult(
        id=id,
        app="spam",
        version=1,
        program="p",
        variant="stable",
        tier=3,
        verdict=verdict,
        expected=expected,
        output="ham",
    )


def test_inputs_and_right_answers_meet_in_any_order() -> None:
    room = FreshExamples()
    assert room.sample(sample_of("a"), 10) is None
    first = room.validation(check_of("a"), 5)
    assert room.validation(check_of("b", "spam"), 6) is None
    second = room.sample(sample_of("b"), 10)
    assert first is not None
    assert second is not None
    assert (first.example, first.at, first.wrong) == (
        Example(id="a", input={"text": "a"}, expected="ham"),
        5,
        False,
    )
    assert (second.example.expected, second.at, second.wrong) == ("spam", 6, True)
    third = room.sample(sample_of("c"), 10)
    assert third is None
    right = room.validation(check_of("c", None), 7)
    assert right is not None
    assert right.example.expected == "ham"


def test_the_waiting_room_is_bounded_in_number_and_bytes() -> None:
    room = FreshExamples()
    for n in range(30_000):
        room.sample(sample_of(f"s{n}"), 10)
        room.validation(check_of(f"v{n}"), n)
    assert len(room._inputs) == len(room._answers) == 20_000
    for n in range(100):
        room.sample(sample_of(f"big{n}"), 1 << 20)
    assert room._bytes <= 64 << 20
    assert room.validation(check_of("big99"), 1) is not None


def test_the_newest_answer_for_an_input_counts() -> None:
    old = [
        Example(id="1", input={"text": "a", "n": 1}, expected="ham"),
        Example(id="2", input={"text": "b"}, expected="x"),
    ]
    fresh = [Example(id="3", input={"n": 1, "text": "a"}, expected="spam")]
    assert [(e.id, e.expected) for e in combine(old, fresh)] == [("2", "x"), ("3", "spam")]


def test_an_app_keeps_so_many_examples_and_so_many_bytes() -> None:
    example = Example(id="1", input={"text": "a"}, expected="ham")
    small = [FreshRow(example=example, at=0, wrong=False, size=100)] * (KEPT + 3)
    assert surplus(small, 100 * len(small)) == 3
    great = [FreshRow(example=example, at=0, wrong=False, size=1 << 20)] * 20
    assert surplus(great, 20 << 20) == 12
    assert surplus([], 0) == 0
