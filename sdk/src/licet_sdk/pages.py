"""The pages: what is kept of each customer, by the number of its row, 256 rows to a page.

What a page says of a row never changes; another page takes its place. So a decision that holds its page goes on saying
what was true, and need not touch the customer's own bytes, which would be a wait for main memory: pages are few.
"""

import struct
from collections.abc import Iterable

ROW = struct.Struct("<16sq")  # a license or override as it is kept: its id, and since when its state holds (µs)
_ROWS = 256


class Page:
    """Records of 256 rows: id and aliases with spaces between, a line end, a ``ROW`` per license; empty for nobody."""

    __slots__ = ("records",)

    def __init__(self, records: list[bytes] | tuple[bytes, ...]) -> None:
        self.records = records

    def names(self, row: int) -> list[str]:
        """Return the customer's id, then its aliases; nothing for nobody."""
        return self.records[row % _ROWS].partition(b"\n")[0].decode().split()

    def rows(self, row: int) -> bytes:
        """Return the licenses, in the order of the profile's terms."""
        return self.records[row % _ROWS].partition(b"\n")[2]

    def alone(self, row: int) -> "Page":
        """Return a page with this row alone, as its first."""
        return Page((self.records[row % _ROWS],))


class Pages:
    """All pages; ``free`` are the rows that nobody has any more."""

    def __init__(self, pages: Iterable[Page] = ()) -> None:
        self.pages = list(pages)
        self.free: list[int] = []

    def of(self, row: int) -> Page:
        """Return the page of a row."""
        return self.pages[row // _ROWS]

    def names(self, row: int) -> list[str]:
        """Return a customer's id, then its aliases; nothing for nobody."""
        return self.of(row).names(row)

    def add(self, record: bytes) -> int:
        """Keep a record in a row that nobody has; returns the row."""
        if self.free:
            row = self.free.pop()
            self.write(row, record)
            return row
        last = self.pages[-1].records if self.pages else ()
        if not isinstance(last, list):
            last = []
            self.pages.append(Page(last))
        last.append(record)
        if len(last) == _ROWS:
            self.pages[-1].records = tuple(last)  # which the garbage collector lets alone
        return (len(self.pages) - 1) * _ROWS + len(last) - 1

    def write(self, row: int, record: bytes) -> None:
        """Keep a record in this row."""
        records = list(self.of(row).records)
        records[row % _ROWS] = record
        self.pages[row // _ROWS] = Page(tuple(records) if len(records) == _ROWS else records)

    def __len__(self) -> int:
        return sum(len(page.records) for page in self.pages) - len(self.free)
