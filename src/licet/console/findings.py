"""Green, or what is wrong and what to do: the judgement on what the store and this process say of themselves."""

import enum
import math
from collections.abc import Iterator

import msgspec

from licet.console.frame import HOME
from licet.store.values import Pulse, Reconciliation

# A worker says four times a second how far it is.
SILENT_S = 10.0
# The snapshot is looked after each second, and lag is less than one where workers keep up.
SLOW_S, LATE_S = 5.0, 60.0
ANSWERS = "Answers"


class Level(enum.IntEnum):
    """How it stands, the worst first. ``WAIT``: it works, and somebody should look."""

    BAD = 0
    WAIT = 1
    GOOD = 2


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: what was found, what to do where that is not right, and the page to do it on."""

    what: str
    level: Level
    found: str
    todo: str = ""
    path: str | None = None


def away(why: str) -> Finding:
    """Say that the store does not answer: nothing else is known then but how old the answers are."""
    return Finding(
        "Store", Level.BAD, why, "Start PostgreSQL again. Answers go on from memory; `licet doctor` says more."
    )


def answers(age_s: float, stale_after_s: float) -> Finding:
    """Judge the age of the snapshot that this process answers from."""
    if math.isinf(age_s):
        return Finding(
            ANSWERS, Level.BAD, "no snapshot is loaded yet", "With a million customers it takes some seconds."
        )
    todo = f"Look whether PostgreSQL answers. From {stale_after_s:g} s on, each feature's when_stale decides."
    return Finding(ANSWERS, _level(age_s, SLOW_S, stale_after_s), f"as the store said {ago(age_s)}", todo)


def judge(pulse: Pulse, held: int, last: Reconciliation | None) -> Iterator[Finding]:
    """Judge what the store says, what its safety brake holds, and its last comparison with Salesforce."""
    silent, behind = pulse.silent_s, pulse.behind_s or 0.0
    yield Finding(
        "Worker",
        Level.BAD if silent is None else _level(silent, SILENT_S, SILENT_S),
        "none was ever heard of" if silent is None else f"heard of {ago(silent)}",
        "Start `licet worker`, or read its log: changes wait in the queue.",
    )
    yield Finding(
        "Lag",
        _level(behind, SLOW_S, LATE_S),
        "under 5 seconds" if behind < SLOW_S else f"the oldest change not applied may have come {ago(behind)}",
        "Start more workers, up to one a partition. A silent worker and a stopped partition are told apart.",
    )
    yield Finding(
        "Partitions",
        Level.BAD if pulse.stopped else Level.GOOD,
        f"{pulse.stopped} stopped; {pulse.stopped_why}" if pulse.stopped else "none is stopped",
        "Run `licet partition show`; docs/how-to/stopped-partition.md says what to decide for each reason.",
    )
    yield Finding(
        "Spool",
        Level.WAIT if pulse.spooling else Level.GOOD,
        f"open; {pulse.spooled} changes are in PostgreSQL until Kafka is back" if pulse.spooling else "closed",
        "Nothing is lost, and nothing takes effect before Kafka is back: look at the broker.",
    )
    yield Finding(
        "Dead letters",
        Level.WAIT if pulse.letters else Level.GOOD,
        f"{pulse.letters}{'' if pulse.letters < 1000 else ' or more'} open" if pulse.letters else "none is open",  # noqa: PLR2004 as the store counts
        "Read why, put the cause right, replay.",
        f"{HOME}/dead-letters",
    )
    yield Finding(
        "Brake",
        Level.WAIT if held else Level.GOOD,
        f"it keeps access to {held} licenses that ended" if held else "holds nothing",
        "Look whether these ends were meant; release them, or keep.",
        f"{HOME}/brake",
    )
    kinds = ("missing", "extra", "different", "unknown_sku")
    off = [f"{count} {kind.replace('_', ' ')}" for kind in kinds if last and (count := getattr(last, kind))]
    yield Finding(
        "Drift",
        Level.WAIT if off else Level.GOOD,
        f"{', '.join(off) or 'none'} on {last.at:%d %b %Y}" if last else "never compared with Salesforce",
        "Look which customers are off, and why their changes did not come.",
        f"{HOME}/drift",
    )


def ago(seconds: float) -> str:
    """Say how long ago, in words."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now" if seconds < SLOW_S else f"{seconds:.0f} seconds ago"


def _level(seconds: float, slow_s: float, late_s: float) -> Level:
    return Level.BAD if seconds >= late_s else Level.WAIT if seconds >= slow_s else Level.GOOD
