"""The safety brake: of many licenses that end at once, those past a threshold keep their access for a time.

A license ends here where a change takes the access away that it gave: by its flag, its terms or its dates, or by the
deletion of its customer. Time that runs out, and what a person does, are no such ends.
"""

import datetime as dt
import math

import msgspec

AUTHOR = "safety brake"
HELD = "held by the safety brake"


class Counted(msgspec.Struct, frozen=True):
    """How many licenses ended within the window, and how many were active then (None: too few ended to count)."""

    ends: int
    active: int | None


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
        """Return how many may end within the window before the brake holds; infinity where nothing stops them."""
        by_share = max(self.floor, math.floor(self.share * active)) if self.share and active is not None else math.inf
        return min(by_share, self.most if self.most is not None else math.inf)

    def room(self, before: Counted, ends: int) -> "Room":
        """Say how many of ``ends`` more may still end, and why the others are held."""
        hours, rest = divmod(self.window.total_seconds(), 3600)
        within = "an hour" if (hours, rest) == (1, 0) else f"{self.window.total_seconds() / 60:g} minutes"
        why = f"{HELD} because {before.ends + ends} licenses ended within {within}"
        return Room(self.limit(before.active) - before.ends, why, self.hold)


class Room(msgspec.Struct, frozen=True):
    """How many licenses may still end in a batch. Those past ``left`` are held for a time, for the reason ``why``."""

    left: float = math.inf
    why: str = ""
    hold: dt.timedelta = dt.timedelta()


class Hold(msgspec.Struct, frozen=True):
    """Access that goes on although its license ended at ``since`` (None: it was gone until now)."""

    customer_id: str
    sku: str
    since: dt.datetime | None = None
