"""The pages: what is kept of each customer, 256 of them to a page. A page never changes; another takes its place.

So a decision that holds its page goes on saying what was true, and need not touch the customer's own bytes, which would
be a wait for main memory: there are few pages, and the processor has them at hand.
"""

import struct
from collections.abc import Iterable

ROW = struct.Struct("<16sq")  # a license or override as it is kept: its id, and since when its state holds (µs)
_PLACES = 256


class Page:
    """Records by place: id and aliases with spaces between, a line end, a ``ROW`` per license; empty for nobody."""

    __slots__ = ("records",)

    def __init__(self, records: tuple[bytes, ...]) -> None:
        self.records = records  # a tuple of bytes, which the garbage collector lets alone

    def names(self, word: int) -> list[str]:
        """Return the customer's id, then its aliases; nothing for nobody."""
        return self.records[word >> 24 & 255].partition(b"\n")[0].decode().split()

    def rows(self, word: int) -> bytes:
        """Return the licenses, in the order of the profile's terms."""
        return self.records[word >> 24 & 255].partition(b"\n")[2]

    def alone(self, word: int) -> "Page":
        """Return a page with this customer alone, at word 0."""
        return Page((self.records[word >> 24 & 255],))


class Pages:
    """All pages. A word holds the number of a customer's row, from bit 24 on, and below it that of its profile."""

    def __init__(self, pages: Iterable[Page] = ()) -> None:
        self.pages = list(pages)
        self.free: list[int] = []

    def of(self, word: int) -> Page:
        """Return the page of a word."""
        return self.pages[word >> 32]

    def names(self, word: int) -> list[str]:
        """Return a customer's id, then its aliases; nothing for nobody."""
        return self.pages[word >> 32].names(word)

    def add(self, record: bytes) -> int:
        """Keep a record in a row that nobody has; returns the row."""
        if self.free:
            row = self.free.pop()
            self.write(row, record)
            return row
        if not self.pages or len(self.pages[-1].records) == _PLACES:
            self.pages.append(Page(()))
        self.pages[-1] = Page((*self.pages[-1].records, record))
        return (len(self.pages) - 1) * _PLACES + len(self.pages[-1].records) - 1

    def write(self, row: int, record: bytes) -> None:
        """Keep a record in this row."""
        page, at = self.pages[row >> 8].records, row & 255
        self.pages[row >> 8] = Page((*page[:at], record, *page[at + 1 :]))

    def __len__(self) -> int:
        return sum(len(page.records) for page in self.pages) - len(self.free)
