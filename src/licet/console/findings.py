"""Green, or what is wrong and what to do: the judgement on what the store and this process say of themselves."""

import enum
import math
from collections.abc import Iterator

import msgspec

from licet.console.frame import HOME
from licet.store.values import Pulse, Reconciliation

# A worker says four times a second how far it is; beside a restart it says nothing for some seconds.
SILENT_S = 10.0
# A web process looks every second at least; lag is less than a second where workers keep up.
SLOW_S = 5.0
LATE_S = 60.0
_MANY = 1000


class Level(enum.StrEnum):
    """How it stands, the worst first. ``wait``: it works, and somebody should look."""

    BAD = "bad"
    WAIT = "wait"
    GOOD = "good"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at; what to do where it is not right, in words, and the page (``path``) to do it on."""

    what: str
    level: Level
    found: str
    todo: str = ""
    path: str | None = None
    label: str = ""


def away(why: str) -> Finding:
    """Say that the store does not answer: nothing else is known then, but how old the answers are."""
    todo = "Start PostgreSQL again; answers go on from memory. `licet doctor` says more."
    return Finding(what="Store", level=Level.BAD, found=why, todo=todo)


def answers(age_s: float, stale_after_s: float) -> Finding:
    """Judge the age of the snapshot that this process answers from."""
    what = "Answers"
    if math.isinf(age_s):
        todo = "It loads at the start; with a million customers that takes some seconds."
        return Finding(what=what, level=Level.BAD, found="no snapshot is loaded yet", todo=todo)
    found = f"made from what the store said {ago(age_s)}"
    if age_s < SLOW_S:
        return Finding(what=what, level=Level.GOOD, found=found)
    todo = f"Look whether PostgreSQL answers. From {stale_after_s:g} s on, a feature's when_stale decides."
    return Finding(what=what, level=Level.BAD if age_s >= stale_after_s else Level.WAIT, found=found, todo=todo)


def judge(pulse: Pulse, held: int, last: Reconciliation | None) -> Iterator[Finding]:
    """Judge what the store says, its safety brake's holds and its last comparison with Salesforce."""
    yield _worker(pulse)
    yield _lag(pulse)
    spool = "closed"
    todo = ""
    if pulse.spooling:
        spool = f"open: {_count(pulse.spooled, 'change')} in PostgreSQL until Kafka is back"
        todo = "Nothing is lost, and nothing reaches customers before Kafka is back: look at the broker."
    yield Finding(what="Spool", level=Level.WAIT if pulse.spooling else Level.GOOD, found=spool, todo=todo)
    yield _stopped(pulse)
    yield _page(
        "Dead letters",
        pulse.letters,
        f"{pulse.letters}{' or more' if pulse.letters >= _MANY else ''} open",
        "Read why, put the cause right, replay.",
        "dead-letters",
    )
    yield _page(
        "Safety brake",
        held,
        f"keeps access to {_count(held, 'license')} that ended",
        "Look whether these ends were meant: release, or keep.",
        "brake",
    )
    yield _drift(last)


def _worker(pulse: Pulse) -> Finding:
    what, silent = "Worker", pulse.silent_s
    found = "none was ever heard of" if silent is None else f"last heard of {ago(silent)}"
    alive = silent is not None and silent < SILENT_S
    todo = "" if alive else "Start `licet worker`, or read its log: changes wait in the queue."
    return Finding(what=what, level=Level.GOOD if alive else Level.BAD, found=found, todo=todo)


def _lag(pulse: Pulse) -> Finding:
    what, behind = "Lag", pulse.behind_s
    if behind is None or behind < SLOW_S:
        found = "nothing was applied yet" if behind is None else "under 5 seconds"
        return Finding(what=what, level=Level.GOOD, found=found)
    return Finding(
        what=what,
        level=Level.BAD if behind >= LATE_S else Level.WAIT,
        found=f"the oldest change not applied may have come {ago(behind)}",
        todo="Start more workers, up to one for each partition; a stopped partition or a silent worker is told apart.",
    )


def _stopped(pulse: Pulse) -> Finding:
    what = "Partitions"
    if not pulse.stopped:
        return Finding(what=what, level=Level.GOOD, found="none is stopped")
    return Finding(
        what=what,
        level=Level.BAD,
        found=f"{pulse.stopped} stopped, first for {pulse.stopped_why}",
        todo="Run `licet partition show`; docs/how-to/stopped-partition.md says what to decide for each reason.",
    )


def _page(what: str, count: int, found: str, todo: str, page: str) -> Finding:
    return Finding(
        what=what,
        level=Level.WAIT if count else Level.GOOD,
        found=found if count else "none open" if page == "dead-letters" else "holds nothing",
        todo=todo if count else "",
        path=f"{HOME}/{page}",
        label=what,
    )


def _drift(last: Reconciliation | None) -> Finding:
    path, label = f"{HOME}/drift", "Drift"
    if last is None:
        found = "never compared with Salesforce; `licet reconcile` does it"
        return Finding(what="Drift", level=Level.GOOD, found=found, path=path, label=label)
    off = {"missing": last.missing, "extra": last.extra, "different": last.different, "unknown SKU": last.unknown_sku}
    told = ", ".join(f"{count} {kind}" for kind, count in off.items() if count) or "no customer was off"
    return Finding(
        what="Drift",
        level=Level.WAIT if last.drifted else Level.GOOD,
        found=f"{told}, on {last.at:%d %b %Y}",
        todo="Look which customers, and why their changes did not come." if last.drifted else "",
        path=path,
        label=label,
    )


def ago(seconds: float) -> str:
    """Say how long ago, in words."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}s ago"
    return "just now" if seconds < SLOW_S else f"{seconds:.0f} seconds ago"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
