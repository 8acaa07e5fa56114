"""Every metric that Licet exposes, declared before any use. Label values are bounded: names from tables, no ids."""

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from licet.observe.quick import Child, Count, Durations, Quick

_SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class Metrics:
    """The metrics of one process, in a registry of their own. Bootstrap builds it; nothing is born at import."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.http_requests = self._quick(
            Count,
            "licet_http_requests",
            "HTTP requests answered, by hot path (or `other`) and status.",
            ("route", "status"),
        )
        self.http_request_seconds = self._quick(
            Durations, "licet_http_request_seconds", "From the request's head to the end of its answer.", ("route",)
        )
        self._door()
        self._worker()
        self._beside()
        self._answers()

    def _door(self) -> None:
        self.changes_accepted = self._quick(
            Count, "licet_changes_accepted", "Changes that the queue confirmed and the sender got a 202 for."
        ).labels()
        self.changes_rejected = self._counter(
            "licet_changes_rejected",
            "Changes that were refused one by one: unreadable, invalid, or never to be taken by the queue.",
            ("cause",),
        )
        self.changes_unconfirmed = self._counter(
            "licet_changes_unconfirmed",
            "Changes that the queue did not confirm; it may hold them all the same. Their senders got a 503.",
        )
        self.webhook_refused = self._counter(
            "licet_webhook_refused", "Posts refused before a change was read, by problem code.", ("code",)
        )
        self.append_seconds = self._quick(
            Durations, "licet_append_seconds", "How long the queue took to confirm one post."
        ).labels()
        self.credentials_refused = self._counter(
            "licet_credentials_refused",
            "Posts refused for their signature or key, by what was wrong with it.",
            ("cause",),
        )
        self.letters = self._counter(
            "licet_door_letters",
            "Unreadable changes of known senders: kept as dead letters, or dropped for want of room.",
            ("fate",),
        )
        self.changes_spooled = self._counter(
            "licet_changes_spooled", "Changes that the spool confirmed in Kafka's place."
        )
        self.spool_open = self._gauge("licet_spool_open", "1 while the deployment spools, else 0.")
        self.spool_records = self._gauge("licet_spool_records", "Changes that wait in the spool for Kafka.")
        self.spool_drained = self._counter(
            "licet_spool_drained", "Changes that this process brought from the spool to Kafka."
        )

    def _worker(self) -> None:
        self.deliveries = self._counter(
            "licet_deliveries", "Deliveries that ended, by outcome and the rule that said so.", ("outcome", "rule")
        )
        self.batch_seconds = self._quick(
            Durations, "licet_batch_seconds", "From the first record of a batch to its commit."
        ).labels()
        self.batch_size = Histogram(
            "licet_batch_size", "Deliveries applied in one transaction.", buckets=_SIZES, registry=self.registry
        )
        self.batches_failed = self._counter("licet_batches_failed", "Batches that were rolled back and tried again.")
        self.lag_seconds = self._gauge(
            "licet_lag_seconds", "Age of the last delivery applied when it was applied, in seconds."
        )
        self.lag_records = self._gauge(
            "licet_lag_records", "Records in the log beyond the last one read, per partition held.", ("partition",)
        )
        self.partitions_stopped = self._gauge(
            "licet_partitions_stopped", "Partitions held by this worker that wait for a person's decision."
        )
        self.revision = self._gauge("licet_revision", "The last revision that this process wrote or read.")

    def _beside(self) -> None:
        self.time_events = self._counter(
            "licet_time_events", "Starts and ends that this worker's clock wrote to the feed."
        )
        self.clock_late_seconds = self._gauge(
            "licet_clock_late_seconds", "How long the first boundary that is due has waited, in seconds."
        )
        self.brake_holds = self._gauge(
            "licet_brake_holds",
            "Licenses that ended and that the safety brake holds; not a number while the store is away.",
        )
        self.brake_held = self._counter("licet_brake_held", "Licenses that ended and that the safety brake held.")
        self.published = self._counter(
            "licet_published", "Changes of customers that the topic confirmed to this worker."
        )
        self.publish_lag_revisions = self._gauge(
            "licet_publish_lag_revisions", "Revisions that the topic lacks, where this worker is the publisher; else 0."
        )
        self.publish_lag_seconds = self._gauge(
            "licet_publish_lag_seconds",
            "Age of the first change that the topic lacks, where this worker is the publisher; else 0.",
        )

    def _answers(self) -> None:
        self.checks = self._quick(Count, "licet_checks", "Checks answered, by the decision's reason.", ("reason",))
        self.stale_answers = self._counter(
            "licet_stale_answers",
            "Answers older than LICET_STALE_AFTER_S, by their feature's `when_stale`.",
            ("when_stale",),
        )
        self.snapshot_age_seconds = self._gauge(
            "licet_snapshot_age_seconds", "Time since checks last matched the store."
        )
        self.stream_readers = self._gauge("licet_stream_readers", "Streams that are open.")
        self.snapshot_customers = self._gauge("licet_snapshot_customers", "Customers that checks know.")
        self.drift_customers = self._gauge(
            "licet_drift_customers",
            "Customers that the last `licet reconcile` found off, by kind; not a number while the store is away.",
            ("kind",),
        )

    def watch_snapshot(self, age_s: Callable[[], float], customers: Callable[[], float]) -> None:
        """Read the snapshot's age (s) and size at each scrape."""
        self.snapshot_age_seconds.set_function(age_s)
        self.snapshot_customers.set_function(customers)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the body of ``/metrics``."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)

    def _counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry)

    def _quick(self, child: type[Child], name: str, about: str, labels: Sequence[str] = ()) -> Quick[Child]:
        return Quick(child, name, about, self.registry, labels)
