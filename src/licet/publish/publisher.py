"""The publisher: brings the feed to the topic, one process at a time, and its position after what was confirmed.

What can go wrong, and what follows:

| what                              | then                                                                        |
|-----------------------------------|-----------------------------------------------------------------------------|
| Kafka is away                     | the step is tried again; the position stands, the lag grows                 |
| the process ends before the position moved | the next publisher tells the step again, under the same ids         |
| the process is paused, or cut off | its session ends within 8 s; the next publisher cuts off what it still sends |

The last holds by order: who leads opens the topic, which cuts off all who opened it before, and only then reads, in the
session that leads. So no one sends what was read before another led.
"""

from typing import Protocol

from licet.domain.catalog import Catalog, read_catalog
from licet.observe.metrics import Metrics
from licet.publish.event import announcement
from licet.queue.ports import Announcer
from licet.store.steps import Step

CHUNK = 500
# How soon another publisher takes over, and what a lost notification costs.
LOOK_S = 1.0


class Outbox(Protocol):
    """The store's side; ``store.steps`` has the words. Every method but ``close`` raises ``Unavailable``."""

    def lead(self) -> bool:
        """Become or stay the one publisher; False while another is."""
        ...

    def ahead(self, limit: int) -> Step:
        """Return the next step, about ``limit`` customers in whole revisions, without what is in it."""
        ...

    def read(self, step: Step, known_catalog: int) -> Step:
        """Return the step with what is in it; fails where the session that leads has ended meanwhile."""
        ...

    def told(self, step: Step) -> None:
        """Remember that the topic has a step."""
        ...

    def wait(self, seconds: float) -> None:
        """Return once a writer has committed, or after the time."""
        ...

    def close(self) -> None:
        """Let another lead."""
        ...


class Publisher:
    """``step`` belongs to one thread; ``close`` it after each failure: nothing half done may go on."""

    def __init__(self, outbox: Outbox, announcer: Announcer, metrics: Metrics) -> None:
        self._outbox = outbox
        self._announcer = announcer
        self._metrics = metrics
        self._catalogs: dict[int, Catalog] = {}

    def step(self) -> float:
        """Tell what is to be told; returns for how many seconds nothing is to be done.

        Raises ``Unavailable`` for the store and ``LogUnavailable`` for Kafka.
        """
        if not self._outbox.lead():
            self._lag(0, 0)
            return LOOK_S
        step = self._outbox.ahead(CHUNK)
        self._lag(step.head - step.after, step.behind_s)
        if step.upto == step.after:
            self._outbox.wait(LOOK_S)
            return 0
        self._announcer.open()
        step = self._outbox.read(step, max(self._catalogs, default=0))
        self._catalogs |= {version: read_catalog(document, version) for version, document in step.catalogs}
        announcements = [announcement(touch, self._catalogs) for touch in step.touches]
        if announcements:
            self._announcer.send(announcements)
        self._outbox.told(step)
        self._metrics.published.inc(len(announcements))
        self._lag(step.head - step.upto, step.behind_s if step.upto < step.head else 0)
        return 0

    def close(self) -> None:
        """Let go of all; the next step begins anew."""
        self._announcer.close()
        self._outbox.close()
        self._catalogs.clear()

    def _lag(self, revisions: int, seconds: float) -> None:
        self._metrics.publish_lag_revisions.set(revisions)
        self._metrics.publish_lag_seconds.set(seconds)
