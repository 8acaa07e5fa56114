"""`licet brake` and its API: what they list, who may, what is asked, and that each act is kept with who did it."""

import json
from collections.abc import Iterator

import pytest

from cli.said import Cli
from consume.test_verify import verified
from licet.cli.settings import operator
from support.web import running_web
from support.world import Log, Road, brake, rows

FEATURE = "inbound-email-security"


@pytest.fixture
def ended(database: str) -> Iterator[str]:
    """Five licenses that ended at once, of which the brake holds three."""
    log = Log()
    road = Road(database, log.name, brake=brake(most=2))
    road.apply(*(log.change({"Id": name, "Name": name.upper(), "SignedTos": True, "SKU1": True}) for name in "abcde"))
    road.apply(*(log.change({"Id": name, "SKU1": False}) for name in "abcde"))
    yield database
    road.close()


def test_status_lists_what_is_held_and_what_ended_before_page_by_page(stored: Cli, ended: str) -> None:
    said = stored("brake", "status", "--limit", "2", brake_ends="2")
    assert said.code == 0, said
    first, second, third, *lines = said.out.splitlines()
    assert first == "the safety brake holds beyond 2 ends within 3600 s"
    assert second == "5 licenses ended within the window, 0 give access now"
    assert third == "3 are held; SKU1: 3"
    assert [line.split("\t")[:3] for line in lines] == [["c", "SKU1", "C"], ["d", "SKU1", "D"]]
    assert '--after "d SKU1"' in said.err
    assert [line.split("\t")[0] for line in stored("brake", "status", "--after", "d SKU1").out.splitlines()[3:]] == [
        "e"
    ]
    view = json.loads(stored("brake", "status", "--ended", "--json").out)
    assert [(one["customer"], one["until"]) for one in view["items"]] == [("a", None), ("b", None)]
    assert stored("brake", "status", brake="off").out.splitlines()[0] == "the safety brake is off"


def test_a_person_restores_keeps_and_releases(stored: Cli, ended: str) -> None:
    unsaid = stored("brake", "release", "--reason", "meant")
    assert (unsaid.code, "--yes" in unsaid.err) == (2, True), "nobody could be asked"
    assert stored("brake", "release", "--reason", " ", "--yes").code == 2
    unknown = stored("brake", "release", "--keep", "c", "--keep", "nobody", "--reason", "meant", "--yes")
    assert (unknown.code, "no customer has the id nobody" in unknown.err) == (1, True)
    assert held(ended) == ["c", "d", "e"], "a name that is wrong changes nothing"
    assert stored("brake", "restore", "--reason", "a bad load", "--yes", "--json").out.startswith('{\n  "licenses": 2,')
    assert held(ended) == ["a", "b", "c", "d", "e"]
    done = stored("brake", "release", "--customer", "b", "--reason", "meant", "--yes")
    assert done.out == "1 licenses are released\n"
    done = stored("brake", "release", "--keep", "c", "--reason", "all but c", "--yes")
    assert done.out == "4 licenses are released\n"
    assert stored("brake", "release", "--keep", "c", "--reason", "again", "--yes").out == "0 licenses are released\n"
    assert held(ended) == []
    [kept] = stored("override", "list").out.splitlines()
    assert kept.split("\t")[1:5] == ["c", "SKU1", "grant", "override"]
    assert kept.split("\t")[7:] == [operator().name, "all but c"]
    acts = rows(ended, "SELECT action, actor, via, reason, after FROM audit_entry ORDER BY entry_id")
    assert [(act["action"], act["reason"]) for act in acts] == [
        ("brake.restore", "a bad load"),
        ("brake.release", "meant"),
        ("override.put", "all but c"),
        ("brake.release", "all but c"),
    ]
    assert verified(ended).faults == []
    assert {(act["actor"], act["via"]) for act in acts} == {(operator().name, "cli")}
    assert acts[3]["after"] == {"licenses": [[name, "SKU1"] for name in "acde"], "kept": ["c"]}


def test_over_the_api_support_reads_and_admin_acts(ended: str) -> None:
    with running_web(ended) as web:
        support, reader = web.key("support", "support"), web.key("reader", "read")
        assert web.ask("GET", "/v1/brake", key=reader).status_code == 403
        first = web.ask("GET", "/v1/brake", key=support, params={"limit": 2}).json()
        second = web.get("/v1/brake", limit=2, cursor=first["next"])
        assert [one["customer"] for page in (first, second) for one in page["items"]] == ["c", "d", "e"]
        assert second["next"] is None
        assert web.ask("GET", "/v1/brake", params={"cursor": "%"}).status_code == 422
        for act in ("release", "restore"):
            assert web.ask("POST", f"/v1/brake/{act}", key=support, json={"reason": "x"}).status_code == 403
            assert web.ask("POST", f"/v1/brake/{act}", json={"reason": ""}).status_code == 422
        assert web.ask("POST", "/v1/brake/release", json={"reason": "x", "customer": "nobody"}).status_code == 404
        restored = web.ask("POST", "/v1/brake/restore", json={"reason": "a bad load"}).json()
        assert (restored["licenses"], restored["more"]) == (2, False)
        said = web.check(FEATURE, customer="a", explain="true")
        assert said["decision"]["reason"] == "override"
        assert "is held by the safety brake until" in said["sentences"][1]
        assert ": a bad load; Salesforce said so" in said["sentences"][1]
        released = web.ask("POST", "/v1/brake/release", json={"reason": "meant", "keep": ["d"]}).json()
        assert (released["licenses"], released["more"]) == (5, False)
        assert web.check(FEATURE, customer="c", min_revision=released["revision"])["reason"] == "revoked"
        assert web.check(FEATURE, customer="d")["reason"] == "override"
        acts = [(one["action"], one["actor"]) for one in web.get("/v1/audit")["items"][:3]]
    assert [action for action, _ in acts] == ["brake.release", "override.put", "brake.restore"]
    assert {actor for _, actor in acts} == {"bootstrap (bootstrap)"}


def held(url: str) -> list[str]:
    found = rows(
        url,
        "SELECT customer_id FROM override WHERE kind = 'brake' AND upper_inf(valid) AND upper_inf(recorded)"
        " ORDER BY customer_id",
    )
    return [row["customer_id"] for row in found]
