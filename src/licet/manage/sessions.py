"""Who comes into the console without an issuer, and whose sessions there end before their time."""

import datetime as dt
import hashlib
import secrets

from licet.domain.errors import Fault, InvalidInput, Unauthenticated
from licet.domain.ids import shown
from licet.domain.principal import Actor, reason_faults
from licet.manage.ports import Ends, SessionStore, Whose
from licet.store.values import Act, Action

# A session lasts so long, a link that begins one so long.
SESSION = dt.timedelta(hours=8)
_LINK = dt.timedelta(minutes=15)
_NAME_LENGTH = 255


class Sessions:
    """Makes and takes links, ends sessions. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def link(self, name: str, by: Actor) -> str:
        """Return a token that signs ``name`` in once, as an admin, within 15 minutes; only its digest is kept."""
        token = secrets.token_urlsafe(24)
        await self._store.keep_link(_digest(token), _name(name), _LINK, by)
        return token

    async def take(self, token: str) -> str:
        """Return the name of who came by a link. Raises ``Unauthenticated``."""
        found = await self._store.take_link(_digest(token))
        if found is None:
            raise Unauthenticated("this link is not known, or was used: print a new one")
        name, in_time = found
        if not in_time:
            raise Unauthenticated("this link is older than 15 minutes: print a new one")
        return name

    async def leave(self, session: str, by: Actor) -> None:
        """End one session, as whoever has it wishes."""
        act = Act(action=Action.CONSOLE_END, subject=by.name, by=by, after={"whose": Whose.SESSION})
        await self._store.end(Whose.SESSION, session, SESSION, act)

    async def end(self, name: str | None, reason: str, by: Actor) -> None:
        """End all sessions of a person (None: everyone's), as its name is in the audit, in any case of its letters."""
        whose = Whose.PERSON if name is not None else Whose.EVERYONE
        if faults := reason_faults(reason):
            raise InvalidInput.of(*faults)
        subject = _name(name).lower() if name is not None else ""
        said = Act(action=Action.CONSOLE_END, subject=subject or whose, by=by, after={"whose": whose}, reason=reason)
        await self._store.end(whose, subject, SESSION, said)

    async def ends(self) -> Ends:
        """Return which sessions ended."""
        return await self._store.ends()


def _name(name: str) -> str:
    if not name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        raise InvalidInput.of(Fault("name", shown(name), f"1 to {_NAME_LENGTH} printable characters"))
    return name.strip()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
