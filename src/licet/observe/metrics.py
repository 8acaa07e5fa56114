"""Every metric that Licet exposes, declared before any use. Label values are bounded: names from tables, no ids."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from licet.observe.quick import Count, Durations, Quick

_SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


class Metrics:
    """The metrics of one process, in a registry of their own. Bootstrap builds it; nothing is born at import."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.http_requests = Quick(
            Count,
            "licet_http_requests",
            "HTTP requests answered, by hot path (or `other`) and status.",
            registry,
            ("route", "status"),
        )
        self.http_request_seconds = Quick(
            Durations,
            "licet_http_request_seconds",
            "From the request's head to the end of its answer.",
            registry,
            ("route",),
        )
        self._door(registry)
        self._spool(registry)
        self._worker(registry)
        self._beside(registry)
        self._answers(registry)

    def _door(self, registry: CollectorRegistry) -> None:
        self.changes_accepted = Quick(
            Count,
            "licet_changes_accepted",
            "Changes that the queue confirmed and the sender got a 202 for.",
            registry,
        ).labels()
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
        self.append_seconds = Quick(
            Durations, "licet_append_seconds", "How long the queue took to confirm one post.", registry
        ).labels()
        self.credentials_refused = Counter(
            "licet_credentials_refused",
            "Posts refused for their signature or key, by what was wrong with it.",
            ("cause",),
            registry=registry,
        )
        self.letters = Counter(
            "licet_door_letters",
            "Unreadable changes of known senders: kept as dead letters, or dropped for want of room.",
            ("fate",),
            registry=registry,
        )

    def _spool(self, registry: CollectorRegistry) -> None:
        self.changes_spooled = Counter(
            "licet_changes_spooled", "Changes that the spool confirmed in Kafka's place.", registry=registry
        )
        self.spool_open = Gauge("licet_spool_open", "1 while the deployment spools, else 0.", registry=registry)
        self.spool_records = Gauge(
            "licet_spool_records", "Changes that wait in the spool for Kafka.", registry=registry
        )
        self.spool_drained = Counter(
            "licet_spool_drained", "Changes that this process brought from the spool to Kafka.", registry=registry
        )

    def _worker(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "licet_deliveries",
            "Deliveries that ended, by outcome and the rule that said so.",
            ("outcome", "rule"),
            registry=registry,
        )
        self.batch_seconds = Quick(
            Durations, "licet_batch_seconds", "From the first record of a batch to its commit.", registry
        ).labels()
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
        self.partitions_stopped = Gauge(
            "licet_partitions_stopped",
            "Partitions held by this worker that wait for a person's decision.",
            registry=registry,
        )
        self.revision = Gauge("licet_revision", "The last revision that this process wrote or read.", registry=registry)

    def _beside(self, registry: CollectorRegistry) -> None:
        self.time_events = Counter(
            "licet_time_events", "Starts and ends that this worker's clock wrote to the feed.", registry=registry
        )
        self.clock_late_seconds = Gauge(
            "licet_clock_late_seconds",
            "How long the first boundary that is due has waited, in seconds.",
            registry=registry,
        )
        self.brake_holds = Gauge(
            "licet_brake_holds",
            "Licenses that ended and that the safety brake holds; not a number while the store is away.",
            registry=registry,
        )
        self.brake_held = Counter(
            "licet_brake_held", "Licenses that ended and that the safety brake held.", registry=registry
        )
        self.published = Counter(
            "licet_published", "Changes of customers that the topic confirmed to this worker.", registry=registry
        )
        self.publish_lag_revisions = Gauge(
            "licet_publish_lag_revisions",
            "Revisions that the topic lacks, where this worker is the publisher; else 0.",
            registry=registry,
        )
        self.publish_lag_seconds = Gauge(
            "licet_publish_lag_seconds",
            "Age of the first change that the topic lacks, where this worker is the publisher; else 0.",
            registry=registry,
        )

    def _answers(self, registry: CollectorRegistry) -> None:
        self.checks = Quick(Count, "licet_checks", "Checks answered, by the decision's reason.", registry, ("reason",))
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
        self.drift_customers = Gauge(
            "licet_drift_customers",
            "Customers that the last `licet reconcile` found off, by kind; not a number while the store is away.",
            ("kind",),
            registry=registry,
        )

    def watch_snapshot(self, age_s: Callable[[], float], customers: Callable[[], float]) -> None:
        """Read the snapshot's age (s) and size at each scrape."""
        self.snapshot_age_seconds.set_function(age_s)
        self.snapshot_customers.set_function(customers)

    def render(self) -> tuple[str, bytes]:
        """Return the content type and the body of ``/metrics``."""
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)
