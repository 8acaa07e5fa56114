"""What a person sees while ``licet up`` runs: where things are, and changes as they are applied."""

import datetime as dt
import queue
import threading
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from licet.consume.apply import Applied
from licet.domain.filter import Kind
from licet.store.ports import Delivery

_COLORS = {Kind.APPLIED: "green", Kind.IGNORED: "dim", Kind.SUPERSEDED: "yellow", Kind.DEAD: "red"}
_BACKLOG = 200


def show_addresses(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print what is where; plain lines where it is no terminal. No line is broken: a command must be copied whole."""
    wide = max(len(name) for name, _ in rows)
    for name, value in rows:
        if console.is_terminal:
            console.print(Text.assemble((f"{name:<{wide}}  ", "bold"), value), soft_wrap=True)
        else:
            console.print(f"{name}: {value}", soft_wrap=True, markup=False, highlight=False)
    console.print()


class LiveChanges:
    """Prints a line per delivery, from a thread of its own, so that a slow terminal holds nothing up.

    More than ``_BACKLOG`` waiting lines are counted and not printed; the count is.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: queue.Queue[Text | None] = queue.Queue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._print, name="live changes", daemon=True)
        self._thread.start()

    def seen(self, applied: Applied) -> None:
        """Take a committed batch."""
        for delivery in applied.deliveries:
            if self._lines.qsize() < _BACKLOG:
                self._lines.put(_line(delivery, applied.revision))
            else:
                self._left_out += 1

    def close(self) -> None:
        """Print what waits, and end."""
        self._lines.put(None)
        self._thread.join(2.0)

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            self._console.print(line, soft_wrap=True)
            if self._left_out and self._lines.empty():
                left_out, self._left_out = self._left_out, 0
                self._console.print(f"… and {left_out} more")


def _line(delivery: Delivery, revision: int) -> Text:
    payload = _payload(delivery.payload)
    name = payload.get("Name") or delivery.customer_id or "(unreadable)"
    flags = " ".join(f"{key}={'on' if value else 'off'}" for key, value in payload.items() if isinstance(value, bool))
    at = dt.datetime.now().astimezone().strftime("%H:%M:%S")
    line = Text(f"{at}  ")
    line.append(f"{delivery.outcome!s:<20}", style=_COLORS[delivery.outcome.kind])
    line.append(f"  {str(name)[:32]:<32}  {flags}  ")
    line.append(f"revision {revision}", style="dim")
    return line


def _payload(raw: bytes | None) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
