"""Stopped partitions in the store, for the operator: synchronous, one connection per call."""

from collections.abc import Sequence

from msgspec.structs import asdict

from licet.database import named_queries, writer_conninfo
from licet.domain.errors import NotFound
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.sessions import session
from licet.store.values import Act, Action, PartitionStop


class PostgresPartitions:
    """Keeps stops and decisions; see ``manage.ports``. Every method raises ``Unavailable``."""

    def __init__(self, url: str) -> None:
        self._conninfo = writer_conninfo(url, application="licet partition")
        self._sql = named_queries("licet.store", "sql/partitions.sql")

    def stops(self) -> Sequence[PartitionStop]:
        """Return the stopped partitions, the one that stopped first first."""
        with session(self._conninfo) as connection:
            return [PartitionStop(*row) for row in connection.execute(self._sql["stops"])]

    def decide(self, log: str, partition: int, by: Actor, accepted: int | None) -> PartitionStop:
        """Let a stopped partition go on, at the offset ``accepted`` or (None) where it stands; returns its stop."""
        place = {"log": log, "partition": partition}
        with session(self._conninfo) as connection, connection.transaction():
            row = connection.execute(self._sql["lift"], place).fetchone()
            if row is None:
                raise NotFound(f"partition {partition} of {log} is not stopped")
            stop = PartitionStop(*row)
            next_offset = stop.next_offset if accepted is None else accepted
            said = asdict(stop) | {"author": by.name, "from_offset": stop.next_offset, "next_offset": next_offset}
            said["action"] = "resume" if accepted is None else "accept"
            decision = connection.execute(self._sql["decide"], said).fetchone()
            if accepted is not None:
                told = {**place, "next_offset": accepted, "decision": str(decision[0] if decision else "")}
                if connection.execute(self._sql["set_aside"], told).rowcount:
                    connection.execute(self._sql["set_aside_offset"], told)
                connection.execute(self._sql["set_offset"], told)
            act = Act(
                action=Action.PARTITION_RESUME if accepted is None else Action.PARTITION_ACCEPT,
                subject=f"{log}/{partition}",
                by=by,
                before={"stopped": stop.reason, "next_offset": stop.next_offset},
                after={"next_offset": next_offset},
            )
            audit(connection, act)
        return stop
