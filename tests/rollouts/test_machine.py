"""The rollout state machine under every order of verbs and evidence that hypothesis can think of."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loopai.apps import LoopApp, RolloutPolicy
from loopai.deployments import Deployment
from loopai.records import Command, Rollout
from rollouts.estimates import Interval
from rollouts.judging import Evidence, judge
from rollouts.machine import Decision, Situation, on_command, on_evidence, stages_of

AT = "2026-01-01T00:00:00.000Z"
VERSIONS = st.integers(1, 5)
INTERVALS = st.builds(
    lambda n, e, w: Interval(checks=n, estimate=e, low=max(0.0, e - w), high=min(1.0, e + w)),
    st.integers(0, 500),
    st.sampled_from([0.0, 0.5, 0.85, 0.93, 0.97, 1.0]),
    st.sampled_from([0.0, 0.02, 0.2]),
)
NOTHING = [
    Interval(),
    Interval(checks=100, estimate=math.nan, low=math.nan, high=math.nan),
    Interval(checks=0, estimate=None, low=0.0, high=1.0),
]


class Rollouts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.app = LoopApp(id="spam", rollout=RolloutPolicy(min_checks=10))
        self.deployment: Deployment | None = None
        self.history: list[Rollout] = []
        self.seen: dict[str, Deployment] = {}
        self.reopened: set[int] = set()

    def situation(self) -> Situation:
        newest: dict[int, Rollout] = {r.to_version: r for r in self.history}
        return Situation(
            app=self.app,
            deployment=self.deployment,
            rollout=self.history[-1] if self.history else None,
            programs={v: f"id{v}" for v in range(1, 5)},
            latched=frozenset(v for v, r in newest.items() if r.state == "rolled_back"),
        )

    def take(self, decision: Decision | None) -> None:
        if decision is None:
            return
        assert decision.facts
        if decision.refused:
            assert decision.deployment is None
            assert decision.rollout is None
            return
        before = self.deployment
        if decision.deployment is not None:
            assert decision.deployment.revision == (before.revision if before else 0) + 1
            self.deployment = decision.deployment
        if decision.rollout is not None:
            known = [n for n, r in enumerate(self.history) if r.id == decision.rollout.id]
            if known:
                assert self.history[known[0]].state in ("running", "paused")
                self.history[known[0]] = decision.rollout
            else:
                self.history.append(decision.rollout)

    def send(self, verb: Any, **arguments: Any) -> Decision:
        command = Command(id="c", app="spam", verb=verb, arguments=arguments, actor="anna")
        decision = on_command(self.situation(), command, AT)
        self.take(decision)
        return decision

    def on_trial(self) -> bool:
        return self.situation().trial is not None

    @initialize(version=st.integers(1, 4))
    def the_first_version(self, version: int) -> None:
        assert self.send("rollout.start", version=version).refused
        assert self.send("rollout.rollback").refused
        assert self.send("program.activate", version=5).refused
        assert not self.send("program.activate", version=version).refused
        assert self.send("program.activate", version=version).refused

    @precondition(lambda self: not self.on_trial())
    @rule(version=VERSIONS, reopen=st.sampled_from([True, False, None, "yes"]))
    def start(self, version: int, reopen: Any) -> None:
        before = self.situation()
        assert before.deployment is not None
        decision = self.send("rollout.start", version=version, reopen=reopen)
        barred = version in before.latched and reopen is not True
        assert decision.refused == (barred or version == 5 or version == before.deployment.stable)

    @precondition(lambda self: self.on_trial())
    @rule(verb=st.sampled_from(["rollout.promote", "rollout.promote_all", "rollout.start"]), version=VERSIONS)
    def go_on(self, verb: str, version: int) -> None:
        assert self.send(verb, version=version).refused == (verb == "rollout.start")

    @precondition(lambda self: self.on_trial())
    @rule(verb=st.sampled_from(["rollout.pause", "rollout.resume"]))
    def pause_or_resume(self, verb: str) -> None:
        trial, before = self.situation().trial, self.deployment
        assert trial is not None
        assert self.send(verb).refused == ((verb == "rollout.pause") == (trial.state == "paused"))
        assert self.deployment == before

    @precondition(lambda self: not self.on_trial())
    @rule(verb=st.sampled_from(["rollout.promote", "rollout.promote_all", "rollout.pause", "rollout.resume"]))
    def a_verb_without_a_trial(self, verb: str) -> None:
        assert self.send(verb).refused

    @rule(rate=st.sampled_from([0.1, 0.2]), paused=st.booleans())
    def settings_change(self, rate: float, paused: bool) -> None:
        sampling = msgspec.structs.replace(self.app.sampling, rate=rate)
        self.app = msgspec.structs.replace(self.app, sampling=sampling)
        assert not self.send("app.changed", paused=paused).refused

    @rule(revision=st.integers(0, 3))
    def rollback(self, revision: int) -> None:
        """With a trial running or paused, a rollback works whatever revision was seen, and all keys go back."""
        trial = self.situation().trial
        decision = self.send("rollout.rollback", revision=revision)
        if trial is not None:
            assert not decision.refused
            assert self.deployment is not None
            assert (self.deployment.stable, self.deployment.candidate) == (trial.from_version, None)
            assert trial.to_version in self.situation().latched

    @precondition(lambda self: self.on_trial())
    @rule(stage_checks=st.integers(0, 50), candidate=INTERVALS, control=INTERVALS)
    def checks(self, stage_checks: int, candidate: Interval, control: Interval) -> None:
        self.weigh(Evidence(stage_checks=stage_checks, candidate=candidate, control=control))

    @precondition(lambda self: self.on_trial())
    @rule(stage_checks=st.sampled_from([9, 10]))
    def good_checks(self, stage_checks: int) -> None:
        trial = self.situation().trial
        assert trial is not None
        candidate = Interval(checks=100, estimate=0.98, low=0.95, high=1.0)
        stepped = self.weigh(Evidence(stage_checks=stage_checks, candidate=candidate, control=candidate))
        assert stepped == (trial.state == "running" and stage_checks >= self.app.rollout.min_checks)

    def weigh(self, evidence: Evidence) -> bool:
        """Whether it changed what runs. A paused trial may only go back."""
        trial, before = self.situation().trial, self.deployment
        self.take(on_evidence(self.situation(), evidence, AT))
        assert trial is not None
        assert before is not None
        assert self.deployment is not None
        if trial.state == "paused" and self.deployment != before:
            assert (self.deployment.candidate, self.deployment.stable) == (None, before.stable)
        return self.deployment != before

    @precondition(lambda self: self.on_trial())
    @rule(nothing=st.sampled_from(NOTHING), control=INTERVALS)
    def no_data(self, nothing: Interval, control: Interval) -> None:
        before = self.deployment
        self.take(on_evidence(self.situation(), Evidence(stage_checks=500, candidate=nothing, control=control), AT))
        assert self.deployment == before

    @precondition(lambda self: self.deployment is not None)
    @rule(verb=st.sampled_from(["rollout.promote", "rollout.promote_all", "rollout.pause", "rollout.start"]))
    def a_stale_verb(self, verb: str) -> None:
        assert self.deployment is not None
        assert self.send(verb, revision=self.deployment.revision - 1, version=2, reopen=True).refused

    @invariant()
    def somebody_always_answers(self) -> None:
        if self.deployment is not None:
            assert self.deployment.stable is not None
            assert str(self.deployment.stable) in self.deployment.programs
            if self.deployment.candidate is not None:
                assert str(self.deployment.candidate) in self.deployment.programs
                assert 1 <= self.deployment.share <= 100
            else:
                assert (self.deployment.share, self.deployment.mode) == (0, "none")

    @invariant()
    def the_share_of_a_trial_only_grows_under_one_salt(self) -> None:
        d = self.deployment
        if d is None or d.candidate is None:
            return
        trial = self.situation().trial
        assert trial is not None
        assert (d.salt, d.share) == (trial.id, trial.weight)
        earlier = self.seen.get(d.salt)
        if earlier is not None:
            assert earlier.candidate == d.candidate
            assert earlier.share <= d.share
        self.seen[d.salt] = d

    @invariant()
    def who_was_taken_back_does_not_answer(self) -> None:
        if self.deployment is not None:
            assert not {self.deployment.stable, self.deployment.candidate} & self.situation().latched

    @invariant()
    def at_most_one_trial(self) -> None:
        assert sum(r.state in ("running", "paused") for r in self.history) <= 1


TestRollouts = pytest.mark.timeout(300)(pytest.mark.slow(Rollouts.TestCase))
# 250 runs of 80 steps: 20,000.
TestRollouts.settings = settings(
    max_examples=250, stateful_step_count=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def interval(estimate: float, half: float = 0.02, checks: int = 200) -> Interval:
    return Interval(checks=checks, estimate=estimate, low=estimate - half, high=min(1.0, estimate + half))


@pytest.mark.parametrize(
    ("candidate", "control", "stage_checks", "verdict"),
    [
        (interval(0.97), interval(0.97), 50, "step"),
        (interval(0.97), Interval(), 50, "step"),
        (interval(0.97), interval(0.97), 49, "hold"),
        (interval(0.85), interval(0.97), 5, "back"),
        (interval(0.85), Interval(), 5, "back"),
        (interval(0.89), interval(0.91), 500, "hold"),
        (interval(0.92, 0.01), interval(0.99, 0.005), 500, "back"),
        (interval(0.95), interval(0.98), 500, "hold"),
        # The stable version is under the limit itself: better than it is good enough, worse than it is not.
        (interval(0.80), interval(0.60), 50, "step"),
        (interval(0.80), interval(0.60, checks=29), 50, "back"),
        (interval(0.50), interval(0.60), 50, "back"),
    ],
)
def test_the_judgement(candidate: Interval, control: Interval, stage_checks: int, verdict: str) -> None:
    evidence = Evidence(stage_checks=stage_checks, candidate=candidate, control=control)
    assert judge(RolloutPolicy(min_checks=50, min_agreement=0.9), evidence, stable=1).verdict == verdict


def test_stages_rise_and_end_at_all() -> None:
    assert stages_of((10, 50, 100)) == (10, 50, 100)
    assert stages_of([5]) == (5, 100)
    for bad in ((), (0, 100), (50, 10), (10, 10), (10, 101), (1.5,), (True,), "10", None, {"a": 1}):
        assert stages_of(bad) is None


def test_who_answers_at_ten_percent_still_does_at_fifty() -> None:
    s = Situation(
        app=LoopApp(id="spam"),
        deployment=Deployment(app="spam", revision=1, stable=1, programs={"1": "a"}),
        programs={1: "a", 2: "b"},
    )
    command = Command(id="c", app="spam", verb="rollout.start", arguments={"version": 2})
    ten = on_command(s, command, AT)
    assert ten.deployment is not None
    s = msgspec.structs.replace(s, deployment=ten.deployment, rollout=ten.rollout)
    fifty = on_command(s, msgspec.structs.replace(command, verb="rollout.promote"), AT).deployment
    assert fifty is not None
    keys = [str(n).encode() for n in range(20_000)]
    first = {k for k in keys if ten.deployment.variant_for(k) == "candidate"}
    second = {k for k in keys if fifty.variant_for(k) == "candidate"}
    assert first < second
    assert len(first) / len(keys) == pytest.approx(0.10, abs=0.01)
    assert len(second) / len(keys) == pytest.approx(0.50, abs=0.015)
