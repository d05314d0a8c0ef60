"""The gateway's metrics: plain numbers in, Prometheus text out. Names come from `loopai.telemetry` alone.

prometheus_client's own counters lock on every call and add a `_created` series each; here a counter is a number in a
dict, and the library only writes the text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from loopai import __version__
from loopai.telemetry import BUILD_INFO, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counters(Collector):
    """One registry of its own; `add` counts up, `put` sets."""

    def __init__(self) -> None:
        self._values: dict[Metric, dict[tuple[str, ...], float]] = defaultdict(dict)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self.put(BUILD_INFO, __version__, value=1)

    def add(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """Counts up. `labels` are in the order of the catalogue."""
        series = self._values[metric]
        series[labels] = series.get(labels, 0) + by

    def put(self, metric: Metric, *labels: str, value: float) -> None:
        """Sets a gauge."""
        self._values[metric][labels] = value

    def drop(self, metric: Metric, *labels: str) -> None:
        """Forgets a gauge that no longer means anything."""
        self._values[metric].pop(labels, None)

    def get(self, metric: Metric, *labels: str) -> float:
        """The present value; 0 when it was never touched."""
        return self._values[metric].get(labels, 0)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        for metric, series in self._values.items():
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.kind == "counter":
                family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            else:
                family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in list(series.items()):
                family.add_metric(labels, value)
            yield family
