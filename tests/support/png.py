"""A palette PNG of a screenshot: a page has few colours, and 256 of them take a third of the bytes."""

import collections
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256


def with_palette(png: bytes) -> bytes:
    """Return a browser's screenshot (8 bits, RGB, not interlaced) with at most 256 colours.

    The most frequent ones stay as they are; each other one, of letters' edges, becomes its nearest among them.
    """
    width, height, rows = _pixels(png)
    counted = collections.Counter(pixel for row in rows for pixel in row)
    palette = [colour for colour, _ in counted.most_common(_COLOURS)]
    index = {colour: place for place, colour in enumerate(palette)}
    for colour in counted.keys() - index.keys():
        index[colour] = min(range(len(palette)), key=lambda place: _apart(palette[place], colour))
    lines = b"".join(b"\0" + bytes(map(index.__getitem__, row)) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(map(_chunk, *zip(*chunks, strict=True)))


def _apart(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixels(png: bytes) -> tuple[int, int, list[list[bytes]]]:
    """Return the width, the height and each row's pixels, three bytes each."""
    assert png.startswith(_SIGNATURE)
    chunks, at = list[tuple[bytes, bytes]](), len(_SIGNATURE)
    while at < len(png):
        length = struct.unpack_from(">I", png, at)[0]
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, kind, interlaced) == (8, 2, 0)
    raw = zlib.decompress(b"".join(data for name, data in chunks if name == b"IDAT"))
    stride = 3 * width
    before, rows = bytes(stride), list[list[bytes]]()
    for start in range(0, height * (stride + 1), stride + 1):
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], before)
        rows.append([before[place : place + 3] for place in range(0, stride, 3)])
    return width, height, rows


def _unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    """Undo a row's filter (PNG, 9.2)."""
    if kind == 0:
        return line
    if kind == 2:
        return bytes((one + other) & 255 for one, other in zip(line, above, strict=True))
    done = bytearray(line)
    for place in range(len(line)):
        left = done[place - 3] if place >= 3 else 0
        if kind == 1:
            more = left
        elif kind == 3:
            more = (left + above[place]) // 2
        else:
            corner = above[place - 3] if place >= 3 else 0
            more = min((left, above[place], corner), key=lambda one: abs(left + above[place] - corner - one))
        done[place] = (line[place] + more) & 255
    return bytes(done)
