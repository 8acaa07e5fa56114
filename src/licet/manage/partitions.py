"""Stopped partitions, as an operator handles them: shown, tried again, or let go on at an offset of the log."""

from collections.abc import Sequence

from licet.domain.errors import Conflict, Fault, InvalidInput, Unavailable
from licet.domain.principal import Actor
from licet.manage.ports import PartitionStore
from licet.queue.ports import LogSurvey, LogUnavailable
from licet.store.values import PartitionStop


class PartitionDesk:
    """Every decision is kept with its author. Every method raises ``Unavailable``."""

    def __init__(self, store: PartitionStore, survey: LogSurvey) -> None:
        self._store = store
        self._survey = survey

    def stops(self) -> Sequence[PartitionStop]:
        """Return the stopped partitions, the one that stopped first first."""
        return self._store.stops()

    def resume(self, partition: int | None, by: Actor) -> list[PartitionStop]:
        """Let one partition (None: all) try again where it stands. What still holds stops it again."""
        return [self._store.decide(stop.log, stop.partition, by, None) for stop in self._of(partition)]

    def accept(self, partition: int | None, offset: int | None, by: Actor) -> list[tuple[PartitionStop, int | None]]:
        """Let one partition (None: all) go on at an offset of the present log (None: its start).

        Returns each stop with the offset; None for a stop of a log that the present one replaced, which is only lifted.
        Raises ``InvalidInput`` for an offset that the log does not have.
        """
        try:
            name, extents = self._survey.extents()
        except LogUnavailable as error:
            raise Unavailable(str(error)) from error
        accepted: list[tuple[PartitionStop, int | None]] = []
        for stop in self._of(partition):
            if stop.log != name and stop.log.startswith(f"{name.rpartition('@')[0]}@"):
                self._store.decide(stop.log, stop.partition, by, None)
                accepted.append((stop, None))
                continue
            extent = extents.get(stop.partition) if stop.log == name else None
            if extent is None:
                raise Conflict(f"{stop.log} is not the log, or has no partition {stop.partition} any more")
            at = extent.first if offset is None else offset
            if not extent.first <= at <= extent.end:
                raise InvalidInput.of(Fault("offset", str(at), f"{extent.first} to {extent.end}, as the log has them"))
            self._store.decide(stop.log, stop.partition, by, at)
            accepted.append((stop, at))
        return accepted

    def _of(self, partition: int | None) -> list[PartitionStop]:
        found = [stop for stop in self._store.stops() if partition in (None, stop.partition)]
        if not found:
            which = "no partition" if partition is None else f"partition {partition}"
            raise Conflict(f"{which} is stopped" if partition is None else f"{which} is not stopped")
        return found
