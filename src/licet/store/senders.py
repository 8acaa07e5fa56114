"""What the doors saw: senders, and the bad posts of known ones. Written in batches, beside the road."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from licet.store.pools import Pool, Reader, connection_of
from licet.store.values import DoorLetter, Sender

# Of the letters that doors keep. A sender that posts nothing good must not fill the disk.
MOST_LETTERS = 10_000
KEPT_DAYS = 30


class PostgresSenders(Reader):
    """Keeps what doors saw; see ``receive.register``."""

    files = ("senders",)

    def __init__(self, pool: Pool, *, most: int = MOST_LETTERS, days: int = KEPT_DAYS) -> None:
        super().__init__(pool)
        self._bounds = {"most": most, "days": days}

    async def write(self, senders: Sequence[Sender], letters: Sequence[DoorLetter]) -> None:
        """Add what was seen and drop the letters beyond the bounds, in one transaction. Raises ``Unavailable``."""
        async with connection_of(self._pool) as connection, connection.transaction():
            if senders:
                await connection.execute(self._sql["write_senders"], {"senders": storable(senders)})
            if letters:
                await connection.execute(
                    self._sql["keep_letters"],
                    {
                        "reasons": [letter.reason for letter in letters],
                        "faults": [storable(letter.faults) for letter in letters],
                        "values": [letter.value for letter in letters],
                        "headers": [headers_text(letter.headers) for letter in letters],
                        "at": [letter.at for letter in letters],
                    },
                )
                await connection.execute(self._sql["prune_letters"], self._bounds)


def headers_text(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """Write a record's headers as a letter keeps them: JSON, the values in base64."""
    return storable([(name, base64.b64encode(value or b"").decode()) for name, value in headers])


def storable(value: Any) -> str:
    """Write JSON that PostgreSQL keeps: without U+0000."""
    return msgspec.json.encode(value).decode().replace("\\u0000", "\\ufffd")
