"""A round: load, a fault or two, mending; then every 202 is compared with the ledger."""

import dataclasses
import random
import time
from collections import Counter
from collections.abc import Sequence

from chaos.faults import FAULTS, Fault
from chaos.load import Load
from chaos.stage import Stage
from support.processes import eventually, licet

# Everything must be applied so soon after the last fault is over.
RECOVERY_S = 60.0


@dataclasses.dataclass
class Tally:
    """What came of one round, or of all."""

    rounds: int = 0
    acknowledged: int = 0
    refused: int = 0
    rogues: int = 0
    lost: int = 0
    doubled: int = 0
    unjudged: int = 0
    longest_stall: float = 0.0
    longest_recovery: float = 0.0
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.unjudged)

    def add(self, other: "Tally") -> None:
        for field in ("rounds", "acknowledged", "refused", "rogues", "lost", "doubled", "unjudged"):
            setattr(self, field, getattr(self, field) + getattr(other, field))
        self.longest_stall = max(self.longest_stall, other.longest_stall)
        self.longest_recovery = max(self.longest_recovery, other.longest_recovery)
        self.outcomes += other.outcomes

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return (
            f"{self.acknowledged} acknowledged, {self.refused} posts answered 503, {self.rogues} written by a rogue; "
            f"{ended}; lost {self.lost}, doubled {self.doubled}, without one outcome {self.unjudged}; "
            f"longest stall {self.longest_stall:.1f} s, recovery {self.longest_recovery:.1f} s"
        )


def faults_of(number: int) -> tuple[list[Fault], random.Random]:
    """Return what a round does: each fault in turn, every third time with another one after it."""
    dice = random.Random(number)
    chosen = [FAULTS[number % len(FAULTS)]]
    if number % 3 == 2:
        chosen.append(dice.choice(FAULTS))
    return chosen, dice


def play(stage: Stage, number: int, rate: int) -> Tally:
    """Play one round and judge it."""
    chosen, dice = faults_of(number)
    load = Load(stage.urls, stage.broker.bootstrap, rate, f"r{number}-{random.SystemRandom().getrandbits(32):08x}")
    before = sequence(stage)
    load.start()
    try:
        time.sleep(dice.uniform(0.3, 0.8))
        for fault in chosen:
            fault(stage, dice)
    finally:
        over = time.monotonic()
        stage.mend()
        time.sleep(0.3)
        load.stop()
    stage.ready()
    eventually("all that the topic holds has an outcome", lambda: caught_up(stage) or None, RECOVERY_S, every=0.1)
    tally = judge(stage, load, before)
    tally.longest_recovery = time.monotonic() - over
    return tally


def sequence(stage: Stage) -> int:
    ((last,),) = stage.rows("SELECT sequence FROM revision")
    return int(last)


def caught_up(stage: Stage) -> bool:
    """Tell whether the spool is drained and the store stands at the end of the topic."""
    if stage.rows("SELECT open FROM spool_state") != [(False,)]:
        return False
    offsets = dict(stage.rows("SELECT partition, next_offset FROM consumer_offset"))
    return all(offsets.get(partition, 0) == end for partition, end in stage.ends().items())


def judge(stage: Stage, load: Load, before: int) -> Tally:
    """Compare what was acknowledged with the ledger's rows since the round began."""
    rows = stage.rows(
        "SELECT event_id, customer_id, outcome, reason, source FROM delivery WHERE sequence > %(before)s", before=before
    )
    delivered = {(row[0], row[1]) for row in rows}
    applied = Counter((row[4], row[0], row[1]) for row in rows if row[2] == "applied")
    return Tally(
        rounds=1,
        acknowledged=len(load.acknowledged),
        refused=load.refused,
        rogues=load.rogues,
        lost=len(load.acknowledged - delivered),
        doubled=sum(count > 1 for count in applied.values()),
        unjudged=unjudged(stage),
        longest_stall=load.longest_stall,
        outcomes=Counter(f"{row[2]}({row[3]})" if row[3] else row[2] for row in rows),
    )


def unjudged(stage: Stage) -> int:
    """Count the offsets below the committed one that have not exactly one row in the ledger."""
    query = 'SELECT partition, count(*), count(DISTINCT "offset"), max("offset") + 1 FROM delivery GROUP BY partition'
    ledger = {partition: counts for partition, *counts in stage.rows(query)}
    return sum(
        sum(abs(count - end) for count in ledger.get(partition, [0, 0, 0])) for partition, end in stage.ends().items()
    )


def verified(stage: Stage) -> str | None:
    """Run ``licet verify``; returns what it found wrong."""
    env = {"LICET_DATABASE_URL": stage.database.url, "LICET_KAFKA_BROKERS": stage.broker.bootstrap}
    done = licet("verify", env=env, folder=stage.folder)
    return None if done.code == 0 else repr(done)


def names(chosen: Sequence[Fault]) -> str:
    return " + ".join(fault.__name__.replace("_", " ") for fault in chosen)
