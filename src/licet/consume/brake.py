"""What a person decides on the safety brake: let the ends take effect, or hold what ended before it held any."""

import itertools
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import AbstractContextManager

import msgspec

from licet.consume.fold import Customer
from licet.consume.refold import Refolding, moved_under
from licet.domain.brake import Brake
from licet.domain.errors import InvalidInput, NotFound
from licet.domain.ids import canonical_customer_id
from licet.domain.principal import Actor, reason_faults
from licet.store.ports import CatalogTransaction, Folded, NameWrite
from licet.store.values import Act, Action

CHUNK = 500
# What one request does: so many of these, some seconds.
STEPS = 20
# A restoration writes it behind the words that say who holds.
_REASON_LENGTH = 400


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants: ``restore``, or release all holds, or those of one ``customer``; and why.

    The holds of the customers ``keep`` become overrides of that person, and last as long as they would have.
    """

    restore: bool = False
    customer: str | None = None
    keep: Collection[str] = ()
    reason: str
    by: Actor


class BrakeActed(msgspec.Struct, frozen=True):
    """How many licenses it reached; checks that include ``revision`` know of it. ``more``: send it again."""

    licenses: int
    revision: int | None
    more: bool


class BrakeDesk:
    """Does what a person decides."""

    def __init__(self, open_: Callable[[], AbstractContextManager[Refolding]], brake: Brake) -> None:
        self._open = open_
        self._brake = brake

    def steps(self, wish: Wish) -> Generator[tuple[int, int]]:
        """Go on in transactions of up to ``CHUNK`` licenses until none is left. Interrupted, run it again.

        Yields how many each reached, and its revision: checks that include it know of that. Raises ``InvalidInput``,
        ``NotFound`` (a customer named that is not there: nothing is done then) and ``Unavailable``.
        """
        if faults := reason_faults(wish.reason, _REASON_LENGTH):
            raise InvalidInput.of(*faults)
        only = canonical_customer_id(wish.customer) if wish.customer is not None else None
        keep = frozenset(map(canonical_customer_id, wish.keep))
        named = keep | {only} if only is not None else keep
        with self._open() as store:
            after = ""
            while True:
                with store.transaction(0) as transaction:
                    states = transaction.states(sorted(named))
                    if unknown := sorted(named - states.keys()):
                        raise NotFound(f"no customer has the id {', '.join(unknown)}")
                    pairs = self._step(store, transaction, wish, only, keep, after)
                if pairs:
                    yield len(pairs), transaction.revision
                if len(pairs) < CHUNK:
                    return
                named, after = frozenset(), " ".join(pairs[-1])

    def act(self, wishes: Sequence[Wish], most: int = STEPS) -> BrakeActed:
        """Do the same for several wishes, up to ``most`` transactions of them all. Raises what ``steps`` does."""
        steps = list(itertools.islice(itertools.chain.from_iterable(map(self.steps, wishes)), most))
        return BrakeActed(sum(count for count, _ in steps), steps[-1][1] if steps else None, len(steps) == most)

    def _step(
        self,
        store: Refolding,
        transaction: CatalogTransaction,
        wish: Wish,
        only: str | None,
        keep: frozenset[str],
        after: str,
    ) -> Sequence[tuple[str, str]]:
        if wish.restore:
            pairs = transaction.restore(self._brake, wish.by, wish.reason, after, CHUNK)
        else:
            pairs = transaction.release(only, keep, wish.by, wish.reason, after, CHUNK)
        if not pairs:
            return ()
        ids, catalog = sorted({customer_id for customer_id, _ in pairs}), store.current_catalog()
        names: list[NameWrite] = []
        for state in transaction.states(ids).values():
            if state.deleted and state.customer_id not in keep:  # it has its names while it is held
                customer = Customer(state.customer_id, msgspec.structs.replace(state, deleted=not state.held))
                names += moved_under(customer, customer.names(catalog), catalog)
        transaction.write(Folded(names=names, touched=ids))
        transaction.audit(
            Act(
                action=Action.BRAKE_RESTORE if wish.restore else Action.BRAKE_RELEASE,
                subject="safety brake",
                by=wish.by,
                customer_id=ids[0] if len(ids) == 1 else None,
                after={"licenses": pairs, "kept": sorted(keep.intersection(ids))},
                reason=wish.reason,
            )
        )
        return pairs
