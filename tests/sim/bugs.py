"""Mistakes that others shipped, planted into the road: each must be found within 200 seeds."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

from licet.queue.message import Message, Position
from licet.queue.ports import ChangeLog
from licet.queue.spool_state import SpoolState
from licet.store.ports import Folded, Loaded, Projection, Wanted
from sim.processes import DoorLink
from sim.spool import Cursor, Session, spool_log
from sim.store import MemoryProjection, MemoryTransaction
from sim.topic import Result
from sim.world import World


class OffsetFirst(MemoryTransaction):
    """Keeps the offsets before the effects."""

    def load(self, wanted: Wanted) -> Loaded:
        loaded = super().load(wanted)
        if not loaded.fenced:
            self._store.offsets.update(self._moves)
        return loaded


class MarkFirst(MemoryTransaction):
    """Keeps what a delivery is deduplicated by before the effects."""

    def write(self, folded: Folded) -> None:
        for delivery in folded.deliveries:
            if delivery.event_id is not None:
                self._store.by_event[delivery.event_id].append(delivery)
        super().write(folded)


def _with(kind: type[MemoryTransaction]) -> type[World]:
    class Projecting(MemoryProjection):
        def _begin(self, deliveries: int) -> MemoryTransaction:
            return kind(self._store, deliveries, self._at)

    class Planted(World):
        def projection(self, at: Callable[[str], None]) -> Projection:
            return Projecting(self.store, at)

    return Planted


class Hasty:
    """A log that confirms before the brokers do."""

    def __init__(self, log: ChangeLog, world: World) -> None:
        self._log, self._world = log, world
        self.name = log.name

    async def append(self, messages: Sequence[Message]) -> Sequence[Result]:
        self._world.loop.create_task(self._append(messages))
        return [Position(0, 0)] * len(messages)

    async def _append(self, messages: Sequence[Message]) -> None:
        await self._log.append(messages)

    async def ready(self) -> str | None:
        return await self._log.ready()

    async def close(self) -> None:
        await self._log.close()


class HastyWorld(World):
    """Its doors say 202 before the queue holds the change."""

    def change_log(self, link: DoorLink) -> ChangeLog:
        return Hasty(super().change_log(link), self)


class HastyState(SpoolState):
    """Says 202 for the first spooled change before every door knows of the spool."""

    async def settled(self) -> None:
        """Wait for nobody."""


class TrustingState(SpoolState):
    """Trusts a reading of any age."""

    @property
    def fresh(self) -> bool:
        return True


def _spooling(state: type[SpoolState]) -> type[World]:
    class Planted(World):
        def change_log(self, link: DoorLink) -> ChangeLog:
            return spool_log(self, link, state)

    return Planted


@contextlib.contextmanager
def early_closing() -> Iterator[type[World]]:
    """Let the drainer close the spool without keeping the doors out."""

    async def hold(_session: Session, _said: object) -> Cursor:
        return Cursor()

    with mock.patch.object(Session, "_hold", hold):
        yield World


@contextlib.contextmanager
def stale_upsert() -> Iterator[type[World]]:
    """Let an older timed change overwrite a newer field."""
    with mock.patch("licet.domain.fields._is_late", return_value=False):
        yield World


BUGS: dict[str, Callable[[], contextlib.AbstractContextManager[type[World]]]] = {
    "offset before effect": lambda: contextlib.nullcontext(_with(OffsetFirst)),
    "dedupe mark before effect": lambda: contextlib.nullcontext(_with(MarkFirst)),
    "stale upsert": stale_upsert,
    "spool overtaken: 202 before all doors know": lambda: contextlib.nullcontext(_spooling(HastyState)),
    "spool overtaken: an old reading trusted": lambda: contextlib.nullcontext(_spooling(TrustingState)),
    "spool overtaken: closed while doors append": early_closing,
    "acknowledged before the queue holds it": lambda: contextlib.nullcontext(HastyWorld),
}
