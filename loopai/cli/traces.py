"""Where spans go: to an OTLP endpoint when one is set, else nowhere and at no cost."""

from __future__ import annotations

from collections.abc import Callable

from loopai import __version__
from loopai.settings import Telemetry


def configure(role: str, settings: Telemetry, environment: str) -> Callable[[], None]:
    """Sets the process's tracer; returns what flushes it at the end.

    The first to touch a record tosses the coin (`trace_ratio`); everybody after follows its decision.
    """
    if not settings.otlp_endpoint:
        return lambda: None
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    resource = Resource.create(
        {
            "service.name": f"loopai-{role}",
            "service.namespace": "loopai",
            "service.version": __version__,
            "deployment.environment.name": environment,
        }
    )
    provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(settings.trace_ratio))
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown
