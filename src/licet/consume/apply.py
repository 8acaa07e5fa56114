"""Step 3c of the road: one batch becomes one transaction; effects, ledger and offsets stand or fall together.

What can go wrong, and what follows:

| what                                   | then                                                                  |
|----------------------------------------|-----------------------------------------------------------------------|
| a record cannot be read, a rule says no| its outcome is dead, in the same transaction                          |
| the store refuses the batch's data     | halve the batch; what fails alone is dead(inapplicable)               |
| it refuses even the dead letter        | the partition stops (refused); the others go on                       |
| too many deliveries end dead           | the partition stops (dead_limit), in the transaction that ends them   |
| another worker moved an offset         | ``Fenced``: nothing is kept; read on from where the store stands       |
| the store is away, or threw us out     | ``StoreUnavailable``: nothing is kept, or all; the offset tells which   |
"""

import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from licet.consume.fold import World, fold
from licet.consume.read import Read, Readable, read_record
from licet.domain.brake import Brake, Room
from licet.domain.catalog import Catalog
from licet.domain.filter import Kind
from licet.queue.message import Record
from licet.queue.ports import LogGap
from licet.store.ports import DeadLimit, Delivery, EventKey, Inapplicable, Projection, StoreUnavailable, Wanted

_log = logging.getLogger(__name__)


class Fenced(Exception):
    """Another worker moved the offsets of these partitions; nothing of the batch was kept."""

    def __init__(self, partitions: Collection[int]) -> None:
        super().__init__(f"partitions {sorted(partitions)} are another worker's")
        self.partitions = frozenset(partitions)


class Applied(msgspec.Struct, frozen=True):
    """A committed batch: its reading began at ``began``, its transaction had the write lock at ``locked``.

    Both are seconds since 1970. The safety brake holds ``held`` licenses of it; ``tripped``: those are the first.
    """

    revision: int
    deliveries: Sequence[Delivery]
    began: float = 0.0
    locked: float = 0.0
    held: int = 0
    tripped: bool = False


