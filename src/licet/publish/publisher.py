"""The publisher: brings the feed to the topic, one process at a time, and its position after what was confirmed.

What can go wrong, and what follows:

| what                              | then                                                                        |
|-----------------------------------|-----------------------------------------------------------------------------|
| Kafka is away                     | the step is tried again; the position stands, the lag grows                 |
| the process ends before the position moved | the next publisher tells the step again, under the same ids         |
| the process is paused, or cut off | its session ends within 5 s; the next publisher cuts off what it still sends |
"""

from collections.abc import Sequence
from typing import Protocol

from licet.observe.metrics import Metrics
from licet.publish.event import Teller
from licet.queue.ports import Announcement, Announcer
from licet.store.steps import Step

CHUNK = 500
# How soon another publisher takes over, and what a lost notification costs.
LOOK_S = 1.0


class Outbox(Protocol):
    """The store's side; ``store.steps`` has the words. Every method but ``close`` raises ``Unavailable``."""

    def lead(self) -> bool:
        """Become or stay the one publisher; False while another is."""
        ...

    def step(self, limit: int, known_catalog: int) -> Step:
        """Read what to tell next: about ``limit`` customers, whole revisions."""
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
        self._teller = Teller()

    def step(self) -> float:
        """Tell what is to be told; returns for how many seconds nothing is to be done.

        Raises ``Unavailable`` for the store and ``LogUnavailable`` for Kafka.
        """
        if not self._outbox.lead():
            self._lag(0, 0)
            return LOOK_S
        step = self._outbox.step(CHUNK, self._teller.known_catalog)
        self._lag(step.head - step.after, step.behind_s)
        if step.upto == step.after:
            self._outbox.wait(LOOK_S)
            return 0
        announcements = self._teller.announcements(step)
        self._send(announcements)
        self._outbox.told(step)
        self._metrics.published.inc(len(announcements))
        self._lag(step.head - step.upto, step.behind_s if step.upto < step.head else 0)
        return 0

    def close(self) -> None:
        """Let go of all; the next step begins anew."""
        self._announcer.close()
        self._outbox.close()
        self._teller = Teller()

    def _send(self, announcements: Sequence[Announcement]) -> None:
        if announcements:
            self._announcer.send(announcements)

    def _lag(self, revisions: int, seconds: float) -> None:
        self._metrics.publish_lag_revisions.set(revisions)
        self._metrics.publish_lag_seconds.set(seconds)
