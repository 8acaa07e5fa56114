"""What people say of a customer: its users, its e-mail domains, its aliases."""

from licet.domain import ids
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import CustomerRef, shown
from licet.domain.principal import Principal
from licet.manage.ports import DirectoryWriter
from licet.store.values import NameKind, Written

_CHECKS = {NameKind.MEMBER: ids.user_id, NameKind.DOMAIN: ids.verified_domain, NameKind.ALIAS: ids.alias}


class Directory:
    """Gives names to customers and takes them, in the form that Licet keeps. The author is the caller's key.

    Both ways are idempotent, and return the name as it is kept and the revision that includes it. Both raise
    ``InvalidInput``, ``NotFound`` (customer), ``Conflict`` and ``Unavailable``.
    """

    def __init__(self, writer: DirectoryWriter) -> None:
        self._writer = writer

    async def put(self, kind: NameKind, customer: str, name: str, by: Principal) -> tuple[str, Written]:
        """Give the name to the customer."""
        kept = _CHECKS[kind](name)
        return kept, await self._writer.put(kind, CustomerRef.parse(customer), kept, by.actor)

    async def delete(self, kind: NameKind, customer: str, name: str, by: Principal) -> tuple[str, Written]:
        """Take the name from the customer."""
        kept = _plain(name) if kind is NameKind.DOMAIN else _CHECKS[kind](name)
        return kept, await self._writer.delete(kind, CustomerRef.parse(customer), kept, by.actor)


def _plain(domain: str) -> str:
    """Return a domain that may have become a public one since it was given: it must be possible to take it."""
    if not domain.isprintable():
        raise InvalidInput.of(Fault("domain", shown(domain), "a domain such as acme.example"))
    return domain.lower().rstrip(".")
