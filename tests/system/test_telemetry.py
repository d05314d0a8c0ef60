"""The embedded platform seen from outside: one trace through Kafka, metrics by the catalogue, health, JSON logs."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from loopai import telemetry
from tests.support.platform import Platform, running

ROWS = [(f"win cash prize {i}", "spam") for i in range(30)] + [(f"see you at lunch {i}", "ham") for i in range(30)]


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector would (OTLP over HTTP)."""

    def __init__(self) -> None:
        self.spans: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        assert isinstance(self.server, Collector)
        for resource in request.resource_spans:
            role = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.server.spans[span.trace_id].append((role, span.name))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Platform]:
    """`loopai serve all` with nothing but itself, every record traced."""
    environment = {
        "LOOPAI_TELEMETRY__OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "LOOPAI_TELEMETRY__TRACE_RATIO": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with running(tmp_path_factory.mktemp("embedded"), environment) as made:
        yield made


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.timeout(180)
def test_one_trace_goes_from_http_through_kafka_to_the_check(embedded: Platform, collector: Collector) -> None:
    app = embedded.app(ROWS, sampling={"rate": 1.0}, oracle={"kind": "labels", "wait_seconds": 1})
    embedded.client.post(f"/loop-apps/{app}/inputs", {"input": {"text": "win a cash prize"}, "id": "traced-1"})
    wanted = {
        ("loopai-gateway", "send loopai.inputs"),
        ("loopai-executor", "process loopai.inputs"),
        ("loopai-validator", "process loopai.samples"),
    }
    try:
        embedded.until(lambda: any(wanted <= set(spans) for spans in list(collector.spans.values())), seconds=30)
    except AssertionError:
        raise AssertionError(f"no trace has all of {wanted}: {list(collector.spans.values())[-12:]}") from None


@pytest.mark.timeout(180)
def test_metrics_are_those_of_the_catalogue(embedded: Platform) -> None:
    app = embedded.app(ROWS, sampling={"rate": 1.0}, oracle={"kind": "none"})
    embedded.client.post(f"/loop-apps/{app}/inputs", [{"input": {"text": f"win {i}"}} for i in range(20)])
    known = {m.name.removesuffix("_total") for m in telemetry.METRICS}

    def counted() -> bool:
        families = list(text_string_to_metric_families(fetch(f"{embedded.url}/metrics")))
        assert {f.name for f in families if f.name.startswith("loopai_")} <= known
        samples = [s for f in families if f.name == "loopai_inputs" for s in f.samples]
        return sum(s.value for s in samples if s.labels["loop"] == app and s.labels["outcome"] == "ok") == 20

    embedded.until(counted, seconds=30)


def test_health_says_what_it_is_asked(embedded: Platform) -> None:
    assert fetch(f"{embedded.url}/livez")
    assert fetch(f"{embedded.url}/readyz")
    assert "version" in json.loads(fetch(f"{embedded.url}/version"))


def test_the_log_is_one_json_object_a_line(embedded: Platform) -> None:
    lines = embedded.log.read_text().splitlines()
    assert lines
    for line in lines:
        assert json.loads(line).keys() >= {"time", "level", "logger", "message", "role"}
