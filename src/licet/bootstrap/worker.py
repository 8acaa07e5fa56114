"""The worker process."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

import msgspec

from licet.bootstrap.queue import build_reader
from licet.consume.apply import Applied, Applier
from licet.consume.worker import Watch, Worker
from licet.observe.metrics import Metrics
from licet.settings import Settings
from licet.store.ports import DeadLimit
from licet.store.projection import PostgresProjection


class RunningWorker(msgspec.Struct, frozen=True):
    """A worker ready to run: ``run(stop)`` in one thread, ``close()`` after it."""

    worker: Worker
    metrics: Metrics
    close: Callable[[], None]


def build_worker(settings: Settings, seen: Callable[[Applied], None] | None = None) -> RunningWorker:
    """Build the consumer. ``seen`` is called with each committed batch, from the worker's thread."""
    metrics = Metrics()
    projection = PostgresProjection(settings.database_url)
    watch = Watch(metrics, seen)
    limit = DeadLimit(settings.dead_limit or sys.maxsize, settings.dead_share, settings.dead_window)
    applier = Applier(projection, watch.committed, settings.salesforce_org_id, limit)
    reader = build_reader(settings, applier.assign)
    return RunningWorker(Worker(reader, applier, metrics, settings.batch_size), metrics, projection.close)


@contextlib.contextmanager
def worker_thread(settings: Settings, seen: Callable[[Applied], None] | None = None) -> Iterator[Worker]:
    """Run a worker in a thread until the block ends; the batch begun is finished first."""
    built = build_worker(settings, seen)
    stop = threading.Event()
    thread = threading.Thread(target=built.worker.run, args=(stop,), name="worker")
    thread.start()
    try:
        yield built.worker
    finally:
        stop.set()
        thread.join()
        built.close()
