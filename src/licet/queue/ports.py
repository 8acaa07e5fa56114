"""What a log must do: one side for the door, one for the worker. Two adapters, one conformance suite."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from licet.queue.message import Message, Position, Record


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
        """The log's name in the ledger."""
        ...

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        """Append each message durably and say where it stands, or why it does not.

        One result per message, in order. Returns only when every message is confirmed or failed, at most the
        adapter's time-out (4 s) later. Messages of one key keep the order of the calls and within a call. One
        failed message does not fail the others. Never raises for a log that is away.
        """
        ...

    async def ready(self) -> str | None:
        """Return None where the log takes messages, else what it waits for, in words."""
        ...

    async def close(self) -> None:
        """Wait for what is in flight, then let go of the log."""
        ...


# Given the partitions newly assigned, returns the next offset of each that has one in the store.
Positions = Callable[[Collection[int]], Mapping[int, int]]


class LogReader(Protocol):
    """The worker's side. Used from one thread; not thread-safe."""

    @property
    def name(self) -> str:
        """The log's name in the ledger."""
        ...

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that this reader holds now; changes only inside ``poll``."""
        ...

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        """Return up to ``limit`` records, in order per partition, waiting up to ``timeout`` seconds for the first.

        A partition newly assigned starts at the offset that ``Positions`` gives, or at the log's start; never at
        its end. Raises ``LogUnavailable`` where the log cannot be read now; the next poll tries again.
        What ``Positions`` raises passes through, and the next poll asks it again.
        """
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Read the partition from ``offset`` on, as after a batch that could not be committed."""
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the log the next offset of each partition. For lag tools and trimming only; the store is the truth."""
        ...

    def lag(self) -> Mapping[int, int]:
        """Return, per partition held, how many records stand beyond the last one polled.

        It may be a second old; a partition whose end is not known is left out. Never raises.
        """
        ...

    def close(self) -> None:
        """Let go of the partitions, so that another reader takes them at once."""
        ...


class LogUnavailable(Exception):
    """The log cannot be read now."""


class LogGap(LogUnavailable):
    """The log does not hold the next offset to apply: trimmed, restored or made anew behind the store's back.

    Each poll raises it until a person has decided. A reader never jumps over a gap.
    """
