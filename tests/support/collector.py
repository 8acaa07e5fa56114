"""An OpenTelemetry collector for tests: takes spans over OTLP/HTTP and keeps them in memory."""

import contextlib
import gzip
import http.server
import threading
from collections.abc import Iterator

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Seen(msgspec.Struct, frozen=True):
    """A span as it arrived; ids in hexadecimal, ``parent`` empty where it is the first, times in nanoseconds."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    began: int
    ended: int
    values: dict[str, str | int]


class Collector:
    """Its ``address`` is for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[Seen] = []

    def trace(self, trace: str) -> list[Seen]:
        """Return the spans of a trace, the one that began first first."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)

    def take(self, body: bytes) -> None:
        """Take a request."""
        sent = ExportTraceServiceRequest.FromString(body)
        for resource in sent.resource_spans:
            service = {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
                    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                    self.spans.append(
                        Seen(service, span.name, *ids, span.start_time_unix_nano, span.end_time_unix_nano, values)
                    )


@contextlib.contextmanager
def running_collector() -> Iterator[Collector]:
    """Listen on loopback until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name of the base class
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
