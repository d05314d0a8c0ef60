"""Validations of one app in order, what is known of its versions out: tallies, the trial's two arms, drift signals.

Sans-IO and serialisable: the controller stores it whole, together with the offsets it has seen, so a validation that
is delivered again is not counted again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from loopai.deployments import Deployment
from loopai.records import Rollout, ValidationResult
from rollouts.drift import AdwinDetector, Detector, DetectorState, Signal, restore
from rollouts.estimates import Tally
from rollouts.judging import Evidence

KEPT_VERSIONS: Final = 6
KEPT_MISTAKES: Final = 20


class Trial(msgspec.Struct, kw_only=True):
    """The two arms since a rollout began; `stage_checks` counts from the revision that set the present share."""

    rollout: str
    weight: int
    revision: int
    stage_checks: int = 0
    candidate: Tally = msgspec.field(default_factory=Tally)
    control: Tally = msgspec.field(default_factory=Tally)


class EvidenceState(msgspec.Struct, kw_only=True):
    """What survives a restart. `seen` counts validations; `mistakes` are the ids of the latest wrong answers."""

    seen: int = 0
    stable: int | None = None
    program: str = ""
    tallies: dict[int, Tally] = {}
    trial: Trial | None = None
    detector: DetectorState = msgspec.field(default_factory=lambda: DetectorState(name=AdwinDetector.name))
    mistakes: list[str] = []


class AppEvidence:
    """One app's evidence. Call `follow` with what is deployed, then `observe` with each validation."""

    def __init__(self, state: EvidenceState | None = None) -> None:
        self.state = state or EvidenceState()
        self.detector: Detector = restore(self.state.detector)

    def follow(self, deployment: Deployment | None, rollout: Rollout | None) -> None:
        """Takes note of what runs now: another stable version begins a new reference, another rollout new arms."""
        s = self.state
        stable = deployment.stable if deployment else None
        program = deployment.programs.get(str(stable), "") if deployment else ""
        if stable is None or (stable == s.stable and program != s.program):
            s.tallies = {}  # an app that was deleted and made anew: the same number, another program
        if (stable, program) != (s.stable, s.program):
            if s.stable is not None:
                self.detector.renew()
                s.mistakes = []
            s.stable, s.program = stable, program
        if deployment is None or rollout is None:
            s.trial = None
        elif s.trial is None or s.trial.rollout != rollout.id:
            s.trial = Trial(rollout=rollout.id, weight=rollout.weight, revision=deployment.revision)
        elif s.trial.weight != rollout.weight:
            s.trial.weight, s.trial.revision, s.trial.stage_checks = rollout.weight, deployment.revision, 0

    def observe(self, v: ValidationResult, deployment: Deployment | None) -> Signal | None:
        """Counts one validation. Returns what the detector says, if anything."""
        s = self.state
        s.seen += 1
        right = self._tally(v.version).update(v.verdict, v.inclusion_probability)
        if right is None:
            return None
        if s.trial is not None and deployment is not None:
            if v.version == deployment.candidate:
                s.trial.candidate.update(v.verdict, v.inclusion_probability)
                # An answer of an earlier stage may be checked late; it is evidence, but not of this stage.
                s.trial.stage_checks += v.revision == 0 or v.revision >= s.trial.revision
            elif v.version == deployment.stable:
                s.trial.control.update(v.verdict, v.inclusion_probability)
        if v.version != s.stable:
            return None
        if not right:
            s.mistakes = [*s.mistakes[1 - KEPT_MISTAKES :], v.id]
        return self.detector.update(int(not right), 1.0 / max(v.inclusion_probability, 1e-6))

    def of_trial(self) -> Evidence | None:
        """The evidence on the present trial."""
        trial = self.state.trial
        if trial is None:
            return None
        return Evidence(
            stage_checks=trial.stage_checks, candidate=trial.candidate.bound(), control=trial.control.bound()
        )

    def _tally(self, version: int) -> Tally:
        tallies = self.state.tallies
        if version not in tallies:
            tallies[version] = Tally()
            for old in sorted(tallies)[:-KEPT_VERSIONS]:
                if old != self.state.stable and old != version:
                    del tallies[old]
        return tallies[version]
