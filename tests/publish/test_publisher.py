"""Telling others: what is told of each revision, and that nothing is left out when something fails half way."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licet.bootstrap.desks import customer_desk
from licet.consume.refold import refold
from licet.domain.errors import Unavailable
from licet.domain.license import Moment
from licet.domain.principal import Principal
from licet.manage.directory import Directory
from licet.publish import publisher as publishing
from licet.queue.ports import LogUnavailable
from licet.settings import Settings
from licet.store.directory import PostgresDirectory
from licet.store.outbox import PostgresOutbox
from licet.store.overrides import Stored
from licet.store.pools import writer_pool
from licet.store.prune import prune
from licet.store.values import NameKind
from publish.telling import Telling, differs, ids, strike
from support.processes import eventually
from support.properties import quick
from support.termed import GRACED, TERMED, end_override, licensed, now, put_override, shift
from support.world import TESTER, Log, Road, apply_catalog, at, fresh, rows

HOUR = dt.timedelta(hours=1)


def test_a_delivery_is_told_with_state_difference_and_cause(road: Road, log: Log, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}, event_id="e-1"))
    (event,), (record,) = telling.tell(), telling.topic.heard
    headers = {name: value.decode() for name, value in record.headers}
    assert (record.key, headers["ce_subject"]) == ("acme", "acme")
    assert (headers["ce_type"], headers["ce_specversion"]) == ("licet.license-change.v1", "1.0")
    assert headers["ce_id"].startswith(f"{event['epoch']}.{event['revision']}.")
    assert (event["customer"], event["catalog_version"], event["aliases"]) == ("acme", 2, [])
    assert event["skus"]["SKU1"]["state"] == "active"
    feature = event["features"]["inbound-email-security"]
    assert (feature["allowed"], feature["reason"], feature["sku"]) == (True, "licensed", "SKU1")
    assert event["features"]["account-takeover-protection"]["reason"] == "not_licensed"
    assert differs(event) == {"SKU1": (None, "active"), "inbound-email-security": ("not_licensed", "licensed")}
    (cause,) = event["cause"].pop("deliveries")
    assert (event["cause"], cause["event_id"], cause["source"]) == ({"kind": "delivery"}, "e-1", "salesforce")


def test_what_time_made_is_told_as_its_own_difference(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change(licensed("acme", starts=now() - HOUR, ends=now() - HOUR / 2)))
    shift(database, 2)
    strike(database)
    granted, started, ended = telling.tell()
    assert granted["skus"]["SKU1"]["state"] == "not_yet_valid"
    assert differs(started)["SKU1"] == ("not_yet_valid", "expired")  # both had passed when the clock came
    assert differs(ended)["SKU1"] == ("active", "expired")
    assert ended["cause"]["boundaries"][0].items() >= {"kind": "license", "boundary": "end"}.items()


async def named_by_a_person(url: str) -> None:
    async with writer_pool(url, 1) as pool:
        by = Principal("ada", "k", frozenset())
        await Directory(PostgresDirectory(pool)).put(NameKind.ALIAS, "acme", "tenant:4711", by)


def test_person_and_catalog_are_causes(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True, "SKU4": True}))
    asyncio.run(named_by_a_person(database))
    apply_catalog(database, TERMED + '\n[skus.SKU4]\nflag = "SKU4"\ngrants = { abuse-mailbox-automation = true }\n')
    list(refold(road.projection, lambda revision, cause: Moment(now(), revision, cause)))
    _, named, learnt = telling.tell()
    assert (named["cause"], named["aliases"]) == ({"kind": "person", "author": "ada"}, ["tenant:4711"])
    assert differs(named) == {"tenant:4711": (None, True)}
    assert learnt["cause"] == {"kind": "catalog", "version": 3}
    assert differs(learnt) == {"SKU4": (None, "active"), "abuse-mailbox-automation": ("not_licensed", "licensed")}


def test_an_override_is_told_when_it_is_made_moved_ended_and_when_it_runs_out(
    road: Road, log: Log, database: str, telling: Telling
) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}), log.change({"Id": "umbrella"}))
    begin, ends = now() - HOUR, now() + HOUR
    trial = put_override(database, "acme", begin, ends, kind="trial")
    longer = put_override(database, "acme", begin, ends + HOUR, trial)
    moved = put_override(database, "umbrella", begin, ends, longer)
    end_override(database, moved)
    block = put_override(database, "acme", begin, ends, sku=None, feature="inbound-email-security", effect="block")
    _, _, made, changed, left, came, ended, blocked = telling.tell()
    id_ = str(trial.override_id)
    assert made["cause"] == {"kind": "override", "author": "ada", "overrides": [id_]}
    assert differs(made) == {id_: (None, "active"), "account-takeover-protection": ("not_licensed", "override")}
    feature = made["features"]["account-takeover-protection"]
    assert (feature["override_id"], feature["license_id"], feature["sku"]) == (id_, None, "SKU2")
    (stands,) = made["overrides"].values()
    assert stands.items() >= {"kind": "trial", "effect": "grant", "sku": "SKU2", "feature": None}.items()
    assert "case 1" not in str(made)
    assert (changed["changes"][0]["before"]["kind"], changed["changes"][0]["after"]["kind"]) == ("trial", "override")
    assert [(one["customer"], one["cause"]["author"], one["overrides"].keys()) for one in (left, came, ended)] == [
        ("acme", "ada", set()), ("umbrella", "ada", {id_}), ("umbrella", "bob", set())
    ]  # fmt: skip
    assert left["revision"] == came["revision"]
    assert differs(blocked)["inbound-email-security"] == ("licensed", "blocked")

    shift(database, 2)
    with psycopg.connect(database) as connection:  # its end passed in these two hours
        connection.execute("ALTER TABLE override DISABLE TRIGGER override_only_closes")
        connection.execute(
            "UPDATE override SET starts_at = starts_at - interval '2 h', ends_at = ends_at - interval '2 h'"
        )
    strike(database)
    *_, over = telling.tell()
    (boundary,) = over["cause"]["boundaries"]
    assert (over["cause"]["kind"], boundary["kind"], boundary["boundary"]) == ("time", "override", "end")
    assert differs(over) == {
        str(block.override_id): ("active", "expired"),
        "inbound-email-security": ("blocked", "licensed"),
    }


def test_the_end_of_a_grace_is_told(road: Road, log: Log, database: str, telling: Telling) -> None:
    apply_catalog(database, GRACED)
    road.apply(log.change(licensed("acme", ends=now() - 24 * HOUR + HOUR)))
    shift(database, 2)
    with psycopg.connect(database) as connection:
        for table in ("license", "catalog_version"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.execute("UPDATE license SET ends_at = ends_at - interval '2 h'")
        connection.execute(
            "UPDATE catalog_version SET valid = tstzrange(lower(valid) - interval '9 d', upper(valid) - interval '9 d')"
        )
    strike(database)
    granted, over = telling.tell()
    assert granted["features"]["inbound-email-security"]["reason"] == "grace"
    assert over["cause"]["boundaries"][0]["kind"] == "grace"
    assert differs(over) == {"inbound-email-security": ("grace", "expired")}


def test_of_one_that_was_erased_only_that_is_told(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    road.apply(log.change({"Id": "umbrella", "SignedTos": True, "SKU1": True}))
    put_override(database, "acme", now(), now() + HOUR)
    customer_desk(Settings(database_url=database)).erase("acme", "a request", TESTER)
    told = ["acme", "umbrella", "acme", "acme"]
    telling.tell()
    assert [(one.key, one.value is None) for one in telling.topic.heard] == [(one, one == "acme") for one in told]
    later = at(1).isoformat()
    road.apply(log.change({"Id": "acme", "IsDeleted": False, "SKU1": True, "SignedTos": True, "SystemModstamp": later}))
    *_, back = telling.tell()
    assert (back["customer"], back["skus"]["SKU1"]["state"], back["overrides"]) == ("acme", "active", {})
    late = Telling(database, "late")  # a new topic hears nothing of what was before the erasure
    telling.publisher.close()
    late.tell()
    late.publisher.close()
    assert [one.value is None for one in late.topic.heard if one.key == "acme"] == [True, True, True, False]


def test_a_deleted_customer_is_told_and_not_forgotten(road: Road, log: Log, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    road.apply(log.change({"Id": "acme", "IsDeleted": True}))
    assert differs(telling.tell()[-1])["SKU1"] == ("active", "ended")


def test_a_step_that_failed_is_told_again_under_the_same_ids(
    road: Road, log: Log, database: str, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "CHUNK", 2)
    road.apply(*[log.change({"Id": f"c{number}", "SignedTos": True, "SKU1": True}) for number in range(3)])
    road.apply(log.change({"Id": "c1", "SKU1": False}))
    away = iter([LogUnavailable("away"), None, LogUnavailable("away"), None])

    def fails() -> None:
        error = next(away)
        if error is not None:
            raise error

    telling.topic.fails = fails
    with pytest.raises(LogUnavailable):
        telling.tell()
    assert telling.topic.heard == []
    assert (telling.lag("revisions"), (telling.lag("seconds") or 0) > 0) == (4, True)
    telling.publisher.close()
    with pytest.raises(LogUnavailable):
        telling.tell()
    assert [one.key for one in telling.topic.heard] == ["c0", "c1", "c2"]
    telling.publisher.close()
    told = telling.tell()
    assert [event["customer"] for event in told] == ["c0", "c1", "c2", "c1"]
    # The process ended after the topic had confirmed and before the position moved.
    rows(database, "UPDATE publish_position SET revision = 3 RETURNING 1")
    telling.topic.fails = lambda: None
    telling.tell()
    assert ids(telling.topic)[4:] == ids(telling.topic)[3:4]
    assert (telling.lag("revisions"), telling.lag("seconds")) == (0, 0)


def test_one_publishes_at_a_time_and_another_takes_over(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    other = Telling(database)
    telling.tell()
    other.publisher.step()
    assert (other.topic.heard, other.outbox.lead()) == ([], False)
    road.apply(log.change({"Id": "acme", "SKU1": False}))
    telling.publisher.close()
    assert [event["revision"] for event in other.tell()] == [4]
    other.publisher.close()


def test_who_lost_the_lead_reads_nothing_and_moves_nothing(
    road: Road, log: Log, database: str, telling: Telling
) -> None:
    """It was paused after it had taken the lead; its session ended, and another told all."""
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    assert telling.outbox.lead()
    step = telling.outbox.ahead(10)
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'licet publisher'"
    rows(database, ended + " AND datname = current_database()")
    other = Telling(database)
    other.tell()
    with pytest.raises(Unavailable):
        telling.outbox.read(step, 0)
    with pytest.raises(Unavailable, match="another publisher"):
        telling.outbox.told(step)
    other.publisher.close()


def test_a_session_without_a_sign_of_life_gives_the_lead_back(database: str) -> None:
    outbox = PostgresOutbox(database, "told")
    with outbox._lent() as connection:
        assert connection.execute("SHOW idle_session_timeout").fetchone() == ("8s",)
        connection.execute("SET idle_session_timeout = 50")
        other = PostgresOutbox(database, "told")
        assert outbox.lead()
        eventually("the server gives the lock on", lambda: other.lead() or None)
    outbox.close()
    other.close()


def test_a_store_of_another_epoch_is_told_anew(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    telling.tell()
    rows(database, "UPDATE revision SET epoch = gen_random_uuid() RETURNING 1")
    telling.tell()
    assert [one.key for one in telling.topic.heard] == ["acme", "acme"]


def test_pruning_leaves_the_feed(road: Road, log: Log, database: str, telling: Telling) -> None:
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True}))
    shift(database, 24 * 400)
    list(prune(database, 1, TESTER))
    assert [event["customer"] for event in telling.tell()] == ["acme"]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.dictionaries(st.sampled_from(["SKU1", "SKU2", "SignedTos", "Tenant"]), st.booleans(), min_size=1),
    ),
    min_size=1,
    max_size=4,
)
ACTS = st.sampled_from([None, "grant", "block", "change", "end"])
WITH_ALIAS = TERMED.replace("[source]", '[source]\naliases = { tenant = "Tenant" }', 1)


@settings(quick, max_examples=8)
@given(batches=st.lists(st.tuples(CHANGES, ACTS), min_size=1, max_size=5))
def test_what_is_told_late_is_what_would_have_been_told_at_once(
    postgres: str, template: str, batches: list[tuple[list[tuple[str, dict[str, bool]]], str | None]]
) -> None:
    """Each revision is told as it was, whatever came after; and differences add up to the states."""
    with _database(postgres, template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "LOOK_S", 0.0)
        patch.setattr(publishing, "CHUNK", 2)
        apply_catalog(url, WITH_ALIAS)
        log = Log()
        road, prompt = Road(url, log.name), Telling(url, "prompt")
        made: Stored | None = None
        for batch, acts in batches:
            road.apply(*[log.change(_payload(*change)) for change in batch])
            prompt.tell()
            made = _except(url, batch[0][0], made, acts) if acts else made
            prompt.tell()
        road.close()
        prompt.publisher.close()
        late = Telling(url, "late")
        told = late.tell()
        late.publisher.close()
    assert late.topic.heard == prompt.topic.heard
    _add_up(told)


def _except(url: str, customer_id: str, made: Stored | None, act: str) -> Stored | None:
    """Make an override, put another in its place, or end it."""
    if act == "end" and made is not None:
        end_override(url, made)
        return None
    return put_override(
        url,
        customer_id,
        now() - HOUR,
        now() + HOUR,
        made if act == "change" else None,
        effect=act.replace("change", "grant").replace("end", "block"),
    )


def _payload(customer_id: str, fields: dict[str, bool]) -> dict[str, Any]:
    said: dict[str, Any] = {"Id": customer_id, "SignedTos": True, **fields}
    if "Tenant" in said:
        said["Tenant"] = "4711" if said["Tenant"] else None
    return said


def _add_up(told: list[Any]) -> None:
    """Follow the differences alone; they must come to the states."""
    known: dict[str, dict[tuple[str, str], Any]] = {}
    for event in told:
        mine = known.setdefault(event["customer"], {})
        for one in event["changes"]:
            place = (one["what"], one["name"])
            # Of a new customer the features are held against those of one without a license.
            assert mine.get(place) in (one["before"], None)
            mine[place] = one["after"]
        states = {
            "sku": event["skus"],
            "override": event["overrides"],
            "feature": event["features"],
            "alias": dict.fromkeys(event["aliases"], True),
        }
        for (what, name), last in mine.items():
            assert states[what].get(name) == last


@contextlib.contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = fresh("test").replace("-", "_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
