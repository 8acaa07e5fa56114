"""Exports of the store, and the store against an export of Salesforce."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import msgspec

from licet.domain.drift import DriftKind, Layout, Said, drifts, reading
from licet.domain.errors import Fault, InvalidInput
from licet.domain.fields import moment_of
from licet.domain.principal import Actor
from licet.manage.export_file import ExportReader, ExportWriter
from licet.manage.ports import Bar, DriftStore
from licet.manage.repair import Orders, Repairs, Seen
from licet.store.values import Reconciliation

_TOLD = 20  # faults of a file that are told one by one
Tick = Callable[[int], object]


class DriftDesk:
    """The operator's side of both. ``store`` lends a session of the store."""

    def __init__(self, store: Callable[[], AbstractContextManager[DriftStore]]) -> None:
        self._store = store

    def export(self, out: IO[str], *, as_csv: bool, begins: Tick, told: Tick) -> int:
        """Write every customer, by id; returns how many. ``begins`` hears their number, ``told`` of each."""
        with self._store() as store:
            layout = Layout(store.catalog())
            source = layout.catalog.source
            begins(store.count())
            writer = ExportWriter(out, layout.columns(), as_csv=as_csv)
            for customer, deleted, fields in store.customers():
                times = [field.time for field in fields.values() if field.time is not None]
                modified = f"{moment_of(max(times)):%Y-%m-%dT%H:%M:%S.%fZ}" if times else None
                row = {source.id: customer, source.modified: modified, source.deleted: deleted}
                for name in layout.columns()[3:]:
                    value, role = fields[name].value if name in fields else None, layout.compared.get(name)
                    row[name] = reading(value, role, layout.catalog) if role is not None else value
                writer.write(row)
                told(1)
            writer.close()
            return writer.count

    def reconcile(
        self, path: Path, by: Actor, expected: int | None, seen: Seen, bar: Bar, orders: Orders | None = None
    ) -> Reconciliation:
        """Compare the store with a file and keep what it came to; ``seen`` hears of each customer that is off.

        With ``orders`` repair it. Raises ``InvalidInput`` for a file that cannot be read as a whole: then nothing is
        compared. Raises ``Unavailable`` where the queue does not take all.
        """
        with self._store() as store, tempfile.TemporaryFile() as plan:
            layout = Layout(store.catalog())
            reader = ExportReader(path, layout)
            try:
                rows = _Rows(reader, layout, bar, orders)
                store.load(rows)
            finally:
                reader.close()
            rows.check(expected, store.twice())
            repairs = Repairs(orders, layout, store, plan) if orders is not None else None
            counts: Counter[str] = Counter(rows=rows.count)
            bar.begins("customers", store.count())
            for pair in store.pairs():
                counts["excluded"] += pair.said is not None and pair.said.excluded
                found = drifts(layout, pair)
                if repairs is not None:
                    found = repairs.take(found, pair)
                if found:
                    counts.update({drift.kind.value for drift in found})
                    seen(found)
                bar.told(1)
            try:
                if repairs is not None:
                    repairs.publish(by, path.name, seen, bar)
            finally:
                if repairs is not None:
                    counts.update(repaired=repairs.published, held_back=repairs.held_back)
                names = ("rows", "excluded", *DriftKind, "repaired", "held_back")
                kept = store.keep(by, path.name, {name: counts[name] for name in names})
            return kept


class _Rows:
    """A file's good rows as the store takes them; the bad ones are kept to be told."""

    def __init__(self, reader: ExportReader, layout: Layout, bar: Bar, orders: Orders | None) -> None:
        self._reader, self._layout, self._bar, self._orders = reader, layout, bar, orders
        self._faults: list[Fault] = []
        self._bad = self.count = 0

    def __iter__(self) -> Iterator[tuple[int, str, Said]]:
        self._bar.begins("file", self._reader.size)
        at = 0
        for line, row in self._reader.rows():
            self.count += 1
            if self._reader.position != at:
                self._bar.told(self._reader.position - at)
                at = self._reader.position
            try:
                if isinstance(row, InvalidInput):
                    raise row
                customer, said = self._layout.read(row)
                if self._orders is not None:
                    self._orders.check_time(self._layout.catalog.source.modified, said.time)
            except InvalidInput as error:
                self._bad += 1
                self._tell(line, error.faults)
            else:
                yield line, customer, said

    def check(self, expected: int | None, twice: list[tuple[str, list[int]]]) -> None:
        """Raise ``InvalidInput`` where rows are bad, stand twice, or are not as many as they should be."""
        faults = self._faults
        if self._bad > _TOLD:
            faults.append(Fault("the file", f"{self._bad} bad rows", "none; the first are told above"))
        faults += [
            Fault(f"line {second}", f"customer {customer} again", f"each once; the first is at line {first}")
            for customer, (first, second) in twice
        ]
        promised = self._reader.promised
        faults += [
            Fault("the file", f"{self.count} rows", f"{number}, as {who} says")
            for number, who in ((promised, "its last row"), (expected, "--rows"))
            if number not in (None, self.count)
        ]
        if self._orders is not None and self._orders.delete_missing and promised is None and expected is None:
            faults.append(
                Fault("the file", "no number of rows", "one in its last row, or --rows, to delete what is missing")
            )
        if faults:
            raise InvalidInput.of(*faults)

    def _tell(self, line: int, faults: Iterable[Fault]) -> None:
        if self._bad <= _TOLD:
            self._faults += [msgspec.structs.replace(fault, field=f"line {line}, {fault.field}") for fault in faults]
