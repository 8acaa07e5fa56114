"""What a log must do: one side for the door, one for the worker. Two adapters, one conformance suite."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from licet.queue.message import Header, Message, Position, Record


class AppendFailed(msgspec.Struct, frozen=True):
    """The log did not confirm a message. It may hold it all the same: a time-out does not mean "not written".

    ``permanent`` tells that the log will never take this message (too large, for one); a retry cannot help.
    """

    reason: str
    permanent: bool = False


class ChangeLog(Protocol):
    """The door's side."""

    @property
    def name(self) -> str:
        """The log's name, for people."""

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append each message durably and say where it stands, or why it does not.

        One result per message, in order. Returns only when every message is confirmed or failed, at most the
        adapter's time-out (4 s) later. Messages of one key keep the order of the calls and within a call. One
        failed message does not fail the others. Never raises for a log that is away.
        """

    async def ready(self) -> str | None:
        """Return None where the log takes messages, else what it waits for, in words."""

    async def close(self) -> None:
        """Wait for what is in flight, then let go of the log."""


# Given the log's name and partitions, returns the next offset of each that has one in the store. None: the partition is
# stopped, and must not be read.
Positions = Callable[[str, Collection[int]], Mapping[int, int | None]]


class LogReader(Protocol):
    """The worker's side. Used from one thread; not thread-safe."""

    @property
    def name(self) -> str:
        """The log's name in the ledger: what people call it, ``@``, and an id that a log made anew does not share.

        Told anew to ``Positions`` each time; may change only then.
        """

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that this reader holds now, stopped ones too; changes only inside ``poll``."""

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Return up to ``limit`` records, in order per partition, waiting up to ``timeout`` seconds for the first.

        A partition newly assigned starts at the offset that ``Positions`` gives, or at the log's start; never at
        its end. Raises ``LogUnavailable`` where the log cannot be read now, and ``LogGap`` for one partition at a
        time; the next poll tries again. What ``Positions`` raises passes through, and the next poll asks it again.
        """

    def refresh(self) -> None:
        """Ask ``Positions`` for all partitions held before the next read: a batch was not committed, or one stopped."""

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the log the next offset of each partition. For lag tools and trimming only; the store is the truth."""

    def lag(self) -> Mapping[int, int]:
        """Return, per partition held, how many records stand beyond the last one polled.

        It may be a second old; a partition that is stopped or whose end is not known is left out. Never raises.
        """

    def close(self) -> None:
        """Let go of the partitions, so that another reader takes them at once."""


class Held:
    """What every ``LogReader`` keeps of the partitions that it holds."""

    def __init__(self, name: str, positions: Positions) -> None:
        self.name = name  # what people call it, until the log has told its id
        self._positions = positions
        self._next: dict[int, int | None] = {}  # None: stopped

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that this reader holds now."""
        return frozenset(self._next)

    def _reading(self) -> dict[int, int]:
        return {partition: at for partition, at in self._next.items() if at is not None}


class LogUnavailable(Exception):
    """The log cannot be read now. ``todo``: what a person can do about it, where that is known."""

    def __init__(self, found: str, todo: str | None = None) -> None:
        super().__init__(found)
        self.todo = todo


class LogGap(Exception):
    """The log does not hold the next offset of a partition: trimmed, restored or made anew behind the store's back.

    Each poll raises it until ``Positions`` says that the partition is stopped; a reader never jumps over a gap.
    The log holds ``first`` up to, and without, ``end``.
    """

    def __init__(self, partition: int, wanted: int, first: int, end: int) -> None:
        super().__init__(f"partition {partition}: the next offset is {wanted}, the log has {first} to {end}")
        self.partition = partition
        self.below = wanted < first


class Extent(msgspec.Struct, frozen=True):
    """What a partition holds: ``first`` is its oldest record's offset, ``end`` that of the next append."""

    first: int
    end: int


class LogSurvey(Protocol):
    """The operator's side: it looks and moves nothing. Each method raises ``LogUnavailable``."""

    def extents(self) -> tuple[str, Mapping[int, Extent]]:
        """Return the log's name in the ledger and what each partition holds."""

    def count(self, partition: int, start: int, stop: int) -> int:
        """Count the records from ``start`` up to, and without, ``stop``; of Kafka's own markers there are none."""


class Announcement(msgspec.Struct, frozen=True, gc=False):
    """A record for others. ``value`` None: forget what was said under this key."""

    key: str
    value: bytes | None
    headers: Sequence[Header]


class Announcer(Protocol):
    """Tells others, over a compacted topic."""

    def open(self) -> None:
        """Make ready to send, unless it is: whoever opened the topic before can send no more.

        Raises ``LogUnavailable``.
        """

    def send(self, announcements: Sequence[Announcement]) -> None:
        """Return once all are confirmed, in order per key. Raises ``LogUnavailable``: then all are to be sent again."""

    def close(self) -> None:
        """Let go of the topic; what is not confirmed is given up."""
