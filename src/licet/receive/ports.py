"""What the room needs of the store."""

from collections.abc import Sequence
from typing import Protocol

from licet.store.values import DoorLetter, Sender


class SenderWriter(Protocol):
    """Where the register is written."""

    async def write(self, senders: Sequence[Sender], letters: Sequence[DoorLetter]) -> None:
        """Add what was seen, all or nothing. Raises ``Unavailable`` where the store does not answer."""
        ...
