"""`licet grant`, `block` and `override`: what they write, what they print, what they refuse."""

import json

from cli.said import Cli
from support.world import Log, Road, rows


def test_a_trial_is_granted_extended_listed_and_ended(stored: Cli, database: str) -> None:
    log = Log()
    road = Road(database, log.name)
    road.apply(log.change({"Id": "acme", "SignedTos": True}))
    road.close()
    said = stored("grant", "acme", "SKU2", "--trial", "--for", "14d", "--reason", "case 4711")
    assert said.code == 0, said
    override_id, _, rest = said.out.partition(": ")
    assert rest.startswith("SKU2 is granted to acme until ")
    assert stored("override", "extend", override_id, "--until", "2099-01-01T00:00:00Z").code == 0
    blocked = stored("block", "acme", "feature:inbound-email-security", "--reason", "abuse")
    assert blocked.code == 0, blocked
    lines = {
        line.split("\t")[0]: line.split("\t")
        for line in stored("override", "list", "--customer", "acme").out.splitlines()
    }
    trial = lines[override_id]
    assert (trial[2:5], trial[6], trial[8]) == (["SKU2", "grant", "trial"], "2099-01-01 00:00:00+00:00", "case 4711")
    assert len(lines) == 2
    assert stored("override", "end", override_id, "--reason", "bought").code == 0
    assert stored("override", "end", override_id, "--reason", "bought").code == 1
    assert len(stored("override", "list").out.splitlines()) == 1
    (left,) = json.loads(stored("override", "list", "--json").out)
    assert (left["what"], left["reason"]) == ("feature:inbound-email-security", "abuse")
    assert json.loads(stored("override", "end", left["override"], "--reason", "over", "--json").out)["ended_by"]
    (*acts, _) = rows(database, "SELECT action, via FROM audit_entry ORDER BY entry_id")
    assert [(act["action"], act["via"]) for act in acts] == [
        ("override.put", "cli"),
        ("override.put", "cli"),
        ("override.put", "cli"),
        ("override.end", "cli"),
    ]
    for wrong in (
        ("--for", "soon"),
        ("--until", "tomorrow"),
        ("--until", "2099-01-01"),
        ("--for", "1d", "--until", "2099-01-01T00:00:00Z"),
    ):
        assert stored("block", "acme", "SKU2", "--reason", "abuse", *wrong).code == 2
    assert stored("grant", "nobody", "SKU2", "--reason", "x").code == 1
    assert stored("grant", "acme", "SKU9", "--reason", "x").code == 2
