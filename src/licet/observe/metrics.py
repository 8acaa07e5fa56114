"""Every metric that Licet exposes, declared before any use. Label values are bounded: names from tables, no ids."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from licet.observe.quick import Child, Count, Durations, Quick

Metric = TypeVar("Metric")
_SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class _Declared(Generic[Metric]):
    """A metric called ``licet_`` and its attribute's name; each process's ``Metrics`` makes its own."""

    def __init__(self, make: Callable[[str, CollectorRegistry], Metric]) -> None:
        self._make = make

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, metrics: "Metrics", _: type) -> Metric:
        made = metrics.__dict__[self._name] = self._make(f"licet_{self._name}", metrics.registry)
        return made


def _counter(about: str, labels: Sequence[str] = ()) -> _Declared[Counter]:
    return _Declared(lambda name, registry: Counter(name, about, labels, registry=registry))


def _gauge(about: str, labels: Sequence[str] = ()) -> _Declared[Gauge]:
    return _Declared(lambda name, registry: Gauge(name, about, labels, registry=registry))


def _sizes(about: str) -> _Declared[Histogram]:
    return _Declared(lambda name, registry: Histogram(name, about, buckets=_SIZES, registry=registry))


def _quick(child: type[Child], about: str, labels: Sequence[str]) -> _Declared[Quick[Child]]:
    return _Declared(lambda name, registry: Quick(child, name, about, registry, labels))


def _one(child: type[Child], about: str) -> _Declared[Child]:
    return _Declared(lambda name, registry: Quick(child, name, about, registry).labels())


class Metrics:
    """The metrics of one process, in a registry of their own. Bootstrap builds it; nothing is born at import."""

    http_requests = _quick(Count, "HTTP requests answered, by hot path (or `other`) and status.", ("route", "status"))
    http_request_seconds = _quick(Durations, "From the request's head to the end of its answer.", ("route",))

    # The door.
    changes_accepted = _one(Count, "Changes that the queue confirmed and the sender got a 202 for.")
    changes_rejected = _counter(
        "Changes that were refused one by one: unreadable, invalid, or never to be taken by the queue.", ("cause",)
    )
    changes_unconfirmed = _counter(
        "Changes that the queue did not confirm; it may hold them all the same. Their senders got a 503."
    )
    webhook_refused = _counter("Posts refused before a change was read, by problem code.", ("code",))
    append_seconds = _one(Durations, "How long the queue took to confirm one post.")
    credentials_refused = _counter("Posts refused for their signature or key, by what was wrong with it.", ("cause",))
    door_letters = _counter(
        "Unreadable changes of known senders: kept as dead letters, or dropped for want of room.", ("fate",)
    )

    # The spool.
    changes_spooled = _counter("Changes that the spool confirmed in Kafka's place.")
    spool_open = _gauge("1 while the deployment spools, else 0.")
    spool_records = _gauge("Changes that wait in the spool for Kafka.")
    spool_drained = _counter("Changes that this process brought from the spool to Kafka.")

    # The worker.
    deliveries = _counter("Deliveries that ended, by outcome and the rule that said so.", ("outcome", "rule"))
    batch_seconds = _one(Durations, "From the first record of a batch to its commit.")
    batch_size = _sizes("Deliveries applied in one transaction.")
    batches_failed = _counter("Batches that were rolled back and tried again.")
    lag_seconds = _gauge("Age of the last delivery applied when it was applied, in seconds.")
    lag_records = _gauge("Records in the log beyond the last one read, per partition held.", ("partition",))
    partitions_stopped = _gauge("Partitions held by this worker that wait for a person's decision.")
    revision = _gauge("The last revision that this process wrote or read.")

    # Beside the worker.
    time_events = _counter("Starts and ends that this worker's clock wrote to the feed.")
    clock_late_seconds = _gauge("How long the first boundary that is due has waited, in seconds.")
    brake_holds = _gauge("Licenses that ended and that the safety brake holds; not a number while the store is away.")
    brake_held = _counter("Licenses that ended and that the safety brake held.")
    published = _counter("Changes of customers that the topic confirmed to this worker.")
    publish_lag_revisions = _gauge("Revisions that the topic lacks, where this worker is the publisher; else 0.")
    publish_lag_seconds = _gauge(
        "Age of the first change that the topic lacks, where this worker is the publisher; else 0."
    )

    # Answers.
    checks = _quick(Count, "Checks answered, by the decision's reason.", ("reason",))
    stale_answers = _counter(
        "Answers older than LICET_STALE_AFTER_S, by their feature's `when_stale`.", ("when_stale",)
    )
    snapshot_age_seconds = _gauge("Time since checks last matched the store.")
    stream_readers = _gauge("Streams that are open.")
    snapshot_customers = _gauge("Customers that checks know.")
    drift_customers = _gauge(
        "Customers that the last `licet reconcile` found off, by kind; not a number while the store is away.", ("kind",)
    )

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for name, declared in vars(type(self)).items():
            if isinstance(declared, _Declared):
                getattr(self, name)

    def watch_snapshot(self, age_s: Callable[[], float], customers: Callable[[], float]) -> None:
        """Read the snapshot's age (s) and size at each scrape."""
        self.snapshot_age_seconds.set_function(age_s)
        self.snapshot_customers.set_function(customers)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the body of ``/metrics``."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)
