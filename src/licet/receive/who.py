"""Who may post: a valid signature, a Bearer key with the scope ``ingest``, or anyone where that was said aloud.

Whatever credential a post carries must be right: a wrong one is refused even where none is needed.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping

from licet.domain.errors import Unauthenticated
from licet.domain.principal import Principal, Scope
from licet.receive.signature import Signatures

Authenticate = Callable[[bytes | None], Awaitable[Principal]]
SIGNATURE = b"webhook-signature"


class Gate:
    """Finds the source of a post. ``open_as`` names the source of posts without a credential; None refuses them."""

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        signatures: Signatures,
        open_as: str | None,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._authenticate = authenticate
        self._signatures = signatures
        self._open_as = open_as
        self._clock = clock

    async def admit(self, headers: Mapping[bytes, bytes]) -> str | None:
        """Judge the headers before a byte of the body is read.

        Returns the source, or None where only ``verify`` can tell. Raises ``Unauthenticated``, ``Forbidden`` or
        ``Unavailable``.
        """
        authorization = headers.get(b"authorization")
        if authorization is not None:
            principal = await self._authenticate(authorization)
            principal.require(Scope.INGEST)
            return principal.name
        if SIGNATURE in headers:
            return None
        if self._open_as is None:
            raise Unauthenticated(
                "no credential: sign the post (Standard Webhooks) or send Authorization: Bearer KEY, "
                "a key with the scope ingest",
                "missing",
            )
        return self._open_as

    def verify(self, headers: Mapping[bytes, bytes], body: bytes, admitted: str | None) -> str:
        """Check the signature over the raw bytes, if there is one. Returns the source; raises ``Unauthenticated``."""
        if SIGNATURE not in headers and admitted is not None:
            return admitted
        if not self._signatures:
            raise Unauthenticated(
                "this post is signed and no secret is configured to check it (LICET_WEBHOOK_SECRETS)", "no_secret"
            )
        return self._signatures.sender_of(headers, body, self._clock().timestamp())
