"""Which partition a customer's changes go to, the same in every log: changing the log moves no customer."""

from licet.queue.message import PARTITIONS


def murmur2(key: bytes) -> int:
    """Hash as the Java clients' partitioner does: 32-bit MurmurHash2 by Austin Appleby, seed 0x9747b28c."""
    word, mask = 0x5BD1E995, 0xFFFFFFFF
    whole = len(key) & ~3
    state = 0x9747B28C ^ len(key)
    for at in range(0, whole, 4):
        part = int.from_bytes(key[at : at + 4], "little") * word & mask
        state = (state * word & mask) ^ ((part ^ part >> 24) * word & mask)
    if whole < len(key):
        state = (state ^ int.from_bytes(key[whole:], "little")) * word & mask
    state = (state ^ state >> 13) * word & mask
    return state ^ state >> 15


def partition_of(key: bytes) -> int:
    """Return the partition of a key, as librdkafka's ``murmur2_random`` and the Java clients choose it."""
    return (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
