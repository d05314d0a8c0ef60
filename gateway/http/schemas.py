"""Request bodies, strictly checked: what may be sent, within which bounds, with an example each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from loopai.apps import APP_ID, Fallback, Kind, OracleKind, SamplerKind
from programs.artifact import Strategy

Name = Annotated[str, StringConstraints(max_length=200)]
Long = Annotated[str, StringConstraints(max_length=10_000)]
LabelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Labels = Annotated[list[LabelName], Field(max_length=1_000)]
Stages = Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=1, max_length=20)]
Reason = Annotated[str, StringConstraints(max_length=1_000)]
SeenRevision = Annotated[
    int | None,
    Field(ge=0, lt=2**53, description="The deployment's revision that was seen: 409 when it is another now."),
]
RecordId = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SamplingBody(Strict):
    """Which answers are checked."""

    sampler: SamplerKind = "random"
    rate: float = Field(0.1, gt=0, le=1)


class OracleBody(Strict):
    """Who says what is right."""

    kind: OracleKind = "labels"
    model: Name = ""
    wait_seconds: float = Field(30.0, gt=0, le=86_400)


class BudgetBody(Strict):
    """Hard limits a UTC day; 0 forbids every call."""

    usd_per_day: float = Field(5.0, ge=0, le=1_000_000)
    calls_per_day: int = Field(10_000, ge=0, le=1_000_000_000)


class RolloutPolicyBody(Strict):
    """How a candidate becomes stable."""

    stages: Stages = [10, 50, 100]
    min_checks: int = Field(50, ge=1, le=1_000_000)
    min_agreement: float = Field(0.9, ge=0, le=1)
    automatic: bool = True


class ExampleBody(Strict):
    """A labelled input. Without an `id` its content names it, so the same example again is one example."""

    id: RecordId | None = None
    input: Any
    expected: Any


class NewApp(Strict):
    """A loop app. Only `id` is required."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "spam-filter",
                    "kind": "classification",
                    "description": "Is this text message spam?",
                    "labels": ["ham", "spam"],
                    "examples": [{"input": {"text": "You won a prize, call now"}, "expected": "spam"}],
                }
            ]
        }
    )

    id: Annotated[str, StringConstraints(pattern=APP_ID.pattern)]
    name: Name = ""
    kind: Kind = "classification"
    description: Long = ""
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    labels: Labels = []
    sampling: SamplingBody = SamplingBody()
    oracle: OracleBody = OracleBody()
    budget: BudgetBody = BudgetBody()
    rollout: RolloutPolicyBody = RolloutPolicyBody()
    fallback: Fallback = "abstain"
    simulated: bool = False
    examples: list[ExampleBody] = []


class AppChange(Strict):
    """Fields to change; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sampling": {"sampler": "random", "rate": 0.2}}]})

    name: Name | None = None
    description: Long | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    labels: Labels | None = None
    sampling: SamplingBody | None = None
    oracle: OracleBody | None = None
    budget: BudgetBody | None = None
    rollout: RolloutPolicyBody | None = None
    fallback: Fallback | None = None
    simulated: bool | None = None


class Generate(Strict):
    """How to generate; everything may be left to the router."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"strategy": "linear", "seed": 0}]})

    strategy: Strategy | None = None
    seed: int = Field(0, ge=0, lt=2**31)
    rollout: bool = Field(False, description="Start a trial of the new version when another one runs.")


class StartRollout(Strict):
    """The version to move to. Without `stages` the app's policy says them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 2, "stages": [10, 50, 100]}]})

    version: int = Field(ge=1, lt=2**31)
    stages: Stages | None = None
    reopen: bool = Field(False, description="Try again a version that was rolled back.")
    reason: Reason = ""
    revision: SeenRevision = None


class Because(Strict):
    """Why a person acts; it lands in the event."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Looks right on the checks."}]})

    reason: Reason = ""
    revision: SeenRevision = None


RolloutVerb = Literal["promote", "promote-all", "pause", "resume", "rollback"]
