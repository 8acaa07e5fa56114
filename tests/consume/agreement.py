"""Holds what a store says to what the naive model says, after the same deliveries."""

import itertools
from typing import Any

from consume.model import Mapping, Model, Row, Sent
from support.stores import Look

Histories = dict[tuple[int, str], list[Row]]


class Told:
    """What a store says of one log whose customers are ``<prefix>-<number>``.

    ``tag`` follows each tenant id in the store; the model knows none of it.
    """

    def __init__(self, look: Look, log: str, prefix: str, tag: str = "") -> None:
        self._prefix, self.tag = prefix, tag
        self.ledger = look.ledger(log)
        self.licenses = look.licenses(prefix)
        self.customers = {self.number(row["customer_id"]): row for row in look.customers(prefix)}
        self._aliases = look.aliases(prefix)
        self.index_of = {row["sequence"]: index for index, row in enumerate(self.ledger)}

    @property
    def outcomes(self) -> list[str]:
        """One word for each delivery, in the order of their sequence."""
        return [f"{row['outcome']}({row['reason']})" if row["reason"] else row["outcome"] for row in self.ledger]

    def number(self, customer_id: str) -> int:
        return int(customer_id.rpartition("-")[2])

    def aliases(self) -> dict[str, int]:
        return {alias.removesuffix(self.tag): self.number(holder) for alias, holder in self._aliases.items()}

    def history(self, revision: int | None = None) -> Histories:
        """What was believed at a revision (None: now), first to last; checks that it tiles time without a hole."""
        found: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for row in self.licenses:
            believed = row["recorded"].upper is None if revision is None else revision in row["recorded"]
            if believed:
                found.setdefault((self.number(row["customer_id"]), row["sku"]), []).append(row)
        for believed_rows in found.values():
            for one, two in itertools.pairwise(believed_rows):
                assert one["valid"].upper == two["valid"].lower
                assert one["closed_delivery"] == two["opened_delivery"]
            assert believed_rows[-1]["valid"].upper is None
            assert believed_rows[-1]["closed_delivery"] is None
        return {key: self._plain(believed_rows) for key, believed_rows in found.items()}

    def _plain(self, believed: list[dict[str, Any]]) -> list[Row]:
        ids = list(dict.fromkeys(row["license_id"] for row in believed))
        return [
            Row(
                status=row["status"],
                starts=row["starts_at"],
                ends=row["ends_at"],
                quantity=row["quantity"],
                since=row["valid"].lower,
                opened_by=self.index_of[row["opened_delivery"]],
                generation=1 + ids.index(row["license_id"]),
            )
            for row in believed
        ]


def run_model(mapping: Mapping, sent: list[Sent]) -> tuple[Model, list[Histories]]:
    """Run the model; returns it and each license's rows after each delivery."""
    model = Model(mapping)
    steps = []
    for one in sent:
        model.deliver(one)
        steps.append(histories(model))
    return model, steps


def histories(model: Model) -> Histories:
    """Return each license's rows as the model has them now."""
    return {
        (number, sku): list(held)
        for number, customer in model.customers.items()
        for sku, held in customer.rows.items()
        if held
    }


def check_state(told: Told, model: Model) -> None:
    for place, (found, wanted) in enumerate(zip(told.outcomes, model.outcomes, strict=True)):
        assert found == wanted, f"delivery {place} ended {found}, by the model {wanted}: {told.ledger[place]}"
    assert set(told.customers) == set(model.customers)
    for number, customer in model.customers.items():
        stored = told.customers[number]
        fields = {name: field[0] for name, field in stored["fields"].items()}
        expected = {name: writes[-1].value for name, writes in customer.writes.items()}
        tenant = expected.get("Tenant_Id__c")
        if tenant:
            expected["Tenant_Id__c"] = f"{tenant}{told.tag}"
        assert repr(sorted(fields.items())) == repr(sorted(expected.items())), f"customer {number}"
        assert stored["deleted"] == customer.deleted, f"customer {number}"
        assert stored["name"] == (customer.value("Name") or None)
    assert told.aliases() == model.aliases
