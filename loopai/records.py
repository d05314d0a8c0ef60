"""What crosses a process border on Kafka, one struct a topic value. JSON by msgspec; unknown fields are ignored.

Times are RFC 3339 in UTC; durations name their unit; ratios are 0..1.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from loopai.deployments import Variant

Outcome = Literal["ok", "abstained", "error", "timeout", "killed", "rejected"]
Verdict = Literal["match", "mismatch", "unsure", "error"]
Tier = Literal[1, 2, 3]

ID_HEADER = "ce_id"
APP_HEADER = "loopai-app"


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer, on `loopai.results`. `output` is null unless `outcome` is `ok`; `corrects` marks a repair."""

    id: str
    app: str
    version: int
    variant: Variant
    outcome: Outcome
    output: Any = None
    confidence: float | None = None
    reason: str | None = None
    latency_us: float = 0.0
    revision: int = 0
    corrects: int | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer chosen to be checked, on `loopai.samples`: the input, the answer and how likely it was chosen."""

    id: str
    app: str
    version: int
    program: str
    variant: Variant
    outcome: Outcome
    input: Any
    output: Any = None
    confidence: float | None = None
    inclusion_probability: float = 1.0
    sampler: str = "random"
    revision: int = 0
    sampled_at: str = ""


class ValidationResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check, on `loopai.validations`. `tier` is the tier that decided (1 syntax and type, 2 checks, 3 oracle)."""

    id: str
    app: str
    version: int
    program: str
    variant: Variant
    tier: Tier
    verdict: Verdict
    expected: Any = None
    output: Any = None
    similarity: float | None = None
    comparator: str = "exact"
    inclusion_probability: float = 1.0
    oracle: str = ""
    cost_usd: float = 0.0
    oracle_ms: float = 0.0
    reason: str | None = None
    revision: int = 0
    validated_at: str = ""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """A known answer, on `loopai.labels`, keyed by the record's id."""

    id: str
    app: str
    expected: Any


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something asked of the controller, on `loopai.commands`, keyed by app. Its answer carries the same `id`."""

    id: str
    app: str
    verb: Literal[
        "program.generate",
        "program.activate",
        "rollout.start",
        "rollout.promote",
        "rollout.promote_all",
        "rollout.pause",
        "rollout.resume",
        "rollout.rollback",
        "app.changed",
    ]
    arguments: dict[str, Any] = {}
    actor: str = "anonymous"
    at: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact for people, on `loopai.rollouts` or `loopai.drift-alerts`; `type` is one of `loopai.events`.

    `summary` is the sentence that the timeline shows. `command` is the id of the command it answers, if any.
    """

    id: str
    type: str
    app: str
    at: str
    summary: str
    data: dict[str, Any] = {}
    command: str | None = None


class MetricsWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one executor or validator did for one app in one window, on `loopai.metrics`. Times in microseconds."""

    app: str
    source: str
    window_start: str
    window_ms: int
    inputs: int = 0
    ok: int = 0
    abstained: int = 0
    failed: int = 0
    set_aside: int = 0
    sampled: int = 0
    p50_us: float | None = None
    p95_us: float | None = None
    p99_us: float | None = None
    oldest_waiting_s: float | None = None
    by_version: dict[str, int] = {}


class Agreement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a version agrees with the oracle, on `loopai.metrics` with header type `agreement.window`.

    `estimate`, `low` and `high` are ratios; `checks` is the number of validations behind them.
    """

    app: str
    version: int
    variant: Variant
    checks: int
    estimate: float | None
    low: float
    high: float
    drift_score: float = 0.0
    at: str = ""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled input that programs are induced from. `expected` has the shape of the app's output."""

    id: str
    input: Any
    expected: Any


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Long work that can be watched: a generation. `progress` is 0..1; `result` is filled when it succeeded."""

    id: str
    app: str
    what: Literal["generate"]
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"] = "queued"
    progress: float = 0.0
    step: str = ""
    result: dict[str, Any] = {}
    error: str = ""
    created_at: str = ""
    updated_at: str = ""


class Rollout(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Moving an app from one version to another. `weight` is the percent of keys on the candidate now."""

    id: str
    app: str
    from_version: int
    to_version: int
    stages: tuple[int, ...]
    weight: int = 0
    state: Literal["running", "paused", "completed", "rolled_back"] = "running"
    reason: str = ""
    checks: int = 0
    started_at: str = ""
    updated_at: str = ""
