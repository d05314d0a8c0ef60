"""The rollout state machine: a situation and a verb, or evidence, in; a decision out. Pure: no clock, no I/O.

The rules that hold whatever is asked and in whatever order:

- A version that was taken back stays back (the latch) until somebody starts it with `reopen: true`.
- A rollback beats every other verb: it ignores `revision`, it works while paused, and after completion too.
- The share of a running trial only grows, and its salt never changes: no key goes back and forth.
- No data, or a figure that is no number, never promotes. A paused trial never steps by itself, yet is rolled back.
- Revisions only grow; whoever gives the `revision` they saw is refused when it is no longer the present one, so two
  people who promote at once step once.

What the evidence says is read in `rollouts.judging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec

from loopai.apps import LoopApp
from loopai.deployments import Deployment
from loopai.records import Command, Rollout
from rollouts import words
from rollouts.judging import Evidence, Judgement, judge


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision may look at. `rollout` is the newest one, running or finished; `programs` maps every version
    of the app to its id; `latched` are the versions whose last trial ended in a rollback."""

    app: LoopApp
    deployment: Deployment | None = None
    rollout: Rollout | None = None
    programs: Mapping[int, str] = {}
    latched: frozenset[int] = frozenset()

    @property
    def trial(self) -> Rollout | None:
        """The rollout that is running or paused."""
        d, r = self.deployment, self.rollout
        if r is None or r.state not in ("running", "paused") or d is None or d.candidate != r.to_version:
            return None
        return r


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """An event without id and time: what the caller stamps."""

    type: str
    summary: str
    data: dict[str, Any] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be stored and told. None leaves as it is. A refusal changes nothing."""

    deployment: Deployment | None = None
    rollout: Rollout | None = None
    facts: tuple[Fact, ...] = ()
    refused: bool = False


def on_evidence(s: Situation, evidence: Evidence, at: str) -> Decision | None:
    """What the checks alone decide, or None. `at` stamps the rollout and decides nothing."""
    trial = s.trial
    if trial is None:
        return None
    judgement = judge(s.app.rollout, evidence, trial.from_version)
    n = evidence.candidate.checks
    trial = msgspec.structs.replace(trial, checks=n, updated_at=at)
    if judgement.verdict == "back":
        return _take_back(s, trial, judgement.reason, trigger="auto", actor="loopai", judgement=judgement)
    if judgement.verdict == "step" and trial.state == "running" and s.app.rollout.automatic:
        return _step(s, trial, actor="loopai", reason=judgement.reason, right=evidence.candidate.estimate)
    return None


def on_command(s: Situation, command: Command, at: str) -> Decision:
    """What a verb decides. The answer is a fact: what happened, or `command.refused` with a way out."""
    verb = _VERBS.get(command.verb)
    if verb is None:
        return refuse(f"The controller does not know {command.verb!r}.", "Use one of the documented verbs.")
    seen = command.arguments.get("revision")
    present = s.deployment.revision if s.deployment else 0
    if command.verb != "rollout.rollback" and seen is not None and seen != present:
        return refuse(f"Somebody changed {s.app.id} meanwhile.", "Look again, then decide again.", revision=present)
    return verb(s, command, at)


def refuse(reason: str, next_step: str, **data: Any) -> Decision:
    """A refusal: a sentence that says why, and one that says what to do."""
    fact = Fact(type="command.refused", summary=f"{reason} {next_step}", data={"reason": reason, **data})
    return Decision(facts=(fact,), refused=True)


def stages_of(given: Any) -> tuple[int, ...] | None:
    """Shares in percent, rising, ending at 100 (added when absent); None when `given` is nothing of the kind."""
    if not isinstance(given, list | tuple) or not given:
        return None
    if not all(type(share) is int and 1 <= share <= 100 for share in given):
        return None
    if any(b <= a for a, b in pairwise(given)):
        return None
    return tuple(given) if given[-1] == 100 else (*given, 100)


def _activate(s: Situation, command: Command, at: str) -> Decision:
    version = _version(s, command)
    if isinstance(version, Decision):
        return version
    if s.deployment is not None and s.deployment.stable is not None:
        return refuse(
            f"v{s.deployment.stable} already answers for {s.app.id}.", f"Start a trial: rollout start {s.app.id}."
        )
    deployment = Deployment(
        app=s.app.id,
        revision=_next(s),
        stable=version,
        programs={str(version): s.programs[version]},
        sampling=s.app.sampling,
        input_schema=s.app.input_schema,
        output_schema=s.app.output_schema,
    )
    data = {"program": version, "revision": deployment.revision, "actor": command.actor}
    fact = Fact(type="program.activated", summary=words.activated(version), data=data)
    return Decision(deployment=deployment, facts=(fact,))


def _start(s: Situation, command: Command, at: str) -> Decision:
    version = _version(s, command)
    if isinstance(version, Decision):
        return version
    d = s.deployment
    if d is None or d.stable is None:
        return refuse(f"No program answers for {s.app.id} yet.", f"Activate v{version} first.")
    if s.trial is not None:
        return refuse(f"v{s.trial.to_version} is on trial.", "Promote it to all inputs or go back first.")
    if version == d.stable:
        return refuse(f"v{version} already answers all inputs.", "Choose another version.")
    if version in s.latched and command.arguments.get("reopen") is not True:
        return refuse(
            f"v{version} was taken back and stays so.", "If the cause is gone, start it with reopen.", version=version
        )
    stages = stages_of(command.arguments.get("stages", s.app.rollout.stages))
    if stages is None:
        return refuse("The stages are not rising shares from 1 to 100 percent.", "Give for example [10, 50, 100].")
    revision = _next(s)
    rollout = Rollout(
        id=f"{s.app.id}-v{version}-r{revision}",
        app=s.app.id,
        from_version=d.stable,
        to_version=version,
        stages=stages,
        weight=stages[0],
        reason=_text(command.arguments.get("reason")),
        started_at=at,
        updated_at=at,
    )
    deployment = msgspec.structs.replace(
        d,
        revision=revision,
        candidate=version,
        mode="canary",
        share=stages[0],
        salt=rollout.id,
        programs={str(d.stable): d.programs[str(d.stable)], str(version): s.programs[version]},
    )
    return Decision(
        deployment=deployment,
        rollout=rollout,
        facts=(
            _fact("rollout.started", words.trial_started(version, stages[0]), rollout, command.actor, rollout.reason),
        ),
    )


def _promote(s: Situation, command: Command, at: str) -> Decision:
    if s.trial is None:
        return _no_trial(s)
    trial = msgspec.structs.replace(s.trial, updated_at=at)
    return _step(s, trial, actor=command.actor, reason=_text(command.arguments.get("reason")))


def _promote_all(s: Situation, command: Command, at: str) -> Decision:
    if s.trial is None:
        return _no_trial(s)
    trial = msgspec.structs.replace(s.trial, updated_at=at)
    return _complete(s, trial, actor=command.actor, reason=_text(command.arguments.get("reason")))


def _pause(s: Situation, command: Command, at: str) -> Decision:
    if s.trial is None:
        return _no_trial(s)
    if s.trial.state == "paused":
        return refuse(f"The trial of v{s.trial.to_version} is paused already.", "Resume it, promote it or go back.")
    return _mark(s.trial, "paused", "rollout.paused", words.paused, command, at)


def _resume(s: Situation, command: Command, at: str) -> Decision:
    if s.trial is None:
        return _no_trial(s)
    if s.trial.state == "running":
        return refuse(f"The trial of v{s.trial.to_version} is not paused.", "Nothing to do.")
    return _mark(s.trial, "running", "rollout.resumed", words.resumed, command, at)


def _rollback(s: Situation, command: Command, at: str) -> Decision:
    reason = _text(command.arguments.get("reason")) or f"asked by {command.actor}"
    if s.trial is not None:
        trial = msgspec.structs.replace(s.trial, updated_at=at)
        return _take_back(s, trial, reason, trigger="manual", actor=command.actor)
    last, d = s.rollout, s.deployment
    if last is None or d is None or last.state != "completed" or d.stable != last.to_version:
        return refuse("There is nothing to go back from.", "Start a trial of the version you want instead.")
    if last.from_version not in s.programs:
        return refuse(f"v{last.from_version} is gone.", "Start a trial of the version you want instead.")
    # A finished rollout stays as it was written; going back after it is one of its own, finished at once.
    undone = msgspec.structs.replace(last, id=f"{last.id}-back-r{_next(s)}", started_at=at, updated_at=at)
    return _take_back(s, undone, reason, trigger="manual", actor=command.actor)


def _take_back(
    s: Situation, trial: Rollout, reason: str, *, trigger: str, actor: str, judgement: Judgement | None = None
) -> Decision:
    rollout = msgspec.structs.replace(trial, state="rolled_back", weight=0, reason=reason)
    deployment = _only(s, trial.from_version)
    data: dict[str, Any] = {"trigger": trigger, "n": trial.checks, "revision": deployment.revision}
    if judgement is not None:
        data |= {"guardrail": judgement.guardrail, "value": judgement.value, "limit": judgement.limit}
    fact = _fact(
        "rollout.rolled_back", words.went_back(trial.from_version, reason), rollout, actor, reason, share=0, **data
    )
    return Decision(deployment=deployment, rollout=rollout, facts=(fact,))


def _step(s: Situation, trial: Rollout, *, actor: str, reason: str, right: float | None = None) -> Decision:
    higher = [share for share in trial.stages if share > trial.weight]
    if not higher:
        return _complete(s, trial, actor=actor, reason=reason, right=right)
    assert s.deployment is not None  # there is a trial
    rollout = msgspec.structs.replace(trial, weight=higher[0])
    deployment = msgspec.structs.replace(s.deployment, revision=_next(s), share=higher[0])
    summary = words.trial_stepped(trial.to_version, higher[0], right, trial.checks)
    fact = _fact("rollout.step_changed", summary, rollout, actor, reason, n=trial.checks, value=right)
    return Decision(deployment=deployment, rollout=rollout, facts=(fact,))


def _complete(s: Situation, trial: Rollout, *, actor: str, reason: str, right: float | None = None) -> Decision:
    rollout = msgspec.structs.replace(trial, state="completed", weight=100)
    summary = words.completed(trial.to_version, right, trial.checks)
    fact = _fact("rollout.completed", summary, rollout, actor, reason, n=trial.checks, value=right)
    return Decision(deployment=_only(s, trial.to_version), rollout=rollout, facts=(fact,))


def _mark(
    trial: Rollout,
    state: Literal["running", "paused"],
    type: str,
    sentence: Callable[[int, int, str, str], str],
    command: Command,
    at: str,
) -> Decision:
    reason = _text(command.arguments.get("reason"))
    rollout = msgspec.structs.replace(trial, state=state, updated_at=at)
    summary = sentence(trial.to_version, trial.weight, command.actor, reason)
    return Decision(rollout=rollout, facts=(_fact(type, summary, rollout, command.actor, reason),))


def _changed(s: Situation, command: Command, at: str) -> Decision:
    """`app.changed`: what the app says of sampling and schemas comes into force, and `paused` where it is given."""
    d = s.deployment
    accepted = Fact(type="command.accepted", summary=f"The settings of {s.app.id} are in force.")
    if d is None:
        return Decision(facts=(accepted,))
    paused = command.arguments.get("paused", d.paused)
    wanted = msgspec.structs.replace(
        d,
        sampling=s.app.sampling,
        input_schema=s.app.input_schema,
        output_schema=s.app.output_schema,
        paused=paused is True,
    )
    if wanted == d:
        return Decision(facts=(accepted,))
    return Decision(deployment=msgspec.structs.replace(wanted, revision=_next(s)), facts=(accepted,))


def _only(s: Situation, version: int) -> Deployment:
    """The deployment in which `version` answers everything."""
    assert s.deployment is not None  # whoever steps or goes back has one
    program = s.deployment.programs.get(str(version)) or s.programs[version]
    return msgspec.structs.replace(
        s.deployment,
        revision=_next(s),
        stable=version,
        candidate=None,
        mode="none",
        share=0,
        salt="",
        programs={str(version): program},
    )


def _version(s: Situation, command: Command) -> int | Decision:
    version = command.arguments.get("version")
    if type(version) is not int:
        return refuse("No version was given.", "Give a version number, for example 2.")
    if version not in s.programs:
        known = ", ".join(f"v{v}" for v in sorted(s.programs)[-5:]) or "none"
        return refuse(f"{s.app.id} has no v{version} (there are: {known}).", "Choose one or generate one.")
    return version


def _no_trial(s: Situation) -> Decision:
    if s.rollout is not None and s.rollout.state == "rolled_back":
        back = s.rollout
        return refuse(
            f"The trial of v{back.to_version} ended: went back to v{back.from_version}.", "Start another one."
        )
    return refuse(f"{s.app.id} has no trial running.", "Start one first.")


def _next(s: Situation) -> int:
    return 1 + (s.deployment.revision if s.deployment else 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _fact(type: str, summary: str, r: Rollout, actor: str, reason: str, **more: Any) -> Fact:
    data = {
        "rollout": r.id,
        "from": r.from_version,
        "to": r.to_version,
        "step": r.stages.index(r.weight) + 1 if r.weight in r.stages else 0,
        "steps": list(r.stages),
        "weight": r.weight,
        "state": r.state,
        "actor": actor,
        "reason": reason,
    }
    return Fact(type=type, summary=summary, data=data | more)


_VERBS: Final[Mapping[str, Callable[[Situation, Command, str], Decision]]] = {
    "program.activate": _activate,
    "rollout.start": _start,
    "rollout.promote": _promote,
    "rollout.promote_all": _promote_all,
    "rollout.pause": _pause,
    "rollout.resume": _resume,
    "rollout.rollback": _rollback,
    "app.changed": _changed,
}
