"""Who asks: API keys, ``Authorization: Bearer licet_<key_id>_<secret>``.

The table of keys lives in memory and is read anew every second, so that a request costs one hash and one look-up, and
a revoked key stops working within a second without a restart. While the store is away the keys known stay valid.
"""

import asyncio
import datetime as dt
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from licet.domain.errors import Unauthenticated, Unavailable
from licet.domain.principal import Principal, Scope
from licet.observe.log import Event, log
from licet.store.ports import StoredKey

REFRESH_S = 1.0
# A key that is not known may have been made a moment ago: look again, but never more often than this.
LOOK_AGAIN_S = 0.2
# The store has this long to answer; then the keys known stay.
LOAD_LIMIT_S = 2.0
# Headers whose callers are remembered between two readings of the keys.
_REMEMBERED = 10_000
BOOTSTRAP = "bootstrap"
_KEY = re.compile(rb"licet_([A-Za-z0-9-]{1,64})_([A-Za-z0-9_-]{43,128})\Z")

LoadKeys = Callable[[], Awaitable[Sequence[StoredKey]]]


class Authenticator:
    """Knows the callers. Bootstrap runs ``keep_fresh`` as a task and flushes ``take_used`` now and then."""

    def __init__(self, load: LoadKeys, *, clock: Callable[[], dt.datetime], bootstrap_key: str | None = None) -> None:
        self._load = load
        self._clock = clock
        self._bootstrap = bootstrap_key.encode() if bootstrap_key else None
        self._admin = Principal(BOOTSTRAP, BOOTSTRAP, frozenset({Scope.ADMIN}))
        self._known: Mapping[bytes, StoredKey] = {}
        self._remembered: dict[bytes | None, Principal] = {}
        self._used: dict[str, dt.datetime] = {}
        self._loading = asyncio.Lock()
        self._began = float("-inf")
        self._away = False

    def recall(self, authorization: bytes | None) -> Principal | None:
        """Return the caller whose header was this one since the keys were last read; None: ``authenticate``."""
        return self._remembered.get(authorization)

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Return the caller of a request, given its ``Authorization`` header.

        Raises ``Unauthenticated``; ``Unavailable`` for a key that is not known while the keys cannot be read.
        """
        principal = await self._find(authorization)
        if len(self._remembered) < _REMEMBERED:
            self._remembered[authorization] = principal
        return principal

    async def _find(self, authorization: bytes | None) -> Principal:
        token = _token(authorization)
        parts = _KEY.match(token)
        if parts is None:
            if self._is_bootstrap(token):
                return self._admin
            raise Unauthenticated("this key is not of the form licet_<id>_<secret>; `licet keys create` makes one")
        key_id, digest = parts[1].decode(), hashlib.sha256(parts[2]).digest()
        known = self._known.get(digest)
        if known is None and self._is_bootstrap(token):
            return self._admin
        if known is None:
            await self._look_again()
            known = self._known.get(digest)
        if known is None and self._away:
            raise Unavailable("the API keys cannot be read now, and this one is not among those known")
        if known is None or known.key_id != key_id:
            raise Unauthenticated("this key is not known")
        if known.revoked_at is not None:
            raise Unauthenticated(f"the key {key_id} was revoked at {known.revoked_at.isoformat(timespec='seconds')}")
        self._used[key_id] = self._clock()
        return Principal(known.name, key_id, frozenset(scope for scope in Scope if scope in known.scopes))

    def take_used(self) -> Mapping[str, dt.datetime]:
        """Return when each key was last used since the last call, by key id."""
        used, self._used = self._used, {}
        return used

    async def keep_fresh(self) -> None:
        """Read the keys anew every second until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Read the keys once. Never fails: what was known stays, and the log says so once."""
        async with self._loading:
            await self._read_keys()

    def _is_bootstrap(self, token: bytes) -> bool:
        return self._bootstrap is not None and hmac.compare_digest(token, self._bootstrap)

    async def _look_again(self) -> None:
        """Wait for a reading of the keys that began after now; all that wait share it."""
        asked = time.monotonic()
        async with self._loading:
            if self._began > asked:
                return
            wait = self._began + LOOK_AGAIN_S - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._read_keys()

    async def _read_keys(self) -> None:
        self._began = time.monotonic()
        try:
            async with asyncio.timeout(LOAD_LIMIT_S):
                keys = await self._load()
        except Exception as error:  # noqa: BLE001 whatever ails the store, the keys known stay valid
            if not self._away:
                log(Event.KEYS_UNREADABLE, known=len(self._known), error=error)
            self._away = True
            return
        if self._away:
            log(Event.KEYS_READABLE, known=len(keys))
        self._away = False
        self._remembered = {}
        self._known = {key.hash: key for key in keys}


def _token(authorization: bytes | None) -> bytes:
    if authorization is None:
        raise Unauthenticated("no key: send the header Authorization: Bearer KEY")
    scheme, _, token = authorization.partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token:
        raise Unauthenticated("the Authorization header is not of the form Bearer KEY")
    return token
