"""The names of every metric and span, in one typed place. `docs/reference/metrics.md` is compared with it by a test."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Metric(NamedTuple):
    """A Prometheus series: base units, unit in the name, no unbounded label."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


INPUTS: Final = Metric("loopai_inputs_total", "counter", "Inputs by how they ended.", ("loop", "outcome"))
EXECUTION_SECONDS: Final = Metric(
    "loopai_execution_duration_seconds", "histogram", "Time of one execution in the jail.", ("loop", "program")
)
OLDEST_WAITING: Final = Metric(
    "loopai_oldest_waiting_input_seconds", "gauge", "Age of the oldest input not yet answered.", ("loop",)
)
CONSUMER_LAG: Final = Metric(
    "loopai_consumer_lag_messages", "gauge", "Messages not yet consumed.", ("topic", "partition")
)
SAMPLED: Final = Metric("loopai_sampled_total", "counter", "Answers chosen to be checked.", ("loop",))
DEAD_LETTERS: Final = Metric("loopai_dead_letters_total", "counter", "Records set aside.", ("topic", "reason"))
VALIDATIONS: Final = Metric("loopai_validations_total", "counter", "Checks by verdict.", ("loop", "program", "verdict"))
AGREEMENT: Final = Metric(
    "loopai_validation_agreement_ratio", "gauge", "Agreement with the oracle.", ("loop", "program")
)
ORACLE_REQUESTS: Final = Metric(
    "loopai_oracle_requests_total", "counter", "Calls to the oracle by outcome.", ("provider", "model", "outcome")
)
ORACLE_SECONDS: Final = Metric(
    "loopai_oracle_request_duration_seconds", "histogram", "Time of a call to the oracle.", ("provider", "model")
)
ORACLE_COST: Final = Metric(
    "loopai_oracle_cost_usd_total", "counter", "Money spent on LLM calls.", ("provider", "model", "purpose")
)
DRIFT_SCORE: Final = Metric("loopai_drift_score", "gauge", "Score of a drift detector.", ("loop", "detector"))
ALERTS_OPEN: Final = Metric("loopai_alerts_open", "gauge", "Alerts that nobody resolved.", ("severity",))
ROLLOUT_WEIGHT: Final = Metric(
    "loopai_rollout_weight_ratio", "gauge", "Share of the keys on the candidate.", ("loop", "candidate")
)
ROLLBACKS: Final = Metric("loopai_rollbacks_total", "counter", "Rollbacks by trigger.", ("loop", "trigger"))
SANDBOX_KILLS: Final = Metric("loopai_sandbox_kills_total", "counter", "Jailed workers ended.", ("reason",))
LIVE_CLIENTS: Final = Metric("loopai_live_clients", "gauge", "Connected live clients.", ("namespace",))
LIVE_RESYNCS: Final = Metric("loopai_live_resyncs_total", "counter", "Resumes by result.", ("result",))
HTTP_REQUESTS: Final = Metric(
    "loopai_http_requests_total", "counter", "HTTP requests by route and status.", ("route", "method", "status")
)
BUILD_INFO: Final = Metric("loopai_build_info", "gauge", "Constant 1 with the version.", ("version",))

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
