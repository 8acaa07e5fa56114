"""What a person does to a whole customer: restore one that was deleted, erase one for good.

Both are folded as a change is, and the ledger keeps them as deliveries of a log of their own, ``people``: licenses name
them as their cause, and ``licet verify`` folds them again.
"""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from licet.consume.fold import Fold, World
from licet.consume.refold import Refolding
from licet.domain import ids
from licet.domain.catalog import Catalog
from licet.domain.errors import Conflict, InvalidInput, NotFound
from licet.domain.filter import ERASED, RESTORED, Outcome
from licet.domain.principal import Actor, reason_faults
from licet.store.ports import CatalogTransaction, CustomerState, Folded
from licet.store.values import Act, Action


class Acted(msgspec.Struct, frozen=True):
    """The customer as it is kept, and the revision from which on checks know of the act."""

    customer: str
    revision: int


class CustomerDesk:
    """Restores and erases customers. Both raise ``InvalidInput``, ``NotFound`` and ``Unavailable``."""

    def __init__(
        self, open_: Callable[[], AbstractContextManager[Refolding]], clock: Callable[[], dt.datetime]
    ) -> None:
        self._open = open_
        self._clock = clock

    def restore(self, customer: str, reason: str, by: Actor) -> Acted:
        """Lift the tombstone: the licenses are at once what the kept fields say. Raises ``Conflict`` (not deleted).

        A deletion that Salesforce says later, or with a newer time, holds again.
        """
        return self._act(RESTORED, customer, reason, by)

    def erase(self, customer: str, reason: str, by: Actor) -> Acted:
        """Empty what is kept of a customer and leave a tombstone. It cannot be undone; a second time is allowed."""
        return self._act(ERASED, customer, reason, by)

    def _act(self, outcome: Outcome, customer: str, reason: str, by: Actor) -> Acted:
        customer_id = ids.canonical_customer_id(customer)
        if faults := reason_faults(reason):
            raise InvalidInput.of(*faults)
        with self._open() as store, store.transaction(1) as transaction:
            states = transaction.states([customer_id])
            if customer_id not in states:
                raise NotFound(f"no customer has the id {customer_id}")
            state = states[customer_id]
            if outcome is RESTORED and not state.deleted:
                raise Conflict(f"the customer {customer_id} is not deleted: there is nothing to restore")
            transaction.write(self._folded(store.current_catalog(), transaction, state, outcome))
            ended = transaction.erase(customer_id, by) if outcome is ERASED else ()
            act = Act(
                action=Action.CUSTOMER_ERASE if outcome is ERASED else Action.CUSTOMER_RESTORE,
                subject=customer_id,
                by=by,
                customer_id=customer_id,
                before={"deleted": state.deleted} | ({"overrides": ended} if ended else {}),
                after={"deleted": outcome is ERASED, "erased": outcome is ERASED},
                reason=reason,
            )
            transaction.audit(act)
            return Acted(customer_id, transaction.revision)

    def _folded(
        self, catalog: Catalog, transaction: CatalogTransaction, state: CustomerState, outcome: Outcome
    ) -> Folded:
        customer_id, sequence = state.customer_id, transaction.first_sequence
        customers = {customer_id: state}
        times = [field.time for field in state.fields.values() if field.time is not None]
        folding = Fold(
            World(catalog=catalog, revision=transaction.revision, first_sequence=sequence, customers=customers), None
        )
        folding.act(customer_id, outcome, self._clock(), sequence, max(times, default=None))
        return folding.folded()
