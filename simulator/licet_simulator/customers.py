"""The customers that the false Salesforce knows, and what happens to them."""

import dataclasses
import json
import random
import uuid

FLAGS = ("SignedTos", "SKU1", "SKU2", "SKU3")
# Four in five have signed, so that most licenses of a fresh start give access and some do not.
SIGNED_SHARE = 0.8

_FIRST = (
    "north",
    "south",
    "silver",
    "quiet",
    "bright",
    "iron",
    "amber",
    "green",
    "river",
    "stone",
    "cloud",
    "swift",
    "solar",
    "maple",
)
_SECOND = (
    "wind",
    "field",
    "works",
    "bridge",
    "labs",
    "point",
    "gate",
    "forge",
    "line",
    "peak",
    "crest",
    "yard",
    "market",
    "path",
    "dale",
)
_MANAGERS = (
    "Ada Byron",
    "Grace Hopper",
    "Alan Kay",
    "Edsger Dijkstra",
    "Barbara Liskov",
    "Donald Knuth",
    "Radia Perlman",
)
_CONTACTS = ("ana", "bo", "chen", "dara", "eli", "fatima", "gus", "hana", "ivo", "june")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Customer:
    """One customer as Salesforce holds it. ``flags`` follow ``FLAGS``; ``user`` is a person of the customer."""

    customer_id: str
    name: str
    account_manager: str
    sales_engineer_id: str
    flags: tuple[bool, ...]
    user: str

    def flipped(self, flag: str) -> "Customer":
        """Return the customer with one flag turned round."""
        return dataclasses.replace(
            self, flags=tuple(value != (name == flag) for name, value in zip(FLAGS, self.flags, strict=True))
        )

    def says(self, flag: str) -> bool:
        """Return a flag's value."""
        return self.flags[FLAGS.index(flag)]

    def payload(self) -> bytes:
        """Render the body that Salesforce posts: always the customer's full state."""
        fields = {
            "AccountManager": self.account_manager,
            "Id": self.customer_id,
            "Name": self.name,
            "SalesEngineerId": self.sales_engineer_id,
            **dict(zip(FLAGS, self.flags, strict=True)),
        }
        return json.dumps(fields, separators=(",", ":")).encode()


class Population:
    """A number of customers and an endless row of changes to them.

    The same seed makes the same customers, ids included, and the same changes in the same order, on any machine.
    """

    def __init__(self, seed: int, size: int) -> None:
        self._dice = random.Random(f"{seed}/changes")
        self.customers = _make(random.Random(f"{seed}/customers"), size)

    def change(self) -> tuple[Customer, str]:
        """Turn one flag of one customer; returns the customer as it now is, and the flag."""
        at = self._dice.randrange(len(self.customers))
        flag = self._dice.choice(FLAGS)
        self.customers[at] = self.customers[at].flipped(flag)
        return self.customers[at], flag


def _make(dice: random.Random, size: int) -> list[Customer]:
    used: dict[str, int] = {}
    customers = []
    for _ in range(size):
        stem = dice.choice(_FIRST) + dice.choice(_SECOND)
        used[stem] = used.get(stem, 0) + 1
        name = f"{stem}.example" if used[stem] == 1 else f"{stem}-{used[stem]}.example"
        customers.append(
            Customer(
                customer_id=_uuid(dice),
                name=name,
                account_manager=dice.choice(_MANAGERS),
                sales_engineer_id=_uuid(dice),
                flags=(dice.random() < SIGNED_SHARE, *(dice.random() < 1 / 2 for _ in FLAGS[1:])),
                user=f"{dice.choice(_CONTACTS)}@{name}",
            )
        )
    return customers


def _uuid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
