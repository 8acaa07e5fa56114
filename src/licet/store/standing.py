"""How the road stands: what the safety brake holds, and what whoever watches sees first."""

import datetime as dt

import msgspec


class BrakeLine(msgspec.Struct, frozen=True):
    """A license that ended; held ``until`` then, or null where it ended before the safety brake held any."""

    customer: str
    sku: str
    name: str | None
    ended_at: dt.datetime
    until: dt.datetime | None


class BrakeView(msgspec.Struct, frozen=True, kw_only=True):
    """The safety brake: beyond ``limit`` ends within the window it holds (null: never). ``items``: a page of licenses.

    ``ends`` are those of the last window, ``active`` the licenses that give access now, ``held`` the holds by SKU.
    """

    on: bool
    window_s: int
    limit: int | None
    ends: int
    active: int
    held: dict[str, int]
    items: list[BrakeLine]
    next: str | None


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What says at a glance whether changes come through.

    ``letters`` are open dead letters (1000: that many or more), ``stopped`` the partitions and why the first of them
    is; ``behind_s`` says how old the oldest unapplied change may be, ``silent_s`` how long no worker has been heard
    of; both None where none ever was.
    """

    letters: int
    stopped: int
    stopped_why: str | None
    spooling: bool
    spooled: int
    behind_s: float | None
    silent_s: float | None


class Told(msgspec.Struct, frozen=True):
    """A delivery in a list of the last ones. ``known``: the customer is; ``letter`` is set where it ended dead."""

    sequence: int
    at: dt.datetime | None
    customer: str | None
    known: bool
    name: str | None
    outcome: str
    reason: str | None
    rule: str
    event_id: str | None
    letter: int | None
