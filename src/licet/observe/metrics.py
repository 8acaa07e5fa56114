"""Every metric that Licet exposes, declared before any use. Label values are bounded: names from tables, no ids."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_FAST = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class Sized(Protocol):
    """What ages and has a size."""

    def age_s(self) -> float:
        """Return the age in seconds."""
        ...

    def size(self) -> int:
        """Return how many there are."""
        ...


class Count:
    """One counter of one thread: a plain number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Count one."""
        self.value += 1


class QuickCounter(Collector):
    """A counter for hot paths, written by one thread and read at a scrape: the library's takes a lock, and 0.5 µs."""

    def __init__(self, name: str, about: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._named = (name, about, labels)
        self._counts: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """Return the counter of these label values; keep it."""
        return self._counts.setdefault(values, Count())

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Tell the counts."""
        name, about, labels = self._named
        family = CounterMetricFamily(name, about, labels=labels)
        for values, count in self._counts.items():
            family.add_metric(values, count.value)
        yield family


class Durations:
    """One histogram of one thread."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds


class QuickHistogram(Collector):
    """A histogram for hot paths; see ``QuickCounter``. The library's takes 1.5 µs."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._named = (name, about, labels)
        self._bounds = bounds
        self._durations: dict[tuple[str, ...], Durations] = {}
        registry.register(self)

    def labels(self, *values: str) -> Durations:
        """Return the histogram of these label values; keep it."""
        return self._durations.setdefault(values, Durations(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Tell the counts."""
        name, about, labels = self._named
        family = HistogramMetricFamily(name, about, labels=labels)
        for values, durations in self._durations.items():
            sums = accumulate(durations.counts)
            bounds = [*map(floatToGoString, self._bounds), "+Inf"]
            family.add_metric(values, list(zip(bounds, sums, strict=True)), durations.total)
        yield family


class Metrics:
    """The metrics of one process, in a registry of their own. Bootstrap builds it; nothing is born at import."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.http_requests = QuickCounter(
            "licet_http_requests",
            "HTTP requests answered, by hot path (or `other`) and status.",
            ("route", "status"),
            registry,
        )
        self.http_request_seconds = QuickHistogram(
            "licet_http_request_seconds",
            "From the request's head to the end of its answer.",
            ("route",),
            _FAST,
            registry,
        )
        self._door(registry)
        self._worker(registry)
        self._answers(registry)

    def _door(self, registry: CollectorRegistry) -> None:
        self.changes_accepted = Counter(
            "licet_changes_accepted",
            "Changes that the queue confirmed and the sender got a 202 for.",
            registry=registry,
        )
        self.changes_rejected = Counter(
            "licet_changes_rejected",
            "Changes that were refused one by one: unreadable, invalid, or never to be taken by the queue.",
            ("cause",),
            registry=registry,
        )
        self.changes_unconfirmed = Counter(
            "licet_changes_unconfirmed",
            "Changes that the queue did not confirm; it may hold them all the same. Their senders got a 503.",
            registry=registry,
        )
        self.webhook_refused = Counter(
            "licet_webhook_refused",
            "Posts refused before a change was read, by problem code.",
            ("code",),
            registry=registry,
        )
        self.append_seconds = Histogram(
            "licet_append_seconds", "How long the queue took to confirm one post.", buckets=_FAST, registry=registry
        )

    def _worker(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "licet_deliveries",
            "Deliveries that ended, by outcome and the rule that said so.",
            ("outcome", "rule"),
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "licet_batch_seconds",
            "From the first record of a batch to its commit.",
            buckets=_FAST,
            registry=registry,
        )
        self.batch_size = Histogram(
            "licet_batch_size", "Deliveries applied in one transaction.", buckets=_SIZES, registry=registry
        )
        self.batches_failed = Counter(
            "licet_batches_failed", "Batches that were rolled back and tried again.", registry=registry
        )
        self.lag_seconds = Gauge(
            "licet_lag_seconds", "Age of the last delivery applied when it was applied, in seconds.", registry=registry
        )
        self.lag_records = Gauge(
            "licet_lag_records",
            "Records in the log beyond the last one read, per partition held.",
            ("partition",),
            registry=registry,
        )
        self.revision = Gauge("licet_revision", "The last revision that this process wrote or read.", registry=registry)

    def _answers(self, registry: CollectorRegistry) -> None:
        self.checks = QuickCounter("licet_checks", "Checks answered, by the decision's reason.", ("reason",), registry)
        self.stale_answers = Counter(
            "licet_stale_answers",
            "Answers older than LICET_STALE_AFTER_S, by their feature's `when_stale`.",
            ("when_stale",),
            registry=registry,
        )
        self.answers_not_modified = QuickCounter(
            "licet_answers_not_modified", "Checks whose caller had the answer already (304).", (), registry
        )
        self.snapshot_age_seconds = Gauge(
            "licet_snapshot_age_seconds", "Time since checks last matched the store.", registry=registry
        )
        self.stream_readers = Gauge("licet_stream_readers", "Streams that are open.", registry=registry)
        self.snapshot_customers = Gauge("licet_snapshot_customers", "Customers that checks know.", registry=registry)

    def watch_snapshot(self, latest: Sized) -> None:
        """Read the snapshot's age and size at each scrape."""
        self.snapshot_age_seconds.set_function(latest.age_s)
        self.snapshot_customers.set_function(latest.size)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the body of ``/metrics``."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)
