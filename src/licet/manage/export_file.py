"""A full export as a file: CSV with a header row, or lines of JSON. The last row says how many there are.

That row, ``#rows,N`` or ``{"#rows":N}``, is how a truncated file is noticed; for files of others the operator says N.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from licet.domain.drift import Layout
from licet.domain.errors import ConfigurationError, Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.payload import read_object

END = "#rows"


class ExportReader:
    """Reads one file, once. ``position`` of ``size`` bytes are read; ``promised`` is what the last row says."""

    def __init__(self, path: Path, layout: Layout) -> None:
        if path.suffix not in {".csv", ".jsonl"}:
            raise ConfigurationError(f"{path}: found {path.suffix or 'no ending'}, expected .csv or .jsonl")
        try:
            self._raw = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise ConfigurationError(str(error)) from error
        self._csv = path.suffix == ".csv"
        self._layout = layout
        self.promised: int | None = None

    @property
    def position(self) -> int:
        """How many bytes are read."""
        return self._raw.tell()

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | InvalidInput]]:
        """Yield of each row its last line's number, and the object or what is wrong with it.

        Raises ``InvalidInput`` where nothing can be read any more.
        """
        for line, row in self._cells() if self._csv else self._objects():
            if self.promised is not None:
                raise InvalidInput.of(Fault(f"line {line}", "a row", f"nothing after {END}"))
            if isinstance(row, dict) and END in row:
                self.promised = row[END] if type(row[END]) is int else -1
            else:
                yield line, row

    def _objects(self) -> Iterator[tuple[int, dict[str, Any] | InvalidInput]]:
        for line, raw in enumerate(self._raw, 1):
            try:
                row: dict[str, Any] | InvalidInput = read_object(raw.rstrip(b"\r\n"), "the row")
            except InvalidInput as error:
                row = error
            yield line, row

    def _cells(self) -> Iterator[tuple[int, dict[str, Any] | InvalidInput]]:
        with io.TextIOWrapper(self._raw, "utf-8-sig", newline="") as text:
            csv.field_size_limit(1 << 20)  # a body of the door has at most 256 KiB; the default is half of that
            lines = csv.reader(text, strict=True)
            try:
                heads = next(lines, [])
                self._check_heads(heads)
                for cells in lines:
                    yield lines.line_num, self._object(heads, cells)
            except (csv.Error, UnicodeDecodeError) as error:
                raise InvalidInput.of(Fault(f"line {lines.line_num + 1}", str(error), "CSV in UTF-8")) from error

    def _check_heads(self, heads: Sequence[str]) -> None:
        key = self._layout.catalog.source.id
        twice = next((head for head in heads if heads.count(head) > 1), None)
        if key not in heads or twice is not None:
            found = f"the column {shown(twice)} twice" if twice is not None else f"no column {key}"
            raise InvalidInput.of(Fault("line 1", found, f"a header row with {key}, each column once"))

    def _object(self, heads: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | InvalidInput:
        if cells and cells[0] == END:
            return {END: int(cells[1]) if len(cells) == 2 and cells[1].isdecimal() else -1}  # noqa: PLR2004 name, count
        if len(cells) != len(heads):
            return InvalidInput.of(Fault("the row", f"{len(cells)} cells", f"{len(heads)}, as in the header row"))
        if any("\x00" in cell for cell in cells):
            return InvalidInput.of(Fault("the row", "U+0000", "text that PostgreSQL can keep"))
        return {head: self._layout.cell(head, cell) for head, cell in zip(heads, cells, strict=True)}


class ExportWriter:
    """Writes rows with these columns; ``close`` writes the last one."""

    def __init__(self, out: IO[str], columns: Sequence[str], *, as_csv: bool) -> None:
        self._out, self._columns = out, columns
        self._csv = csv.writer(out, lineterminator="\r\n") if as_csv else None
        self.count = 0
        if self._csv is not None:
            self._csv.writerow(columns)

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a row."""
        self.count += 1
        if self._csv is not None:
            self._csv.writerow([_cell(row[column]) for column in self._columns])
        else:
            self._out.write(msgspec.json.encode(row).decode() + "\n")

    def close(self) -> None:
        """Say how many rows there are."""
        if self._csv is not None:
            self._csv.writerow([END, self.count])
        else:
            self._out.write(msgspec.json.encode({END: self.count}).decode() + "\n")


def _cell(value: Any) -> Any:
    return value if not isinstance(value, bool) else "true" if value else "false"
