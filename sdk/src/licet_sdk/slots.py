"""The slots: whose a name is, found with one wait for main memory where a dict of a million names takes four.

A name's own 64-bit ``hash()`` and a word stand side by side; the hash finds the place, the next free one is taken.
Only the hash is kept, so a name that nobody has is taken for another by a chance of 1 in 10^13 a question, at a
million names (decision 31). Names that somebody has are told apart.
"""

import contextlib
import itertools
import mmap
import sys
from array import array
from collections.abc import Iterator

from licet_sdk.pages import Pages

NUMBER = (1 << 24) - 1  # the bits of a word that number a profile; 0: not by its hash alone
_TWINS = -1 << 24  # several names have this hash
_KEYED = sys.hash_info.hash_bits == 64 and sys.hash_info.algorithm.startswith("siphash")  # noqa: PLR2004 bits


class Slots:
    """Names to words. One writes, any thread reads ``block`` (pairs of hash and word, how many) without a lock.

    A hash once written stays: who goes leaves it with the word 0. A block that has become full is left as it is for
    whoever reads it, and another takes its place.
    """

    def __init__(self, pages: Pages) -> None:
        self.block = _cells(64), 64
        self.twins: dict[str, int] = {}
        self._pages, self._used = pages, 0

    def find(self, name: str) -> int:
        """Return the word of exactly this name, else 0."""
        word = self.block[0][self._at(hash_of(name)) + 1]
        if word < 0:
            return self.twins.get(name, 0)
        return word if word and name in self._pages.names(word) else 0

    def put(self, name: str, word: int) -> None:
        """Give a name a word; its customer's record lists the name already."""
        key = hash_of(name)
        cells, room = self.block
        at = self._at(key)
        before = cells[at + 1]
        names = self._pages.names(before) if before > 0 else []
        others = [one for one in names if one != name and hash_of(one) == key]
        if others or before < 0 or not _KEYED:
            self.twins |= {**dict.fromkeys(others, before), name: word}
            word = _TWINS
        cells[at + 1] = word
        if not cells[at]:
            cells[at] = key  # last: whoever reads finds nothing or all of it
            self._used += 1
            if self._used * 5 > room * 3:
                self._grow()

    def drop(self, name: str, row: int) -> None:
        """Forget a name that this row had and no longer lists, unless another has it by now."""
        key = hash_of(name)
        cells, at = self.block[0], self._at(key)
        word = cells[at + 1]
        if word < 0:
            if self.twins.get(name, -1) >> 24 == row:
                del self.twins[name]
        elif word >> 24 == row and key not in map(hash_of, self._pages.names(word)):
            cells[at + 1] = 0

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Return each hash with its word, as of this moment; a word that is not positive is nobody's."""
        block, twins = (
            memoryview(bytes(self.block[0])).cast("q"),
            {(hash_of(one), word) for one, word in self.twins.items()},
        )
        return itertools.chain(zip(block[::2], block[1::2], strict=True), twins)

    def _at(self, key: int) -> int:
        """Return where the pair of a hash is, or belongs."""
        cells, room = self.block
        at = key % room * 2
        while cells[at] != key and cells[at]:
            at = (at + 2) % (room * 2)
        return at

    def _grow(self) -> None:
        before = self.block[0]
        self._used = sum(word != 0 for word in before[1::2])
        room = 64 + self._used * 10 // 3
        cells, pairs = _cells(room), iter(before)
        for key, word in zip(pairs, pairs, strict=True):
            if word:
                at = key % room * 2
                while cells[at]:
                    at = (at + 2) % (room * 2)
                cells[at], cells[at + 1] = key, word
        self.block = cells, room


def hash_of(name: str) -> int:
    """Return the hash under which a name is kept, never 0, which means that nothing is there."""
    return hash(name) or 1


def _cells(room: int) -> "memoryview[int]":
    """Return pairs of zeros, in huge pages where the system has them: without, finding a page is a wait of its own."""
    if sys.platform != "linux":
        return memoryview(array("q", bytes(room * 16)))
    memory = mmap.mmap(-1, room * 16, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # private: a forked child has its own
    with contextlib.suppress(OSError):  # a kernel without huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory).cast("q")
