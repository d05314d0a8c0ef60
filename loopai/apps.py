"""A loop app: one repeated judgement, what goes in, what comes out, and who says what is right."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

Kind = Literal["classification", "extraction", "validation"]
Fallback = Literal["abstain", "oracle"]
OracleKind = Literal["labels", "llm", "human", "none"]
SamplerKind = Literal["random", "stratified", "uncertainty", "diversity", "adaptive", "time"]

APP_ID = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
"""Ids are DNS labels: they become topic keys, metric labels and room names, and never part of a path."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Which answers are checked. `rate` in (0, 1] is the expected share of answers that are sampled."""

    sampler: SamplerKind = "random"
    rate: float = 0.1


class OraclePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who says what is right. `model` names the reference model for `llm`; `wait_seconds` bounds a label's delay."""

    kind: OracleKind = "labels"
    model: str = ""
    wait_seconds: float = 30.0


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Hard limits a day (UTC), reserved before each call. 0 forbids every call."""

    usd_per_day: float = 5.0
    calls_per_day: int = 10_000


class RolloutPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate becomes stable.

    `stages` are percent of the keys in order; `min_checks` validations of the candidate are needed before a step;
    agreement under `min_agreement` (a ratio), surely, rolls back; `automatic` steps without a person.
    """

    stages: tuple[int, ...] = (10, 50, 100)
    min_checks: int = 50
    min_agreement: float = 0.9
    automatic: bool = True


class LoopApp(msgspec.Struct, frozen=True, kw_only=True):
    """One task on a stream. `labels` closes the output of a classification; `simulated` marks made-up traffic."""

    id: str
    name: str = ""
    kind: Kind = "classification"
    description: str = ""
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] = {}
    labels: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    oracle: OraclePolicy = OraclePolicy()
    budget: Budget = Budget()
    rollout: RolloutPolicy = RolloutPolicy()
    fallback: Fallback = "abstain"
    simulated: bool = False
    revision: int = 1


def text_input_schema() -> dict[str, Any]:
    """The schema of the commonest input: an object with a `text`."""
    return {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


def label_output_schema(labels: tuple[str, ...]) -> dict[str, Any]:
    """The schema of a classification's output: one of the labels."""
    return {"type": "string", "enum": list(labels)} if labels else {"type": "string"}
