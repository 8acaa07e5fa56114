"""Aliases and e-mail domains that a customer's fields give: which they are, and who loses and gains one."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from licet.domain.errors import InvalidInput
from licet.store.ports import Called, Calling, NameWrite


def moved_names(customer_id: str, before: AbstractSet[Called], after: AbstractSet[Called]) -> list[NameWrite]:
    """Return what a customer loses and gains."""
    return [NameWrite(customer_id, *name, held=False) for name in sorted(before - after)] + [
        NameWrite(customer_id, *name, held=True) for name in sorted(after - before)
    ]


def named(kind: Calling, check: Callable[[str], str], value: str | None) -> set[Called]:
    """Return the name, or nothing where the text cannot be one; the field itself is kept and shown."""
    try:
        return {(kind, check(value))} if value else set()
    except InvalidInput:
        return set()
