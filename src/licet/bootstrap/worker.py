"""The worker process."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from licet.bootstrap.beside import Duty, beside
from licet.bootstrap.queue import build_announcer, build_reader
from licet.bootstrap.store import build_brake
from licet.bootstrap.traces import build_traces, tell_applied
from licet.consume.apply import Applied, Applier
from licet.consume.clock import Clock
from licet.consume.worker import Watch, Worker
from licet.observe.metrics import Metrics
from licet.publish.publisher import Publisher
from licet.settings import Settings
from licet.store.clock import PostgresClock
from licet.store.outbox import PostgresOutbox
from licet.store.ports import DeadLimit
from licet.store.projection import PostgresProjection


class RunningWorker(msgspec.Struct, frozen=True):
    """A worker ready to run, with what it does beside the log."""

    worker: Worker
    metrics: Metrics
    duties: Sequence[Duty]
    closes: Sequence[Callable[[], None]]

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; what was begun is finished first."""
        with beside(self.duties, stop):
            self.worker.run(stop)
        for close in self.closes:
            close()


def build_worker(settings: Settings, seen: Callable[[Applied], None] | None = None) -> RunningWorker:
    """Build the consumer. ``seen`` is called with each committed batch, from the worker's thread."""
    metrics, traces = Metrics(), build_traces(settings, "worker")
    projection = PostgresProjection(settings.database_url)
    sees, closes = [seen] if seen is not None else [], [projection.close]
    if traces is not None:
        sees.append(partial(tell_applied, traces, settings.kafka_topic))
        closes.append(traces.close)
    watch = Watch(metrics, sees)
    limit = DeadLimit(settings.dead_limit or sys.maxsize, settings.dead_share, settings.dead_window)
    brake = build_brake(settings)
    applier = Applier(projection, watch.committed, settings.salesforce_org_id, limit, brake=brake)
    reader = build_reader(settings, applier.assign)
    worker = Worker(reader, applier, metrics, settings.batch_size)
    return RunningWorker(worker, metrics, tuple(_duties(settings, metrics)), closes)


def _duties(settings: Settings, metrics: Metrics) -> Iterator[Duty]:
    boundaries = PostgresClock(settings.database_url)
    yield Duty("clock", Clock(boundaries, metrics).step, boundaries.close)
    if settings.kafka_brokers and settings.publish == "on":
        outbox = PostgresOutbox(settings.database_url, settings.publish_topic)
        publisher = Publisher(outbox, build_announcer(settings), metrics)
        yield Duty("publisher", publisher.step, publisher.close)


@contextlib.contextmanager
def worker_thread(settings: Settings, seen: Callable[[Applied], None] | None = None) -> Iterator[Worker]:
    """Run a worker in a thread until the block ends; the batch begun is finished first."""
    built = build_worker(settings, seen)
    stop = threading.Event()
    thread = threading.Thread(target=built.run, args=(stop,), name="worker")
    thread.start()
    try:
        yield built.worker
    finally:
        stop.set()
        thread.join()
