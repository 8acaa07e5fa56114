"""The door: bytes become changes, changes go to the queue, and only then is the sender told so.

Nothing is filtered here: every change that is accepted has a delivery.
"""

import asyncio
import datetime as dt
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from licet.domain import ids
from licet.domain.catalog import Catalog
from licet.domain.change import check_change, sent_event_id
from licet.domain.errors import Fault, InvalidInput, PayloadTooLarge, Unavailable
from licet.domain.ids import shown
from licet.domain.payload import is_array, read_array, read_object
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.queue.message import TRACEPARENT, Message, Position, Spooled
from licet.queue.ports import AppendFailed, ChangeLog
from licet.receive.register import Register
from licet.receive.uuid7 import uuid7

MAX_OBJECT = 256 * 1024
MAX_ARRAY = 4 * 1024 * 1024
MAX_ITEMS = 1000
# An item adds its index to the id, and an event id has at most 255 characters.
MAX_WEBHOOK_ID = 250
RETRY_AFTER_S = 1
# Other requests get their turn after this much of an array: some 3 ms of parsing.
_TURN = 64 * 1024
_WEBHOOK_ID = re.compile(rf"[\x21-\x7e]{{1,{MAX_WEBHOOK_ID}}}\Z")


class Post(msgspec.Struct, frozen=True):
    """What is known of a post beside its body. ``source`` is the sender's name; ids are headers as sent.

    ``proven`` tells that the sender showed a credential; what it posts in vain is kept.
    """

    source: str
    webhook_id: str | None = None
    traceparent: str | None = None
    proven: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """A change that the queue holds. ``queued_in`` is the ``log``, or the ``spool`` while Kafka is away."""

    event_id: str
    customer_id: str
    queued_in: str = "log"


class Rejected(msgspec.Struct, frozen=True):
    """An item that was not taken, by its place in the array (0 for a single object), and why."""

    index: int
    faults: Sequence[Fault]


class Receipt(msgspec.Struct, frozen=True):
    """The answer to a post of which at least one change was taken."""

    changes: Sequence[Accepted]
    rejected: Sequence[Rejected]


class _Sitting(msgspec.Struct, frozen=True):
    """What all items of one post are judged by."""

    post: Post
    catalog: Catalog
    now: dt.datetime
    traceparent: str | None


