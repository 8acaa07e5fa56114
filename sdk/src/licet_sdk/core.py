"""The core: questions and answers over the table, without I/O. What is unknown is denied; nothing here raises."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from licet_sdk.decision import MESSAGES, Decision, Value, refusal
from licet_sdk.slots import NOWHERE, Place
from licet_sdk.table import Table
from licet_sdk.verdict import Verdict, plain
from licet_sdk.wire import Alive, Changes

log = logging.getLogger("licet_sdk")
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT_ID = re.compile(r"[A-Za-z0-9]{15}\Z")
MOST_NAMES = 1_000  # feature names remembered as asked; a name made of user input must not fill the memory


class Core:
    """Answers from the table. One thread writes (``replace``, ``apply``, ``heard``), any thread asks.

    ``listeners`` are called with ``ready`` (the service's own state is here, again after an outage), ``changed``,
    ``stale`` (older than ``stale_after`` seconds) and ``error`` (the service refuses us), by whoever writes.
    """

    def __init__(
        self,
        *,
        features: Iterable[str] = (),
        defaults: Mapping[str, Value] | None = None,
        stale_after: float = 60.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.table: Table | None = None
        self.listeners: list[Callable[[str], None]] = []
        self.state = ""
        self.lock = threading.Lock()
        self._asked = set(features)
        self._said: set[tuple[str, str]] = set()
        self._defaults = dict(defaults or {})
        self._stale_ms = stale_after * 1000
        self._fresh_at = 0.0
        self._lag_ms: int | None = None
        self.clock, self.monotonic = clock, monotonic

    def allowed(self, feature: str, *, customer: str | None = None, user: str | None = None) -> bool:
        """Tell whether a customer, a user, or a user as a member of a customer may use a feature."""
        table, name, turn = self.table, customer, None
        if table is not None:
            try:
                if user is not None:  # who belongs to several has no name here: the slow way
                    turn, name = table.turn, table.users[user] if customer is None else None
                if type(name) is str:  # what is a str and more may have a hash of its own
                    keys, profiles, _, room, verdicts, _ = table.front
                    key = hash(name)
                    at = key % room
                    while (known := keys[at]) != key and known:
                        at += 1
                    verdict = verdicts[feature][profiles[at]]
                    if (
                        self.clock() < verdict.until
                        and verdict.stale is None
                        and (user is None or (turn is not None and table.turn is turn))
                    ):
                        return verdict.allowed
            except LookupError:
                pass  # a user is unknown, nobody asked this since the last change, or the block ends here
        return self.check(feature, customer=customer, user=user).allowed

    def check(self, feature: str, *, customer: str | None = None, user: str | None = None) -> Decision:
        """Decide, and say why. A customer is named by its Salesforce id (15 or 18 characters) or an alias."""
        table = self.table
        if table is None:
            return self.ask(feature, customer, user)
        turn, revision = table.turn, table.revision
        verdict = page = named = None
        if user is None and type(customer) is str:
            try:
                keys, profiles, rows, room, verdicts, pages = table.front
                key = hash(customer)
                at = key % room
                while (known := keys[at]) != key and known:
                    at += 1
                verdict, row = verdicts[feature][profiles[at]], rows[at]
                page = pages[row >> 8]  # what Pages.of does; a call would take 0.06 µs more
                if self.clock() >= verdict.until or table.turn is not turn or turn is None:
                    verdict = None
            except LookupError:
                verdict = None  # as in allowed()
        if verdict is None:
            if user is not None and "@" in user:
                user = user.lower()
            customer = canonical(customer)
            with self.lock:
                revision = table.revision
                (number, row), verdict = self._resolve(table, feature, customer, user)
                named, page = (None, table.pages.of(row)) if number else (customer or None, None)
        age_ms = (self.monotonic() - self._fresh_at) * 1000
        if verdict.stale is not None and age_ms > self._stale_ms:
            verdict = verdict.stale
        at, floor, lag_ms = verdict.at, verdict.floor, self._lag_ms
        allowed, reason, message, value, sku, until = verdict.told  # with a star the call would take 0.1 µs more
        return Decision(
            allowed,
            reason,
            message,
            value,
            sku,
            until,
            named,
            user,
            feature,
            revision,
            age_ms,
            lag_ms,
            page,
            row,
            at,
            floor,
        )

    def _resolve(self, table: Table, feature: str, customer: str | None, user: str | None) -> tuple[Place, Verdict]:
        """Return the customer's place, nowhere for nobody, and the verdict; names are compared in full."""
        if feature not in table.catalog.features:
            self.say_unknown(feature)
            return NOWHERE, plain("unknown_feature")
        named = table.slots.find(customer) if customer is not None else NOWHERE
        found = table.members(user) if user is not None else [named] if named[0] else []
        if user is not None and not found:
            return NOWHERE, plain("unknown_user")
        if customer is not None and not named[0]:
            return NOWHERE, plain("unknown_customer")
        if customer is not None:
            found = [one for one in found if one == named]
        if not found:
            return NOWHERE, plain("unknown_customer" if user is None else "unknown_user")
        now = self.clock()
        judged = [(one, table.verdict(one, feature, now)) for one in found]
        return min(judged, key=lambda one: (one[1].order, table.pages.names(one[0][1])))

    def ask(self, feature: str, customer: str | None, user: str | None) -> Decision:
        """Answer where there is no table; a client in remote mode asks the service."""
        return self.without(feature, customer, user)

    def without(self, feature: str, customer: str | None, user: str | None) -> Decision:
        """Answer where nothing is known: from the defaults in code, else deny."""
        if len(self._asked) < MOST_NAMES:
            self._asked.add(feature)
        if feature not in self._defaults:
            return refusal("unavailable", feature, customer, user)
        value = self._defaults[feature]
        self._say_once(logging.WARNING, "feature %r has only its default in code: no service, no copy on disk", feature)
        told = (bool(value), "default", MESSAGES["default"], value or None, None, None)
        return Decision(*told, customer, user, feature)

    def age_ms(self) -> int:
        """Return how long ago the table was known to be the newest."""
        return int((self.monotonic() - self._fresh_at) * 1000)

    def replace(self, table: Table, age_ms: float, lag_ms: int | None = None) -> None:
        """Answer from this table from now on; it was the newest ``age_ms`` ago."""
        self._fresh_at, self._lag_ms = self.monotonic() - age_ms / 1000, lag_ms
        table.publish()
        self.table = table
        self._changed(table)

    def apply(self, changes: Changes, position: str) -> None:
        """Take in what changed."""
        if self.table is not None:
            with self.lock:
                self.table.apply(changes, position)
            self._changed(self.table)

    def heard(self, alive: Alive, position: str) -> None:
        """Take note that the table is the newest up to this revision."""
        if self.table is not None:
            self.table.revision, self.table.position = alive.revision, position or self.table.position
        self._fresh_at, self._lag_ms = self.monotonic() - alive.age_ms / 1000, alive.lag_ms
        if not self.tick():
            self._move("ready")

    def tick(self) -> bool:
        """Notice that the data has become too old; call it about once a second. Returns whether it is."""
        too_old = self.table is not None and self.age_ms() > self._stale_ms
        if too_old:
            self._move("stale")
        return too_old

    def refused(self, why: str) -> None:
        """Take note that the service does not let this application in."""
        log.error("the licensing service refuses this application: %s; %s", why, self.stand())
        if self.state != "stale":
            self._move("error")

    def stand(self) -> str:
        """Say what answers rest on."""
        if self.table is None:
            return "nothing is known yet: defaults in code, else denied"
        return f"answers are from revision {self.table.revision}, {self.age_ms() / 1000:.0f} s old"

    def _move(self, state: str) -> None:
        if state != self.state:
            self.state = state
            log.log(logging.INFO if state == "ready" else logging.ERROR, "licensing is %s: %s", state, self.stand())
            self._tell(state)

    def _tell(self, event: str) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:  # noqa: PERF203 one bad listener must not keep the others from hearing
                log.exception("a listener failed at %r; licensing goes on", event)

    def _changed(self, table: Table) -> None:
        for feature in sorted(self._asked - table.catalog.features.keys()):
            self.say_unknown(feature)
        self._tell("changed")

    def say_unknown(self, feature: str) -> None:
        """Say once that a feature does not exist."""
        self._say_once(logging.ERROR, "feature %r is not in the catalog, so denied to all. Is it spelt right?", feature)

    def _say_once(self, level: int, said: str, feature: str) -> None:
        if (said, feature) not in self._said and len(self._said) < MOST_NAMES:
            self._said.add((said, feature))
            log.log(level, said, feature)


def canonical(customer: str | None) -> str | None:
    """Return the 18-character form of a 15-character Salesforce id, anything else as it is."""
    if customer is None or not _SHORT_ID.match(customer):
        return customer
    thirds = (customer[at : at + 5] for at in (0, 5, 10))
    return customer + "".join(
        _SUFFIX[sum(1 << bit for bit, char in enumerate(third) if "A" <= char <= "Z")] for third in thirds
    )
