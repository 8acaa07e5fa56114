"""The clock: writes down what time changes. Answers need it not, they compute it; the feed and who reads it do.

A boundary that passes within the second is seen a moment after it; those of a downtime follow at the next start, from
where the clock stood. Every worker has one: what they write is unique, and each looks again under the write lock.
"""

from typing import Protocol

from licet.observe.metrics import Metrics

# How soon a boundary is heard of that a change set for the next moment; half the second in which it must be written.
LOOK_S = 0.5


class Boundaries(Protocol):
    """The store's side. Every method raises ``Unavailable``."""

    def next_s(self) -> float | None:
        """Return in how many seconds the next boundary passes, below zero where it has; None where none is known."""
        ...

    def strike(self) -> int:
        """Write some that passed; returns how many of them time made."""
        ...


class Clock:
    """``step`` belongs to one thread."""

    def __init__(self, boundaries: Boundaries, metrics: Metrics) -> None:
        self._boundaries = boundaries
        self._metrics = metrics

    def step(self) -> float:
        """Write what is due; returns for how many seconds nothing is to be done. Raises ``Unavailable``."""
        wait_s = self._boundaries.next_s()
        if wait_s is None or wait_s > 0:
            self._metrics.clock_late_seconds.set(0)
            return min(LOOK_S, wait_s if wait_s is not None else LOOK_S)
        self._metrics.clock_late_seconds.set(-wait_s)
        self._metrics.time_events.inc(self._boundaries.strike())
        return 0
