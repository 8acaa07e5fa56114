"""Lists at the command line."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows; a terminal gets a table, anything else lines of tab-separated values without headings."""
    console = Console()
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row))  # noqa: T201 the command's output
        return
    table = Table(box=None)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
