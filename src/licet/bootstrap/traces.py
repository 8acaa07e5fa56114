"""Traces of both processes, where ``LICET_TRACES`` is on: what the worker and the follower tell of a change."""

import time
from collections import deque
from typing import TYPE_CHECKING

from licet.consume.apply import Applied
from licet.domain.errors import ConfigurationError
from licet.settings import Settings

if TYPE_CHECKING:
    from licet.observe.traces import Traces

_MOST_HEARD = 1000


def build_traces(settings: Settings, process: str) -> "Traces | None":
    """Build what sends spans; None where traces are off. Raises ``ConfigurationError`` without the extra."""
    if settings.traces == "off":
        return None
    try:
        from licet.observe.traces import Traces  # noqa: PLC0415 an extra, of which nothing is loaded where it is off
    except ImportError as error:
        raise ConfigurationError(
            f"LICET_TRACES: found on, expected the extra: pip install 'licet[otel]' ({error})"
        ) from error
    return Traces.of(process)


def tell_applied(traces: "Traces", topic: str, applied: Applied) -> None:
    """Tell of each sampled delivery of a batch: how long it was handled, and how long its transaction took."""
    now = time.time()
    for one in applied.deliveries:
        if one.traceparent is not None:
            span = traces.consume(f"process {topic}", one.traceparent, applied.began)
            revision = {"licet.revision": applied.revision}
            traces.tell("store transaction", span.traceparent, applied.locked, now, revision)
            said = {
                "messaging.system": "kafka" if one.log.startswith("kafka:") else "postgresql",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(one.partition),
                "messaging.kafka.offset": one.offset,
                "licet.event_id": one.event_id or "",
                "licet.customer": one.customer_id or "",
                "licet.outcome": str(one.outcome),
            }
            span.end(said | revision, at=now)


class Visible:
    """Tells of each trace when the answers of this process have its change: a listener of the follower.

    ``hear`` is for the follower's thread.
    """

    def __init__(self, traces: "Traces") -> None:
        self._traces = traces
        self._heard: deque[tuple[str, float]] = deque(maxlen=_MOST_HEARD)

    def hear(self, traceparent: str) -> None:
        """Take note that the store holds a change of this trace."""
        self._heard.append((traceparent, time.time()))

    def changed(self, *_: object) -> None:
        """Tell of what the snapshot moves on to."""
        while self._heard:
            traceparent, heard = self._heard.popleft()
            self._traces.tell("snapshot follows", traceparent, heard, time.time(), {})

    reloaded = changed
