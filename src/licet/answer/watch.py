"""A watch: notices that what is said of some users and customers may no longer be what it was."""

import datetime as dt
from collections.abc import Callable, Sequence

from licet.answer.snapshot import Latest, interval
from licet.domain import ids
from licet.domain.decision import names_of
from licet.domain.ids import CustomerRef
from licet.store.values import Question


class Watch:
    """Watches memberships, domains, aliases, licenses, the catalog, the time, and whether answers are too old.

    Raises ``InvalidInput`` for names that cannot be.
    """

    def __init__(
        self,
        latest: Latest,
        clock: Callable[[], dt.datetime],
        stale_after_s: float,
        users: Sequence[str],
        customers: Sequence[str],
    ) -> None:
        self._latest, self._clock, self._stale_after_s = latest, clock, stale_after_s
        known = map(ids.user_id, users)
        self._questions = [Question(one, ids.email_domain(one), None) for one in known]
        self._questions += [Question(None, None, CustomerRef.parse(one)) for one in customers]
        self._grounds: object = None
        self._ends: dt.datetime | None = None

    def customers(self) -> frozenset[str]:
        """Return the customers that the answers are about now."""
        return frozenset(customer_id for customer_id, _ in self._found())

    def moved(self) -> bool:
        """Tell whether an answer may differ from those at the last call; the first time it may."""
        snapshot, now = self._latest.get(), self._clock()
        grounds = (
            snapshot.position.epoch,
            snapshot.catalog.version,
            self._latest.age_s() > self._stale_after_s,
            found := self._found(),
        )
        if grounds == self._grounds and (self._ends is None or now < self._ends):
            return False
        self._grounds = grounds
        names = names_of(snapshot.catalog, snapshot.catalog.features)
        _, self._ends = interval([snapshot.known(*customer, names) for customer in found], snapshot.catalog, now)
        return True

    def _found(self) -> list[tuple[str, bytes | None]]:
        snapshot = self._latest.get()
        return [one for asked in self._questions for one in snapshot.resolve(asked, proven=False).customers]
