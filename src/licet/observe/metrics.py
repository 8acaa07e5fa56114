"""Every metric that Licet exposes, declared before any use. Label values are bounded: names from tables, no ids."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_FAST = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# Suffix of the name, labels beside its own, value.
Sample = tuple[str, dict[str, str], float]
_SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class Count:
    """One counter of one thread: a plain number."""

    __slots__ = ("value",)
    kind = "counter"

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Count one."""
        self.value += 1

    def samples(self) -> Iterator[Sample]:
        """Tell a scrape."""
        yield "_total", {}, self.value


class Durations:
    """One histogram of one thread."""

    __slots__ = ("counts", "total")
    kind = "histogram"

    def __init__(self) -> None:
        self.counts = [0] * (len(_FAST) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(_FAST, seconds)] += 1
        self.total += seconds

    def samples(self) -> Iterator[Sample]:
        """Tell a scrape."""
        for bound, count in zip((*map(str, _FAST), "+Inf"), accumulate(self.counts), strict=True):
            yield "_bucket", {"le": bound}, count
        yield "_count", {}, sum(self.counts)
        yield "_sum", {}, self.total


Child = TypeVar("Child", Count, Durations)


class Quick(Collector, Generic[Child]):
    """A metric of the hot paths, written by one thread. The library's take a lock and 0.5 to 1.5 µs each."""

    def __init__(
        self, child: type[Child], name: str, about: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._child: type[Child] = child
        self._named = (name, about)
        self._labels = labels
        self._children: dict[tuple[str, ...], Child] = {}
        registry.register(self)

    def labels(self, *values: str) -> Child:
        """Return what counts under these label values; keep it."""
        return self._children.setdefault(values, self._child())

    def collect(self) -> Iterator[Metric]:
        """Tell a scrape."""
        name, about = self._named
        metric = Metric(name, about, self._child.kind)
        for values, child in self._children.items():
            for suffix, more, value in child.samples():
                metric.add_sample(name + suffix, dict(zip(self._labels, values, strict=True)) | more, value)
        yield metric


class Metrics:
    """The metrics of one process, in a registry of their own. Bootstrap builds it; nothing is born at import."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.http_requests = Quick(
            Count,
            "licet_http_requests",
            "HTTP requests answered, by hot path (or `other`) and status.",
            ("route", "status"),
            registry,
        )
        self.http_request_seconds = Quick(
            Durations,
            "licet_http_request_seconds",
            "From the request's head to the end of its answer.",
            ("route",),
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
        self.checks = Quick(Count, "licet_checks", "Checks answered, by the decision's reason.", ("reason",), registry)
        self.stale_answers = Counter(
            "licet_stale_answers",
            "Answers older than LICET_STALE_AFTER_S, by their feature's `when_stale`.",
            ("when_stale",),
            registry=registry,
        )
        self.snapshot_age_seconds = Gauge(
            "licet_snapshot_age_seconds", "Time since checks last matched the store.", registry=registry
        )
        self.stream_readers = Gauge("licet_stream_readers", "Streams that are open.", registry=registry)
        self.snapshot_customers = Gauge("licet_snapshot_customers", "Customers that checks know.", registry=registry)

    def watch_snapshot(self, age_s: Callable[[], float], customers: Callable[[], float]) -> None:
        """Read the snapshot's age (s) and size at each scrape."""
        self.snapshot_age_seconds.set_function(age_s)
        self.snapshot_customers.set_function(customers)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the body of ``/metrics``."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)
