"""Standard Webhooks signatures: ``webhook-signature: v1,<base64 of HMAC-SHA256 over id.timestamp.body>``.

A sender may have several secrets, and a header several signatures, so that either side can rotate.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from licet.domain.errors import ConfigurationError, Unauthenticated

PREFIX = "whsec_"
# The scheme asks for 24 bytes; what has fewer than 16 can be guessed.
MIN_SECRET = 16
# Each signature costs a comparison with each secret's; no sender rotates among more.
MAX_SIGNATURES = 16


class Signatures:
    """Verifies posts. ``secrets`` are (sender, ``whsec_…``) pairs; ``tolerance_s`` bounds a timestamp's distance."""

    def __init__(self, secrets: Sequence[tuple[str, str]], tolerance_s: int) -> None:
        self._keys = [(sender, _key(sender, secret)) for sender, secret in secrets]
        self._tolerance_s = tolerance_s

    def __bool__(self) -> bool:
        return bool(self._keys)

    def sender_of(self, headers: Mapping[bytes, bytes], body: bytes, now_s: float) -> str:
        """Return the name of the sender whose secret signed these very bytes. Raises ``Unauthenticated``."""
        event, stamp = headers.get(b"webhook-id", b""), headers.get(b"webhook-timestamp", b"")
        if not event or not stamp:
            raise Unauthenticated("a signature needs the headers webhook-id and webhook-timestamp", "incomplete")
        if not stamp.isdigit() or len(stamp) > 12 or abs(now_s - int(stamp)) > self._tolerance_s:  # noqa: PLR2004
            raise Unauthenticated(
                f"webhook-timestamp is not within {self._tolerance_s} s of now, in seconds of 1970", "timestamp"
            )
        given = _signatures(headers[b"webhook-signature"])
        signed = b"%b.%b.%b" % (event, stamp, body)
        for sender, key in self._keys:
            wanted = hmac.digest(key, signed, hashlib.sha256)
            # No early end among the signatures: what this costs tells nothing but their number.
            if sum(hmac.compare_digest(wanted, signature) for signature in given):
                return sender
        raise Unauthenticated(
            "no signature of webhook-signature is one of a configured secret over these bytes", "unknown"
        )


def _signatures(header: bytes) -> list[bytes]:
    parts = header.split()
    given = [raw for raw in (_decoded(part[3:]) for part in parts if part.startswith(b"v1,")) if raw]
    if not given or len(parts) > MAX_SIGNATURES:
        raise Unauthenticated(
            f"webhook-signature holds 1 to {MAX_SIGNATURES} signatures of the form v1,<base64>", "malformed"
        )
    return given


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _key(sender: str, secret: str) -> bytes:
    key = _decoded(secret.removeprefix(PREFIX).encode()) or b""
    if not secret.startswith(PREFIX) or len(key) < MIN_SECRET:
        raise ConfigurationError(
            f"LICET_WEBHOOK_SECRETS: the secret of {sender} is not whsec_ and base64 of at least {MIN_SECRET} bytes"
        )
    return key
