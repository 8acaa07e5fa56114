"""Aliases and e-mail domains that a customer's fields give: which they are, and who loses and gains one."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

import msgspec

from licet.domain.errors import InvalidInput
from licet.store.ports import NameWrite


class Names(msgspec.Struct, frozen=True):
    """Aliases and e-mail domains."""

    aliases: AbstractSet[str] = frozenset()
    domains: AbstractSet[str] = frozenset()


def moved_names(customer_id: str, before: AbstractSet[str], after: AbstractSet[str]) -> list[NameWrite]:
    """Return what a customer loses and gains."""
    return [NameWrite(customer_id, name, held=False) for name in sorted(before - after)] + [
        NameWrite(customer_id, name, held=True) for name in sorted(after - before)
    ]


def named(check: Callable[[str], str], value: str | None) -> set[str]:
    """Return the name, or nothing where the text cannot be one; the field itself is kept and shown."""
    try:
        return {check(value)} if value else set()
    except InvalidInput:
        return set()