class Door:
    """Receives posts. ``organization`` is the one Salesforce organisation to take changes of, or None for any."""

    def __init__(
        self,
        log: ChangeLog,
        *,
        catalog: Callable[[], Catalog],
        clock: Callable[[], dt.datetime],
        metrics: Metrics,
        register: Register,
        organization: str | None = None,
        random_bytes: Callable[[int], bytes] | None = None,
    ) -> None:
        self._log = log
        self._catalog = catalog
        self._clock = clock
        self._metrics = metrics
        self._register = register
        self._organization = organization
        # Ids must be unique and need not be secret; the generator starts from 2,500 bytes of the system's own.
        self._random_bytes = random_bytes or random.Random().randbytes  # noqa: S311
        self._queue_refuses = False

    async def receive(self, post: Post, body: bytes) -> Receipt:
        """Take one JSON object, or an array of 1 to 1,000, and return once the queue confirmed every good one.

        Raises ``InvalidInput`` where no item is good, ``PayloadTooLarge`` for too many items, and ``Unavailable``
        where the queue did not confirm all: it may hold some all the same, and the sender must post them again.
        """
        _check_webhook_id(post.webhook_id)
        sent = post.traceparent
        traceparent = sent if sent is not None and TRACEPARENT.match(sent) else None
        sitting = _Sitting(post, self._catalog(), self._clock(), traceparent)
        rejected: list[Rejected] = []
        array = is_array(body)
        if array:
            try:
                messages = await self._judge_array(sitting, body, rejected)
            except InvalidInput as error:
                self._keep(sitting, body, error.faults)
                raise
        else:
            messages = [self._judge_object(sitting, body)]
        accepted: list[Accepted] = []
        if messages:
            began = time.perf_counter()
            results = await self._log.append([message for _, message in messages])
            self._metrics.append_seconds.observe(time.perf_counter() - began)
            accepted = self._sort(messages, results, rejected)
        if not accepted:
            raise _none_good(rejected, array=array)
        self._metrics.changes_accepted.inc(len(accepted))
        return Receipt(accepted, rejected)

    def _judge_object(self, sitting: _Sitting, body: bytes) -> tuple[int, Message]:
        try:
            return 0, self._message(sitting, body, read_object(body), sitting.post.webhook_id)
        except InvalidInput as error:
            self._keep(sitting, body, error.faults)
            self._metrics.changes_rejected.labels("invalid").inc()
            raise

    async def _judge_array(self, sitting: _Sitting, body: bytes, rejected: list[Rejected]) -> list[tuple[int, Message]]:
        webhook_id = sitting.post.webhook_id
        messages = []
        bad = []
        turn = 0
        for index, (raw, found) in enumerate(read_array(body)):
            if index == MAX_ITEMS:
                raise PayloadTooLarge.of(Fault("body", f"more than {MAX_ITEMS} items", f"at most {MAX_ITEMS} items"))
            try:
                if isinstance(found, InvalidInput):
                    raise found
                sent_id = f"{webhook_id}:{index}" if webhook_id is not None else None
                messages.append((index, self._message(sitting, raw, found, sent_id)))
            except InvalidInput as error:
                rejected.append(Rejected(index, error.faults))
                bad.append(raw)
            turn += len(raw)
            if turn > _TURN:
                turn = 0
                await asyncio.sleep(0)
        self._metrics.changes_rejected.labels("invalid").inc(len(rejected))
        for raw, item in zip(bad, rejected, strict=True):
            self._keep(sitting, raw, item.faults, f":{item.index}")
        return messages

    def _message(self, sitting: _Sitting, raw: bytes, payload: dict[str, Any], sent_id: str | None) -> Message:
        """Judge one object. Raises ``InvalidInput`` with all its faults."""
        catalog, now = sitting.catalog, sitting.now
        faults = self._faults(raw, payload, catalog)
        try:
            event_id = sent_event_id(payload, catalog) or sent_id or uuid7(now, self._random_bytes)
        except InvalidInput as error:
            faults += error.faults
            event_id = ""
        try:
            checked = check_change(payload, catalog)
        except InvalidInput as error:
            raise InvalidInput.of(*faults, *error.faults) from error
        if faults:
            raise InvalidInput.of(*faults)
        self._register.received(sitting.post.source, payload, catalog, now)
        return Message(
            key=checked.customer_id,
            value=raw,
            event_id=event_id,
            source=sitting.post.source,
            received_at=now,
            traceparent=sitting.traceparent,
        )

    def _keep(self, sitting: _Sitting, raw: bytes, faults: Sequence[Fault], place: str = "") -> None:
        post = sitting.post
        if post.proven:
            self._register.keep(post.source, post.webhook_id and post.webhook_id + place, raw, faults)

    def _faults(self, raw: bytes, payload: dict[str, Any], catalog: Catalog) -> list[Fault]:
        """List what only the door can find wrong: the size, and the organisation (a malformed one is a change's)."""
        faults = []
        if len(raw) > MAX_OBJECT:
            faults.append(Fault("body", f"{len(raw)} bytes", f"at most {MAX_OBJECT} bytes an object"))
        if self._organization is not None:
            field = catalog.source.organization
            found = payload.get(field)
            formed = isinstance(found, str) and ids.is_salesforce_id(found)
            if found is None or (formed and ids.canonical_customer_id(found) != self._organization):
                expected = f"{self._organization}, the organisation that this Licet serves"
                faults.append(Fault(field, "nothing" if found is None else shown(found), expected))
        return faults

    def _sort(
        self,
        judged: Sequence[tuple[int, Message]],
        results: Sequence[Position | AppendFailed],
        rejected: list[Rejected],
    ) -> list[Accepted]:
        """Return what the queue confirmed; what it will never take joins the rejected. Raises ``Unavailable``."""
        if not self._queue_refuses and all(type(result) is Position for result in results):
            return [Accepted(message.event_id, message.key) for _, message in judged]
        accepted = []
        unconfirmed = []
        refused = 0
        for (index, message), result in zip(judged, results, strict=True):
            if not isinstance(result, AppendFailed):
                queued_in = "spool" if isinstance(result, Spooled) else "log"
                accepted.append(Accepted(message.event_id, message.key, queued_in))
            elif result.permanent:
                refused += 1
                rejected.append(Rejected(index, (Fault("body", result.reason, "a change that the queue can hold"),)))
            else:
                unconfirmed.append(result)
        if refused:
            self._metrics.changes_rejected.labels("queue").inc(refused)
            rejected.sort(key=lambda item: item.index)
        if bool(unconfirmed) is not self._queue_refuses:
            self._tell_turn(unconfirmed)
        if unconfirmed:
            self._metrics.changes_unconfirmed.inc(len(unconfirmed))
            raise Unavailable(
                f"the queue confirmed {len(accepted)} of {len(judged)} changes; post all of them again", RETRY_AFTER_S
            )
        return accepted

    def _tell_turn(self, unconfirmed: Sequence[AppendFailed]) -> None:
        """Log once that the queue refuses, and once that it confirms again."""
        self._queue_refuses = bool(unconfirmed)
        if unconfirmed:
            log(Event.QUEUE_REFUSED, log=self._log.name, reason=unconfirmed[0].reason)
        else:
            log(Event.QUEUE_CONFIRMED, log=self._log.name)


def _check_webhook_id(webhook_id: str | None) -> None:
    if webhook_id is not None and not _WEBHOOK_ID.match(webhook_id):
        raise InvalidInput.of(
            Fault("header webhook-id", shown(webhook_id), f"1 to {MAX_WEBHOOK_ID} printable characters without spaces")
        )


def _none_good(rejected: Sequence[Rejected], *, array: bool) -> InvalidInput:
    """Gather the faults of all items; those of an array's are named by their place (``[3].Id``)."""
    found = [(item.index, fault) for item in rejected for fault in item.faults]
    if not array:
        return InvalidInput.of(*(fault for _, fault in found))
    return InvalidInput.of(*(Fault(f"[{at}]{_within(one.field)}", one.found, one.expected) for at, one in found))


def _within(field: str) -> str:
    return field.removeprefix("body") if field == "body" or field.startswith(("body.", "body[")) else f".{field}"
