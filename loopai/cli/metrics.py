"""The roles' plain integers as Prometheus series, read when they are asked for. Names come from the one catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loopai import __version__, telemetry

if TYPE_CHECKING:  # an executor carries no drift detector, and nobody the parts of another role
    from executors.executor import Executor
    from executors.jail.jail import Jail
    from rollouts.controller import Controller
    from validators.validator import Validator

Rows = Iterable[tuple[tuple[str, ...], float]]
Series = tuple[telemetry.Metric, Callable[[], Rows]]


class _Read(Collector):
    """Each series' rows at the moment of the scrape."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._series = tuple(series)

    def collect(self) -> Iterator[Metric]:
        for metric, rows in self._series:
            made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = made(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
            for labels, value in rows():
                family.add_metric(labels, value)
            yield family


def _counts(counter: Mapping[Any, float], *fixed: str) -> Rows:
    for key, value in counter.items():
        yield ((*fixed, *key) if isinstance(key, tuple) else (*fixed, str(key))), value


def _build() -> Series:
    return telemetry.BUILD_INFO, lambda: [((__version__,), 1.0)]


def executor_metrics(registry: CollectorRegistry, executor: Executor, jail: Jail) -> None:
    """Inputs by outcome, samples, dead letters, the oldest waiting input, and ended workers."""
    meter = executor.meter
    registry.register(
        _Read(
            [
                (telemetry.INPUTS, lambda: _counts(meter.totals)),
                (telemetry.SAMPLED, lambda: _counts(meter.sampled)),
                (telemetry.DEAD_LETTERS, lambda: _counts(meter.dead_letters, "loopai.inputs")),
                (telemetry.OLDEST_WAITING, lambda: _counts(meter.oldest_seconds)),
                (telemetry.SANDBOX_KILLS, lambda: _counts(jail.kills)),
                _build(),
            ]
        )
    )


def validator_metrics(registry: CollectorRegistry, validator: Validator) -> None:
    """Checks by verdict, oracle calls by how they ended, and what they cost."""
    counters = validator.counters
    registry.register(
        _Read(
            [
                (telemetry.VALIDATIONS, lambda: _counts({k: float(v) for k, v in counters.validations.items()})),
                (
                    telemetry.ORACLE_REQUESTS,
                    lambda: [((o, "", outcome), float(n)) for (o, outcome), n in counters.oracle_requests.items()],
                ),
                (
                    telemetry.ORACLE_COST,
                    lambda: [((oracle, "", "validate"), usd) for oracle, usd in counters.cost_usd.items()],
                ),
                _build(),
            ]
        )
    )


def controller_metrics(registry: CollectorRegistry, controller: Controller) -> None:
    """Rollbacks so far."""
    registry.register(_Read([(telemetry.ROLLBACKS, lambda: [(("", "all"), float(controller.rollbacks))]), _build()]))
