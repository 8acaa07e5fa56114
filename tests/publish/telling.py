"""A publisher that tells a list what it would tell a topic."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from licet.consume.clock import Clock
from licet.observe.metrics import Metrics
from licet.publish.publisher import Publisher
from licet.queue.ports import Announcement
from licet.store.clock import PostgresClock
from licet.store.outbox import PostgresOutbox
from support.processes import eventually


class Topic:
    """What a topic heard. ``fails`` is called before each step is taken."""

    def __init__(self, fails: Callable[[], None] = lambda: None) -> None:
        self.heard: list[Announcement] = []
        self.fails = fails

    def open(self) -> None: ...

    def send(self, announcements: Sequence[Announcement]) -> None:
        self.fails()
        self.heard += announcements

    def close(self) -> None: ...

    @property
    def events(self) -> list[Any]:
        return [msgspec.json.decode(one.value) for one in self.heard if one.value is not None]


class Telling:
    """One publisher on a database."""

    def __init__(self, url: str, name: str = "told") -> None:
        self.topic, self.metrics = Topic(), Metrics()
        self.outbox = PostgresOutbox(url, name)
        self.publisher = Publisher(self.outbox, self.topic, self.metrics)

    def tell(self) -> list[Any]:
        """Tell all there is; returns the events. A session that ended gives its lock on a moment later."""
        eventually("it leads", lambda: self.outbox.lead() or None)
        while True:
            self.publisher.step()
            if self.lag("revisions") == 0:
                return self.topic.events

    def lag(self, unit: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"licet_publish_lag_{unit}")


def ids(topic: Topic) -> list[bytes]:
    return [dict(one.headers)["ce_id"] for one in topic.heard]


def differs(event: Any) -> dict[str, tuple[Any, Any]]:
    """The changes of an event, of SKUs their state and of features the reason."""

    def word(side: Any) -> Any:
        return side.get("state", side.get("reason")) if isinstance(side, dict) else side

    return {one["name"]: (word(one["before"]), word(one["after"])) for one in event["changes"]}


def strike(url: str) -> None:
    boundaries = PostgresClock(url)
    Clock(boundaries, Metrics()).step()
    boundaries.close()
