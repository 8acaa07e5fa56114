"""The safety brake: of many licenses that end at once, those past a threshold keep their access for a time.

A license ends here where a change takes the access away that it gave: by its flag, its terms or its dates, or by the
deletion of its customer. Time that runs out, and what a person does, are no such ends.
"""

import datetime as dt
import math

import msgspec

AUTHOR = "safety brake"
HELD = "held by the safety brake"


class Room(msgspec.Struct, frozen=True):
    """How many licenses may still end in a batch. Those past ``left`` are held for a time, for the reason ``why``."""

    left: float = math.inf
    why: str = ""
    hold: dt.timedelta = dt.timedelta()


class Brake(msgspec.Struct, frozen=True, kw_only=True):
    """The threshold: ``most`` ends within ``window`` (None: any number), or ``share`` of what was active (0: any).

    Up to ``floor`` are no share, whatever is active. What ends past the threshold is held for ``hold``, where it is on.
    """

    on: bool = True
    window: dt.timedelta
    most: int | None
    share: float
    floor: int
    hold: dt.timedelta

    def limit(self, active: int | None) -> float:
        """Return how many may end within the window; ``active`` when it began, None where that was not counted."""
        by_share = max(self.floor, math.floor(self.share * active)) if self.share and active is not None else math.inf
        return min(by_share, self.most if self.most is not None else math.inf)

    def room(self, before: int, active: int | None, ends: int) -> Room:
        """Say how many of ``ends`` more may end after those before, and why the others are held."""
        minutes = self.window.total_seconds() / 60
        within = "an hour" if minutes == 60 else f"{minutes:g} minutes"  # noqa: PLR2004 the default
        why = f"{HELD} because {before + ends} licenses ended within {within}"
        return Room(self.limit(active) - before, why, self.hold)
