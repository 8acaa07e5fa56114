"""Step 3 of the road: the loop that reads the log and applies it, batch after batch.

What fails, and what follows (the retry ladder):

| what                        | then                                                                        |
|-----------------------------|-----------------------------------------------------------------------------|
| the log is away             | wait 0.1 s, doubling to 5 s, with jitter; poll again                        |
| the store is away           | the same; read the batch again from where the store stands                  |
| another worker owns an offset| no wait; read again from where the store stands                             |
| the log lacks an offset     | that partition stops until a person decides (below_start, beyond_end)       |
| the log was made anew       | its partitions stop (recreated), unless no older log of its name had offsets|
| too many dead letters       | that partition stops (dead_limit; ``LICET_DEAD_LIMIT``, ``_SHARE``, ``_WINDOW``)|
| a stop                      | the others go on; each second: has a person decided?                        |
| anything else               | it is a mistake of ours: logged with its traceback, then as for the store   |
"""

import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from licet.consume.apply import Applied, Applier, Fenced
from licet.domain.filter import Kind
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.message import Record
from licet.queue.ports import LogGap, LogReader, LogUnavailable
from licet.store.ports import StoreUnavailable

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
POLL_S = 0.5
LOOK_S = 1.0  # how often a worker asks whether a stopped partition may go on
# How often the worker says how far it is; answers tell it as their ``lag_ms``.
TELL_S = 0.25


class Watch:
    """Keeps the worker's numbers: metrics, dead letters in the log, and who else wants to see a batch."""

    def __init__(self, metrics: Metrics, seen: Sequence[Callable[[Applied], None]] = ()) -> None:
        self._metrics = metrics
        self._seen = seen

    def committed(self, applied: Applied) -> None:
        """Count a committed batch."""
        metrics, now = self._metrics, dt.datetime.now(dt.UTC)
        for delivery in applied.deliveries:
            outcome = delivery.outcome
            metrics.deliveries.labels(outcome.kind.value, outcome.rule).inc()
            if outcome.kind is Kind.DEAD:
                log(
                    Event.DEAD_LETTER,
                    reason=outcome.reason,
                    place=f"{delivery.log}/{delivery.partition}/{delivery.offset}",
                    event_id=delivery.event_id,
                    customer=delivery.customer_id,
                )
        last = applied.deliveries[-1]
        if last.received_at is not None:
            metrics.lag_seconds.set(max(0.0, (now - last.received_at).total_seconds()))
        metrics.batch_size.observe(len(applied.deliveries))
        metrics.revision.set(applied.revision)
        metrics.brake_held.inc(applied.held)
        if applied.tripped:
            log(Event.BRAKE_TRIPPED, revision=applied.revision, held=applied.held)
        for see in self._seen:
            see(applied)


class Worker:
    """Reads one log and applies it. ``run`` belongs to one thread; the other methods may be asked from any."""

    def __init__(self, reader: LogReader, applier: Applier, metrics: Metrics, batch_size: int) -> None:
        self._reader = reader
        self._applier = applier
        self._metrics = metrics
        self._batch_size = batch_size
        self._appended: dict[int, dt.datetime] = {}
        self._tell_at = 0.0
        self._wait_s = 0.0
        self._look_at = 0.0
        self._stopped: Mapping[int, str] = {}
        self._waiting_for: str | None = "its first look at the log"

    def waiting_for(self) -> str | None:
        """Return None while the worker applies what comes, else what it waits for, in words."""
        return self._waiting_for

    def stopped(self) -> Mapping[int, str]:
        """Return the partitions of this worker that wait for a person's decision, each with why."""
        return self._stopped

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; a batch begun is finished first."""
        try:
            while not stop.is_set():
                self._step()
                if self._wait_s:
                    stop.wait(self._wait_s * random.uniform(0.5, 1.0))  # noqa: S311 jitter, no secret
        finally:
            self._reader.close()

    def _step(self) -> None:
        try:
            self._work()
        except (LogUnavailable, StoreUnavailable) as error:
            self._failed(error, expected=True)
        except Exception as error:  # noqa: BLE001 the loop must go on; the log and the metric say it loudly
            self._failed(error, expected=False)

    def _work(self) -> None:
        if self._stopped and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_S
            if any(at is not None for at in self._applier.assign(self._reader.name, self._stopped.keys()).values()):
                self._reader.refresh()
        try:
            records = self._reader.poll(self._batch_size, POLL_S)
        except LogGap as gap:
            self._applier.stop_at(gap)
            self._reader.refresh()
            records = ()
        if records:
            self._apply(records)
        lag = self._reader.lag()
        for partition, behind in lag.items():
            self._metrics.lag_records.labels(str(partition)).set(behind)
        self._tell(lag)
        self._recovered()

    def _apply(self, records: Sequence[Record]) -> None:
        began, stopped = time.monotonic(), set(self._applier.stopped)
        try:
            self._applier.apply(records)
        except Fenced:
            self._reader.refresh()
            return
        except Exception:
            self._reader.refresh()
            raise
        if self._applier.stopped.keys() - stopped:
            self._reader.refresh()
        self._metrics.batch_seconds.observe(time.monotonic() - began)
        self._appended.update((record.partition, record.appended_at) for record in records if record.appended_at)
        self._reader.commit(self._applier.known())

    def _tell(self, lag: Mapping[int, int]) -> None:
        """Say up to when each partition is applied: up to now, or up to its last record where more stand beyond."""
        if time.monotonic() < self._tell_at:
            return
        now = dt.datetime.now(dt.UTC)
        moments = {partition: self._appended.get(partition) if behind else now for partition, behind in lag.items()}
        ago = {partition: (now - at).total_seconds() for partition, at in moments.items() if at is not None}
        if ago:
            self._applier.tell_progress(ago)
        self._tell_at = time.monotonic() + TELL_S

    def _failed(self, error: Exception, *, expected: bool) -> None:
        self._metrics.batches_failed.inc()
        if not self._wait_s:
            log(Event.WORKER_FAILED, error=None if expected else error, reason=str(error))
        self._waiting_for = f"{type(error).__name__}: {error}"
        self._wait_s = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * self._wait_s))

    def _recovered(self) -> None:
        if self._wait_s:
            log(Event.WORKER_RECOVERED)
        self._wait_s = 0.0
        self._tell_stops()
        assigned = self._reader.assigned
        if not assigned:
            self._waiting_for = "a partition; other workers hold them all"
        elif assigned <= self._stopped.keys():
            self._waiting_for = "a person: all its partitions are stopped, see `licet partition show`"
        else:
            self._waiting_for = None

    def _tell_stops(self) -> None:
        stopped = {each: why for each, why in self._applier.stopped.items() if each in self._reader.assigned}
        for partition in stopped.keys() - self._stopped.keys():
            log(Event.PARTITION_STOPPED, log=self._reader.name, partition=partition, reason=stopped[partition])
        for partition in (self._stopped.keys() & self._reader.assigned) - stopped.keys():
            log(Event.PARTITION_RESUMED, log=self._reader.name, partition=partition)
        self._stopped = stopped
        self._metrics.partitions_stopped.set(len(stopped))
