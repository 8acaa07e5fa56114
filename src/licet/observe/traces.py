"""Traces, by OpenTelemetry (extra ``otel``): one from a post over the queue and the store to each snapshot that has it.

The context travels as W3C ``traceparent``, over HTTP and in a record's headers. Where spans go, which are sampled and
what the service is called is said in OpenTelemetry's own variables, ``OTEL_…``.
"""

import os
import threading
from collections.abc import Mapping
from typing import Self

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Values = Mapping[str, str | int]
CLOSE_S = 2.0
_context = TraceContextTextMapPropagator()


class Span:
    """What is going on. ``traceparent`` is what goes with whatever it sends."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _context.inject(carrier, trace.set_span_in_context(span))
        self.traceparent = carrier["traceparent"]

    def end(self, values: Values, *, failed: bool = False, at: float | None = None) -> None:
        """Say what came of it; ``at``: seconds since 1970, None: now."""
        self._span.set_attributes(dict(values))
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(_nanoseconds(at))


class Traces:
    """The spans of one process. Spans are sent in a thread of their own; what cannot be sent is dropped."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("licet")

    @classmethod
    def of(cls, process: str) -> Self:
        """Build what sends the spans of ``web`` or ``worker``."""
        name = os.environ.get("OTEL_SERVICE_NAME", f"licet-{process}")
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def serve(self, name: str, traceparent: str | None) -> Span:
        """Begin the span of a request; one of the caller's trace where it sent one."""
        return self._begin(name, SpanKind.SERVER, traceparent, None)

    def consume(self, name: str, traceparent: str, began: float) -> Span:
        """Begin the span of a record, whose handling began at a moment (seconds since 1970)."""
        return self._begin(name, SpanKind.CONSUMER, traceparent, began)

    def tell(self, name: str, traceparent: str, began: float, ended: float, values: Values) -> None:
        """Tell what went on between two moments."""
        self._begin(name, SpanKind.INTERNAL, traceparent, began).end(values, at=ended)

    def close(self) -> None:
        """Send what waits. A collector that does not answer holds up the end of the process for 2 s and no longer."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(CLOSE_S)

    def _begin(self, name: str, kind: SpanKind, traceparent: str | None, began: float | None) -> Span:
        carrier = {"traceparent": traceparent} if traceparent is not None else {}
        context = _context.extract(carrier)
        return Span(self._tracer.start_span(name, context, kind, start_time=_nanoseconds(began)))


def _nanoseconds(at: float | None) -> int | None:
    return int(at * 1e9) if at is not None else None
