"""Bodies that a careful receiver must refuse, each built from a good customer."""

import json
import random
from collections.abc import Callable

from licet_simulator.customers import Customer

# Beyond the 256 KiB that a receiver allows for one object.
TOO_LARGE = 300 * 1024


def bad_payload(dice: random.Random, customer: Customer) -> tuple[str, bytes]:
    """Return what is wrong, in words, and the body."""
    kind = dice.choice(list(KINDS))
    return kind, KINDS[kind](customer)


def _with(customer: Customer, **fields: object) -> bytes:
    return json.dumps({**json.loads(customer.payload()), **fields}).encode()


def _no_id(customer: Customer) -> bytes:
    fields = json.loads(customer.payload())
    del fields["Id"]
    return json.dumps(fields).encode()


KINDS: dict[str, Callable[[Customer], bytes]] = {
    "no Id": _no_id,
    "an Id that is a number": lambda customer: _with(customer, Id=4711),
    "a flag that is a string": lambda customer: _with(customer, SKU1="yes"),
    "a flag that is NaN": lambda customer: _with(customer, SKU2=float("nan")),
    "a key twice": lambda customer: customer.payload()[:-1] + b',"SKU3":true}',
    "JSON cut off": lambda customer: customer.payload()[:-9],
    "no JSON": lambda customer: f"Id={customer.customer_id}".encode(),
    "bytes that are no UTF-8": lambda customer: customer.payload().replace(b".example", b"\xff\xfe"),
    "an empty body": lambda _: b"",
    "too large": lambda customer: _with(customer, Notes="x" * TOO_LARGE),
}
