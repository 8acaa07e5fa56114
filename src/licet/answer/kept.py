"""Answers kept encoded: a question asked again costs a look-up. Exact, as each proves itself when it is found."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable

import msgspec

from licet.answer.check import Answer
from licet.answer.snapshot import Latest
from licet.domain.decision import Freshness

# Some 60 MB where every one is in use; then the one kept first goes.
MOST = 50_000
# A longer question is answered, and kept for nobody: a caller must not fill the memory with names it made up.
LONGEST = 500
_TAG_BYTES = 12
_encode = msgspec.json.Encoder().encode


class Kept(msgspec.Struct, gc=False):
    """An answer encoded up to its freshness. ``version`` is the snapshot's when it last proved to stand."""

    answer: Answer
    head: bytes
    etag: bytes
    version: object

    def body(self, fresh: Freshness) -> bytes:
        """Return the JSON of the decision, as fresh as it is now."""
        lag = b"null" if fresh.lag_ms is None else b"%d" % fresh.lag_ms
        return b'%b"revision":%d,"age_ms":%d,"lag_ms":%b}' % (self.head, fresh.revision, fresh.age_ms, lag)


class KeptAnswers:
    """Keeps answers by the bytes that asked for them; ``find`` gives only what would be answered anew."""

    def __init__(self, latest: Latest, clock: Callable[[], dt.datetime], most: int = MOST) -> None:
        self._latest = latest
        self._clock = clock
        self._most = most
        self._kept: dict[bytes, Kept] = {}

    def find(self, question: bytes) -> Kept | None:
        """Return the answer where it stands: same look-ups, same catalog, no moment passed that changes it."""
        snapshot = self._latest.get()
        kept = self._kept.get(question)
        if kept is None:
            return None
        answer = kept.answer
        if kept.version is not snapshot.version:
            if not answer.stands(snapshot):
                return None
            kept.version = snapshot.version
        if answer.begins is not None or answer.ends is not None:
            now = self._clock()
            if (answer.begins is not None and now < answer.begins) or (answer.ends is not None and now >= answer.ends):
                return None
        return kept

    def keep(self, question: bytes | None, answer: Answer) -> Kept:
        """Encode an answer made now and keep it; None: for nobody."""
        encoded = _encode(answer.decision)
        head = encoded[: encoded.rindex(b'"revision":')]
        snapshot = self._latest.get()
        kept = Kept(answer, head, _etag(answer, head, snapshot.position.epoch), snapshot.version)
        if question is None or len(question) > LONGEST:
            return kept
        self._kept.pop(question, None)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = kept
        return kept


def _etag(answer: Answer, head: bytes, epoch: uuid.UUID) -> bytes:
    """Make the weak tag of all that the answer says and stands on; its freshness set aside."""
    grounds = (epoch, answer.catalog.version, answer.begins, answer.ends)
    digest = hashlib.blake2b(_encode(grounds) + head, digest_size=_TAG_BYTES)
    return b'W/"%b"' % digest.hexdigest().encode()
