"""What goes wrong in a seed. Each fault is off in about half of the seeds, so that none hides another."""

import dataclasses
import random

from licet.store.ports import DeadLimit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weather:
    """How often each fault happens. A rate is a chance per occasion; a count is per run; times are seconds."""

    storm: float
    spool: bool
    doors: int
    workers: int
    batch: int
    customers: int
    posts: int
    # between a door and the brokers, per message
    slow: float
    lost: float
    silent: float
    late: float
    # per port call of a worker
    crash: float
    pause: float
    cut: float
    # per run
    door_crashes: int
    broker_outages: int
    store_outages: int
    rebalances: int
    rogues: int
    replays: int
    limit: DeadLimit
    # per post
    answer_lost: float
    again: float
    chained: float
    reused: float
    bad: float
    skews: tuple[float, ...]


def draw(dice: random.Random) -> Weather:
    """Draw a seed's weather."""

    def rate(*choices: float) -> float:
        return dice.choice((0.0, *choices))

    def count(most: int) -> int:
        return dice.choice((0, dice.randint(1, most)))

    spool = dice.random() < 0.5
    doors = dice.randint(1, 3)
    return Weather(
        storm=dice.uniform(5, 20) if spool else dice.uniform(10, 40),  # what overtakes must come close
        spool=spool,
        doors=doors,
        workers=dice.randint(1, 3),
        batch=dice.choice((1, 2, 5, 20, 500)),
        customers=dice.randint(1, 2 if spool else 5),
        posts=dice.randint(10, 40),
        slow=rate(0.05, 0.3),
        lost=rate(0.05, 0.2),
        silent=rate(0.05, 0.2),
        late=rate(0.02, 0.1),
        crash=rate(0.01, 0.06),
        pause=rate(0.01, 0.06),
        cut=rate(0.02, 0.1),
        door_crashes=count(3),
        broker_outages=count(2),
        store_outages=count(2),
        rebalances=count(4),
        rogues=count(6),
        replays=count(5),
        limit=DeadLimit(count=dice.choice((2, 4, 100)), share=10),
        answer_lost=rate(0.05, 0.3),
        again=rate(0.1),
        chained=rate(0.3, 0.6),
        reused=rate(0.1),
        bad=rate(0.1),
        skews=tuple(dice.choice((0.0, 0.0, -0.2, 90.0, -3600.0, 100_000.0)) for _ in range(doors)),
    )
