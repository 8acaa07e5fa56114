"""Who looks at the console: a session that the browser keeps, signed, and what its role may do.

The server keeps nothing of it, so every web process knows every session as long as they share LICET_CONSOLE_SECRET. Of
those that ended before their time the store has a list, which every web process reads once a second.
"""

import asyncio
import base64
import datetime as dt
import enum
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec

from licet.domain.principal import Principal, Scope, Via
from licet.manage.ports import Ends, Whose
from licet.manage.sessions import SESSION
from licet.observe.log import Event, log

# How long a web process may take a session for good that was ended elsewhere.
REFRESH_S = 1.0


class Role(enum.StrEnum):
    """What a person is here for, the most powerful last."""

    SALES = "sales"
    SUPPORT = "support"
    ADMIN = "admin"


_SCOPES: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {
        Role.SALES: frozenset({Scope.READ, Scope.EXPLAIN}),
        Role.SUPPORT: frozenset({Scope.READ, Scope.EXPLAIN, Scope.SUPPORT}),
        Role.ADMIN: frozenset({Scope.ADMIN}),
    }
)


class Kept(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something that a browser keeps for us. ``until`` is in seconds since 1970; the tag keeps kinds apart."""

    until: int


class Visitor(Kept, frozen=True, kw_only=True):
    """Who is signed in. ``session`` is random."""

    name: str
    role: Role
    session: str

    @property
    def begun(self) -> float:
        """When it began, in seconds since 1970, rounded down."""
        return self.until - SESSION.total_seconds()

    @property
    def principal(self) -> Principal:
        """The person as the author of changes, with the scopes of the role."""
        return Principal(self.name, None, _SCOPES[self.role], Via.PAGE)

    def may(self, scope: Scope) -> bool:
        """Tell whether the role has the scope."""
        return not {scope, Scope.ADMIN}.isdisjoint(_SCOPES[self.role])


class Ended:
    """Which sessions are over before their time. Bootstrap runs ``keep_fresh`` as a task.

    While the store is away what was known holds, and nobody can end a session.
    """

    def __init__(self, load: Callable[[], Awaitable[Ends]]) -> None:
        self._load = load
        self._known: Ends = {}
        self._away = False
        self._reading = asyncio.Lock()

    def covers(self, visitor: Visitor) -> bool:
        """Tell whether a session is over: by itself, as its person's, or as everyone's."""
        both = ((Whose.PERSON, visitor.name.lower()), (Whose.EVERYONE, ""))
        before = max(self._known.get(one, 0.0) for one in both)
        return (Whose.SESSION, visitor.session) in self._known or visitor.begun <= before

    async def keep_fresh(self) -> None:
        """Read the list anew every second until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Read the list once. Never fails: what was known stays, and the log says so once.

        One reading at a time, as one that began before an end must not replace one that has it.
        """
        async with self._reading:
            try:
                self._known, self._away = await self._load(), False
            except Exception as error:  # noqa: BLE001 whatever ails the store, what is known holds
                if not self._away:
                    log(Event.ENDS_UNREADABLE, known=len(self._known), error=error)
                self._away = True


K = TypeVar("K", bound=Kept)


class Seal:
    """Signs what browsers keep (HMAC-SHA256), and reads it back. ``secret`` None: one of this process alone."""

    def __init__(self, secret: str | None, clock: Callable[[], dt.datetime]) -> None:
        self._key = secret.encode() if secret else secrets.token_bytes(32)
        self._clock = clock

    def until(self, lasts: dt.timedelta) -> int:
        """Return when something begun now ends."""
        return int((self._clock() + lasts).timestamp())

    def visit(self, name: str, role: Role) -> Visitor:
        """Begin a session."""
        return Visitor(until=self.until(SESSION), name=name, role=role, session=secrets.token_urlsafe(16))

    def write(self, kept: Kept) -> str:
        """Return it as a cookie's value."""
        body = base64.urlsafe_b64encode(msgspec.json.encode(kept)).rstrip(b"=").decode()
        return f"{body}.{self._sign(body)}"

    def read(self, text: str | None, kind: type[K]) -> K | None:
        """Return what was written, None where it is over, of another kind, or not ours."""
        body, _, signature = (text or "").partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        try:
            kept = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=kind)
        except msgspec.ValidationError:  # signed by us, as another kind
            return None
        return kept if kept.until > self._clock().timestamp() else None

    def form_token(self, visitor: Visitor) -> str:
        """Return what each form of this session carries."""
        return self._sign(f"form {visitor.session}")

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
