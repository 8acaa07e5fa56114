"""Step 3a of the road: a record out of the log becomes a change, or a reason why it cannot."""

import hashlib
from collections.abc import Sequence

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.change import CustomerChange, Identity, read_change
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.payload import read_object
from licet.queue.message import Envelope, Record, read_envelope


class Readable(msgspec.Struct, frozen=True, gc=False):
    """A record that is a change."""

    record: Record
    envelope: Envelope
    change: CustomerChange


class Unreadable(msgspec.Struct, frozen=True):
    """A record that is none, with every fault found. ``envelope`` is there where at least the headers were read."""

    record: Record
    envelope: Envelope | None
    faults: Sequence[Fault]
    payload_hash: bytes


Read = Readable | Unreadable


def read_record(record: Record, catalog: Catalog) -> Read:
    """Read one record. Never raises for what stands in it: anyone who may write to the log wrote it."""
    envelope = None
    try:
        envelope = read_envelope(record)
        if record.value is None:
            raise InvalidInput.of(Fault("value", "nothing", "a JSON object"))
        payload = read_object(record.value)
        change = read_change(payload, Identity(envelope.event_id, envelope.source, envelope.received_at), catalog)
        if record.key != change.customer_id.encode():
            key = None if record.key is None else record.key.decode("utf-8", "replace")
            raise InvalidInput.of(Fault("key", shown(key), f"the customer's id, {change.customer_id}"))
    except InvalidInput as error:
        digest = hashlib.blake2b(record.value or b"", digest_size=16).digest()
        return Unreadable(record, envelope, error.faults, digest)
    return Readable(record, envelope, change)
