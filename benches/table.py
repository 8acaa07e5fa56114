"""The table: what was measured, its limit, the bar, the verdict."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any


class Skipped(Exception):
    """The machine lacks what a bench needs; the message says how to get it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line. ``limit`` is what the same machine does without Licet; ``ok`` is None where there is no bar.

    ``peer`` names whose figure the limit is, where a plot shows it.
    """

    what: str
    measured: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    bar: str = ""
    ok: bool | None = None
    note: str = ""
    peer: str = ""


def at_least(row: Row, bar: float) -> Row:
    """Hold the figure to a lowest value."""
    return dataclasses.replace(row, bar=f">= {bar:,.0f}", ok=row.measured >= bar)


def below(row: Row, bar: float) -> Row:
    """Hold the figure to a highest value."""
    return dataclasses.replace(row, bar=f"< {bar:,g}", ok=row.measured < bar)


def beside(row: Row, ours: Sequence[float], limits: Sequence[float], bar: float | None = None) -> Row:
    """Set the figure beside its limit; the ratio is the median of the rounds' ratios, held to ``bar`` if given."""
    ratio = statistics.median(one / other for one, other in zip(ours, limits, strict=True))
    row = dataclasses.replace(row, limit=statistics.median(limits), ratio=ratio)
    if bar is None:
        return row
    return dataclasses.replace(row, bar=f">= {bar:.0%}", ok=ratio >= bar)


def interleaved(rounds: int, *runs: Callable[[], Any]) -> list[list[Any]]:
    """Run all in turn, ``rounds`` times, every other round backwards; returns each run's results."""
    results: list[list[Any]] = [[] for _ in runs]
    for number in range(rounds):
        order = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        for index in order:
            results[index].append(runs[index]())
    return results


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that ``part`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-part * len(ordered) // 1) - 1))]


def render(rows: Sequence[Row]) -> str:
    """Lay the rows out as plain text."""
    heads = ("what", "measured", "limit", "ratio", "bar", "verdict", "note")
    cells = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    right = {1, 2, 3, 4}
    lines = []
    for line in cells:
        padded = (
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        f"{_number(row.measured)} {row.unit}",
        "" if row.limit is None else _number(row.limit),
        "" if row.ratio is None else f"{row.ratio:.0%}",
        row.bar,
        {None: "", True: "ok", False: "SHORT"}[row.ok],
        row.note,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
