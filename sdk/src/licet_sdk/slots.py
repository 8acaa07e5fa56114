"""The slots: whose a name is, found with one wait for main memory where a dict of a million names takes four.

A name's own 64-bit ``hash()`` stands beside the numbers of its customer's profile and row, where the hash says or in
the next free slot. Only the hash is kept: a name that nobody has is taken for another by a chance of 1 in 10^13 a
question, at a million names (decision 31). Names that somebody has are told apart.
"""

import contextlib
import itertools
import mmap
import sys
from collections.abc import Iterator
from typing import NamedTuple

from licet_sdk.pages import Pages

_WIDE = 16  # bytes: a hash, two numbers
_KEYED = sys.hash_info.hash_bits == 64 and sys.hash_info.algorithm.startswith("siphash")  # noqa: PLR2004 bits
Place = tuple[int, int]  # numbers of a profile and a row
NOWHERE = (0, 0)  # nobody has profile 0
_TWINS = (0, -1)  # several names have this hash


class Block(NamedTuple):
    """Slots side by side, so that what is read of one lies in one line of the processor's cache."""

    keys: "memoryview[int]"
    profiles: "memoryview[int]"
    rows: "memoryview[int]"
    room: int


class Slots:
    """Names to places. One writes, any thread reads the keys and profiles of ``block`` without a lock.

    A hash once written stays: who goes leaves it with profile 0. A block that has become full is left as it is for
    whoever reads it, and another takes its place.
    """

    def __init__(self, pages: Pages) -> None:
        self.block = _block(64)
        self.twins: dict[str, Place] = {}
        self._pages, self._used = pages, 0

    def find(self, name: str) -> Place:
        """Return the place of exactly this name, else (0, 0)."""
        place = self._place(self._at(hash_of(name)))
        if place == _TWINS:
            return self.twins.get(name, NOWHERE)
        return place if place[0] and name in self._pages.names(place[1]) else NOWHERE

    def put(self, name: str, place: Place) -> None:
        """Give a name a place; the row lists the name already."""
        key, (keys, profiles, rows, room) = hash_of(name), self.block
        at = self._at(key)
        before = self._place(at)
        if before != NOWHERE or not _KEYED:
            names = self._pages.names(before[1]) if before[0] else []
            others = [one for one in names if one != name and hash_of(one) == key]
            if others or before == _TWINS or not _KEYED:
                self.twins |= {**dict.fromkeys(others, before), name: place}
                place = _TWINS
        profiles[at], rows[at] = place
        if not keys[at]:
            keys[at] = key  # last: whoever reads finds nothing or all of it
            self._used += 1
            if self._used * 5 > room * 2:
                self._grow()

    def drop(self, name: str, row: int) -> None:
        """Forget a name that this row had and no longer lists, unless another has it by now."""
        key = hash_of(name)
        at = self._at(key)
        place = self._place(at)
        if place == _TWINS:
            if self.twins.get(name, NOWHERE)[1] == row:
                self.twins.pop(name, None)
        elif place[1] == row and key not in map(hash_of, self._pages.names(row)):
            self.block.profiles[at] = 0

    def pairs(self) -> Iterator[tuple[int, Place]]:
        """Return each hash with its place, as of this moment."""
        keys, profiles, rows, _ = copied(self.block)
        twins = {(hash_of(name), place) for name, place in self.twins.items()}
        return itertools.chain(zip(keys, zip(profiles, rows, strict=True), strict=True), twins)

    def _grow(self) -> None:
        before = self.block
        self._used = sum(profile != 0 or row < 0 for profile, row in zip(before.profiles, before.rows, strict=True))
        keys, profiles, rows, room = block = _block(64 + self._used * 5)
        for key, profile, row in zip(*before[:3], strict=True):
            if profile or row < 0:
                at = key % room
                while keys[at]:
                    at = (at + 1) % room
                keys[at], profiles[at], rows[at] = key, profile, row
        self.block = block

    def _at(self, key: int) -> int:
        """Return where the slot of a hash is, or belongs."""
        keys, _, _, room = self.block
        at = key % room
        while keys[at] != key and keys[at]:
            at = (at + 1) % room
        return at

    def _place(self, at: int) -> Place:
        _, profiles, rows, _ = self.block
        return profiles[at], rows[at]


def hash_of(name: str) -> int:
    """Return the hash under which a name is kept, never 0, which means that nothing is there."""
    return hash(name) or 1


def copied(block: Block) -> Block:
    """Return a block that says the same."""
    copy = _block(block.room)
    memoryview(copy.keys.obj)[:] = memoryview(block.keys.obj)
    return copy


def _block(room: int) -> Block:
    """Return empty slots, in huge pages where the system has them: without, finding a page is a wait of its own."""
    memory: mmap.mmap | bytearray = bytearray(room * _WIDE if sys.platform != "linux" else 0)
    if sys.platform == "linux":
        memory = mmap.mmap(-1, room * _WIDE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # private: a fork has its own
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    numbers = memoryview(memory).cast("i")
    return Block(memoryview(memory).cast("q")[::2], numbers[2::4], numbers[3::4], room)