class _CatalogMoved(Exception):
    """The batch was read with a catalog that is no longer the current one."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(f"catalog version {catalog.version}")
        self.catalog = catalog


class Applier:
    """Applies batches of one log and remembers where each partition stands.

    ``committed`` is called after each commit. ``stopped`` are the partitions that no one reads until a person has
    decided, each with why; what a batch holds of them is passed over. ``brake``: None is off. Not thread-safe.
    """

    def __init__(
        self,
        projection: Projection,
        committed: Callable[[Applied], None],
        organization: str | None = None,
        limit: DeadLimit = DeadLimit(),  # noqa: B008 frozen
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
        brake: Brake | None = None,
    ) -> None:
        self._projection = projection
        self._committed = committed
        self._organization = organization
        self._limit = limit
        self._new_id = new_id
        self._brake = brake if brake is not None and brake.on else None
        self._catalog: Catalog | None = None
        self._log_name = ""
        self._next: dict[int, int | None] = {}
        self.stopped: dict[int, str] = {}

    def assign(self, log: str, partitions: Collection[int]) -> Mapping[int, int | None]:
        """Take over partitions of a log; returns the next offset of each that has one, None where it is stopped."""
        standings = self._projection.positions(log, partitions)
        if log != self._log_name:
            self._next, self.stopped = {}, {}
        self._log_name = log
        self._next.update(dict.fromkeys(partitions))
        self._next.update({each.partition: each.next_offset for each in standings})
        for partition in partitions:
            self.stopped.pop(partition, None)
        self.stopped.update({each.partition: each.stopped for each in standings if each.stopped is not None})
        return {each.partition: each.next_offset if each.stopped is None else None for each in standings}

    def stop(self, partition: int, reason: str, detail: str) -> None:
        """Stop a partition, for all workers, until a person has decided. Raises ``StoreUnavailable``.

        Where another worker or a person moved it meanwhile only this one stops, until it looks again.
        """
        self._projection.stop(self._log_name, partition, self._next.get(partition), reason, detail)
        self.stopped[partition] = f"{reason}: {detail}"

    def stop_at(self, gap: LogGap) -> None:
        """Stop the partition whose next offset its log does not hold."""
        self.stop(gap.partition, "below_start" if gap.below else "beyond_end", str(gap))

    def known(self) -> Mapping[int, int]:
        """Return the next offset of each partition that has one."""
        return {partition: offset for partition, offset in self._next.items() if offset is not None}

    def tell_progress(self, seconds_ago: Mapping[int, float]) -> None:
        """Say that all which each partition took so many seconds ago is applied. Raises ``StoreUnavailable``."""
        self._projection.tell_progress(self._log_name, seconds_ago)

    def apply(self, records: Sequence[Record]) -> None:
        """Apply records, in order per partition. Raises ``Fenced`` or ``StoreUnavailable``.

        Records below the next offset were applied before and are passed over.
        """
        fresh = [record for record in records if record.offset >= (self._next.get(record.partition) or 0)]
        if fresh:
            self._halve(fresh)

    def _halve(self, batch: Sequence[Record]) -> None:
        records = [record for record in batch if record.partition not in self.stopped]
        refused = self._try(records) if records else None
        if refused is None:
            return
        if len(records) == 1:
            self._bury(records[0], f"{type(refused).__name__}: {refused}", refused)
            return
        middle = len(records) // 2
        self._halve(records[:middle])
        self._halve(records[middle:])

    def _bury(self, record: Record, reason: str, refused: Exception) -> None:
        _log.error("a change cannot be applied: %s", record.place, exc_info=refused)
        try:
            self._commit([record], reason)
        except Inapplicable as error:
            self.stop(record.partition, "refused", f"{record.place} cannot be kept, not even as a dead letter: {error}")

    def _try(self, records: Sequence[Record]) -> Exception | None:
        """Commit the records; returns what refused them, where trying again cannot help."""
        try:
            self._commit(records, None)
        except (Fenced, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 whatever one record does to the fold, the others must not wait for it
            return error
        return None

    def _commit(self, records: Sequence[Record], inapplicable: str | None) -> None:
        if self._catalog is None:
            self._catalog = self._projection.current_catalog()
        while True:
            try:
                applied = self._transaction(records, self._catalog, inapplicable)
                break
            except _CatalogMoved as moved:
                self._catalog = moved.catalog
        for record in records:
            self._next[record.partition] = record.offset + 1
        self._committed(applied)

    def _transaction(self, records: Sequence[Record], catalog: Catalog, inapplicable: str | None) -> Applied:
        began = time.time()
        reads = [read_record(record, catalog) for record in records]
        wanted = self._wanted(reads, inapplicable)
        with self._projection.transaction(len(reads)) as transaction:
            locked = time.time()
            loaded = transaction.load(wanted)
            if loaded.fenced:
                raise Fenced(loaded.fenced)
            if loaded.catalog.version != catalog.version:
                raise _CatalogMoved(loaded.catalog)
            world = World(
                catalog=catalog,
                revision=transaction.revision,
                first_sequence=transaction.first_sequence,
                customers=loaded.customers,
                earlier=loaded.earlier,
                originals=loaded.originals,
                organization=self._organization,
                new_id=self._new_id,
                room=Room() if self._brake is not None else None,
            )
            folded, tripped = fold(reads, world, inapplicable=inapplicable), False
            if folded.ends and self._brake is not None:
                room = transaction.count_ends(folded.ends, self._brake)
                tripped = 0 <= room.left < folded.ends
                folded = fold(reads, msgspec.structs.replace(world, room=room))
            transaction.write(folded)
            dying = {one.partition for one in folded.deliveries if one.outcome.kind is Kind.DEAD}
            stopped = transaction.stop_dying(self._log_name, dying, self._limit) if dying else {}
        self.stopped.update(stopped)
        return Applied(world.revision, folded.deliveries, began, locked, len(folded.holds), tripped)

    def _wanted(self, reads: Sequence[Read], inapplicable: str | None) -> Wanted:
        after: dict[int, int] = {}
        for one in reads:
            after[one.record.partition] = one.record.offset + 1
        # Of what the store has refused nothing is looked up: the look-up may be what it refused.
        looked_at = reads if inapplicable is None else ()
        readable = [one for one in looked_at if isinstance(one, Readable)]
        envelopes = [one.envelope for one in looked_at if one.envelope is not None]
        return Wanted(
            log=self._log_name,
            moves={partition: (self._next.get(partition), end) for partition, end in after.items()},
            events={EventKey(one.change.source, one.change.event_id, one.change.customer_id) for one in readable},
            originals={envelope.replay_of for envelope in envelopes if envelope.replay_of is not None},
            customers={one.change.customer_id for one in readable},
        )
