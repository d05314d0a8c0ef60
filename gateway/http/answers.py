"""Response bodies: every field of the language's structs, present always, documented in OpenAPI."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from loopai.apps import Fallback, Kind, OracleKind, SamplerKind
from loopai.deployments import Mode, Variant
from loopai.records import Outcome, Tier, Verdict
from programs.artifact import Strategy

T = TypeVar("T")

AppState = Literal["no_program", "no_inputs", "healthy", "needs_a_look", "trial_running", "acting", "paused"]


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PageAnswer(Answer, Generic[T]):
    """Some items; `next_cursor` asks for the next ones."""

    items: list[T]
    next_cursor: str | None = None


class SamplingAnswer(Answer):
    sampler: SamplerKind
    rate: float


class OracleAnswer(Answer):
    kind: OracleKind
    model: str
    wait_seconds: float


class BudgetAnswer(Answer):
    usd_per_day: float
    calls_per_day: int


class PolicyAnswer(Answer):
    stages: list[int]
    min_checks: int
    min_agreement: float
    automatic: bool


class AppAnswer(Answer):
    id: str
    name: str
    kind: Kind
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    labels: list[str]
    sampling: SamplingAnswer
    oracle: OracleAnswer
    budget: BudgetAnswer
    rollout: PolicyAnswer
    fallback: Fallback
    simulated: bool
    revision: int


class ScoreAnswer(Answer):
    n: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    abstained: int
    us_per_record: float


class AttemptAnswer(Answer):
    strategy: str
    score: ScoreAnswer | None
    reason: str
    seconds: float


class ManifestAnswer(Answer):
    created_at: str
    reason: str
    parent: str | None
    seed: int
    examples: str
    n_examples: int
    n_held_out: int
    score: ScoreAnswer | None
    attempts: list[AttemptAnswer]
    why: str
    model: str
    prompt: str
    tokens_in: int
    tokens_out: int
    cost_usd: float
    seconds: float


class ProgramAnswer(Answer):
    version: int
    id: str
    kind: Kind
    strategy: Strategy
    created_at: str
    waiver: str
    manifest: ManifestAnswer


class WholeProgramAnswer(ProgramAnswer):
    source: str
    data_bytes: int
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class RunAnswer(Answer):
    id: str
    app: str
    what: Literal["generate"]
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float
    step: str
    result: dict[str, Any]
    error: str
    created_at: str
    updated_at: str


class DeploymentAnswer(Answer):
    app: str
    revision: int
    stable: int | None
    candidate: int | None
    mode: Mode
    share: int
    salt: str
    programs: dict[str, str]
    sampling: SamplingAnswer
    paused: bool


class RolloutAnswer(Answer):
    id: str
    app: str
    from_version: int
    to_version: int
    stages: list[int]
    weight: int
    state: Literal["running", "paused", "completed", "rolled_back"]
    reason: str
    checks: int
    started_at: str
    updated_at: str


class ResultAnswer(Answer):
    id: str
    app: str
    version: int
    variant: Variant
    outcome: Outcome
    output: Any
    confidence: float | None
    reason: str | None
    latency_us: float
    revision: int
    corrects: int | None


class ValidationAnswer(Answer):
    id: str
    app: str
    version: int
    program: str
    variant: Variant
    tier: Tier
    verdict: Verdict
    expected: Any
    output: Any
    similarity: float | None
    comparator: str
    inclusion_probability: float
    oracle: str
    cost_usd: float
    oracle_ms: float
    reason: str | None
    revision: int
    validated_at: str


class AgreementAnswer(Answer):
    app: str
    version: int
    variant: Variant
    checks: int
    estimate: float | None
    low: float
    high: float
    drift_score: float
    at: str


class MetricsAnswer(Answer):
    at: str
    window_ms: int
    inputs: int
    ok: int
    abstained: int
    failed: int
    set_aside: int
    sampled: int
    inputs_per_second: float
    p50_us: float | None
    p95_us: float | None
    p99_us: float | None
    oldest_waiting_s: float | None
    by_version: dict[str, int]


class SeriesAnswer(Answer):
    windows: list[MetricsAnswer]
    agreement: list[AgreementAnswer]


class TotalsAnswer(Answer):
    since: str
    inputs: int
    ok: int
    abstained: int
    failed: int
    set_aside: int
    sampled: int


class ChecksAnswer(Answer):
    match: int = 0
    mismatch: int = 0
    unsure: int = 0
    error: int = 0


class SpendingAnswer(Answer):
    day: str
    usd: float
    calls: int
    reserved_usd: float


class OracleInForce(Answer):
    kind: OracleKind
    model: str


class AgreementsAnswer(Answer):
    stable: AgreementAnswer | None
    candidate: AgreementAnswer | None


class AlertAnswer(Answer):
    id: str
    sequence: str
    type: str
    app: str
    at: str
    summary: str
    severity: Literal["critical", "warning", "info"]
    open: bool
    closed_at: str | None
    data: dict[str, Any]


class EnvelopeAnswer(Answer):
    """A CloudEvents envelope with its position."""

    specversion: Literal["1.0"]
    id: str
    type: str
    source: str
    time: str
    subject: str
    datacontenttype: str
    data: dict[str, Any]
    epoch: str
    sequence: str


class StatusAnswer(Answer):
    app: AppAnswer
    state: AppState
    because: str
    deployment: DeploymentAnswer | None
    rollout: RolloutAnswer | None
    agreement: AgreementsAnswer
    metrics: MetricsAnswer | None
    totals: TotalsAnswer
    checks: ChecksAnswer
    spending: SpendingAnswer
    oracle: OracleInForce
    simulated: bool
    alerts_open: int
    examples: int
    programs: int


class LiveAnswer(Answer):
    clients: int
    dropped: int


class OverviewAnswer(Answer):
    epoch: str
    sequence: str
    at: str
    environment: str
    version: str
    apps: list[StatusAnswer]
    alerts: list[AlertAnswer]
    rollouts: list[RolloutAnswer]
    events: list[EnvelopeAnswer]
    live: LiveAnswer


class AddedAnswer(Answer):
    added: int
    total: int


class IdsAnswer(Answer):
    ids: list[str]


class TicketAnswer(Answer):
    ticket: str
    expires_at: str
