"""Green, or what is wrong and what to do: the judgement on what the store and this process say of themselves."""

import enum
import math
from collections.abc import Iterator

import msgspec

from licet.console.frame import HOME
from licet.domain.drift import DriftKind
from licet.store.standing import Pulse
from licet.store.values import Reconciliation

# A worker says four times a second how far it is.
SILENT_S = 10.0
# The snapshot is looked after each second, and lag is less than one where workers keep up.
SLOW_S, LATE_S = 5.0, 60.0
_MANY = 1000
# What to do where it is not right, and the page to do it on.
_TODO = {
    "Store": "Start PostgreSQL again. Answers go on from memory; `licet doctor` says more.",
    "Answers": "Look whether PostgreSQL answers. From LICET_STALE_AFTER_S on, each feature's when_stale decides.",
    "Worker": "Start `licet worker`, or read its log: changes wait in the queue.",
    "Lag": "Start more workers, up to one a partition. A silent worker and a stopped partition are told apart.",
    "Partitions": "Run `licet partition show`; docs/how-to/stopped-partition.md says what to decide for each reason.",
    "Spool": "Nothing is lost, and nothing takes effect before Kafka is back: look at the broker.",
    "Dead letters": "Read why, put the cause right, replay.",
    "Brake": "Look whether these ends were meant; release them, or keep.",
    "Drift": "Look which customers are off, and why their changes did not come.",
}
_PATHS = {"Dead letters": f"{HOME}/dead-letters", "Brake": f"{HOME}/brake", "Drift": f"{HOME}/drift"}


class Level(enum.IntEnum):
    """How it stands, the worst first. ``WAIT``: it works, and somebody should look."""

    BAD = 0
    WAIT = 1
    GOOD = 2


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at, and what was found."""

    what: str
    level: Level
    found: str

    @property
    def todo(self) -> str:
        """What to do where it is not right."""
        return _TODO[self.what]

    @property
    def path(self) -> str | None:
        """The page that shows more of it."""
        return _PATHS.get(self.what)


def answers(age_s: float, stale_after_s: float) -> Finding:
    """Judge the age of the snapshot that this process answers from."""
    found = "no snapshot is loaded yet" if math.isinf(age_s) else f"as the store said {ago(age_s)}"
    return Finding("Answers", _level(age_s, SLOW_S, stale_after_s), found)


def judge(pulse: Pulse, held: int, last: Reconciliation | None) -> Iterator[Finding]:
    """Judge what the store says, what its safety brake holds, and its last comparison with Salesforce."""
    silent = math.inf if pulse.silent_s is None else pulse.silent_s
    found = "none was ever heard of" if math.isinf(silent) else f"heard of {ago(silent)}"
    yield Finding("Worker", _level(silent, SILENT_S, SILENT_S), found)
    behind = pulse.behind_s or 0.0
    found = "under 5 seconds" if behind < SLOW_S else f"the oldest change not applied may have come {ago(behind)}"
    yield Finding("Lag", _level(behind, SLOW_S, LATE_S), found)
    found = f"{pulse.stopped} stopped; {pulse.stopped_why}" if pulse.stopped else "none is stopped"
    yield Finding("Partitions", Level.BAD if pulse.stopped else Level.GOOD, found)
    found = f"open; {pulse.spooled} changes are in PostgreSQL until Kafka is back" if pulse.spooling else "closed"
    yield Finding("Spool", Level.WAIT if pulse.spooling else Level.GOOD, found)
    found = f"{pulse.letters}{' or more' if pulse.letters >= _MANY else ''} open" if pulse.letters else "none is open"
    yield Finding("Dead letters", Level.WAIT if pulse.letters else Level.GOOD, found)
    found = f"it keeps access to {held} licenses that ended" if held else "holds nothing"
    yield Finding("Brake", Level.WAIT if held else Level.GOOD, found)
    off = [f"{count} {kind.replace('_', ' ')}" for kind in DriftKind if last and (count := getattr(last, kind))]
    found = f"{', '.join(off) or 'none'} on {last.at:%d %b %Y}" if last else "never compared with Salesforce"
    yield Finding("Drift", Level.WAIT if off else Level.GOOD, found)


def ago(seconds: float) -> str:
    """Say how long ago, in words."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now" if seconds < SLOW_S else f"{seconds:.0f} seconds ago"


def _level(seconds: float, slow_s: float, late_s: float) -> Level:
    return Level.BAD if seconds >= late_s else Level.WAIT if seconds >= slow_s else Level.GOOD
