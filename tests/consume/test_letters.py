"""Dead letters: shown with their bytes, replayed through the log to their original place, dropped with a reason."""

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from licet.bootstrap.desks import verify_store
from licet.bootstrap.store import utc_now
from licet.domain.errors import Fault
from licet.queue.ports import LogReader
from licet.queue.postgres import log_name
from licet.queue.postgres_reader import PostgresReader
from licet.settings import Settings
from licet.store.migrate import default_catalog
from licet.store.pools import writer_pool
from licet.store.senders import PostgresSenders
from licet.store.values import DoorLetter
from support.logs import PostgresWire, read
from support.web import Web, running_web
from support.world import Log, Road, apply_catalog, rows

SIGNED = {"SignedTos": True, "SKU1": True}


class Place:
    """The web on a database, its queue, and the applier that reads it."""

    def __init__(self, url: str, web: Web) -> None:
        self.url = url
        self.web = web
        self.log = Log(log_name(url))
        self.road = Road(url, self.log.name)
        self.reader: LogReader = PostgresReader(url, self.road.applier.assign)

    def consume(self, count: int) -> list[str]:
        return self.road.apply(*read(self.reader, count))

    def append(self, *payloads: dict[str, Any] | bytes) -> None:
        wire = PostgresWire(self.url)

        async def run() -> None:
            log = wire.log()
            for payload in payloads:
                record = Log().change(payload, key="acme")
                headers = dict(record.headers)
                await log.append([_message(payload, headers["ce_id"].decode())])
            await log.close()

        asyncio.run(run())

    def letters(self, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.web.get("/v1/dead-letters", **query)["items"]
        return found

    def replay(self, letter: int, **options: Any) -> httpx.Response:
        return self.web.ask("POST", f"/v1/dead-letters/{letter}/replay", **options)


def _message(payload: dict[str, Any] | bytes, event_id: str) -> Any:

    from licet.queue.message import Message
    from support.world import NOON

    value = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return Message(key="acme", value=value, event_id=event_id, source="salesforce", received_at=NOON)


@pytest.fixture
def place(database: str) -> Iterator[Place]:
    with running_web(database) as web:
        built = Place(database, web)
        yield built
        built.reader.close()
        built.road.close()


MAIL = {"Id": "acme", "SignedTos": True, "MAIL__c": "yes"}  # a word where the catalog, once it knows it, wants a flag


def with_mail() -> str:
    return default_catalog().replace('flag = "SKU1"', 'flag = "MAIL__c"')


def test_a_letter_shows_its_bytes_its_faults_and_where_it_came_from(place: Place) -> None:
    place.append({"Id": "acme", "SKU1": "yes"}, b"\xff\xfe")
    assert place.consume(2) == ["dead(unreadable)", "dead(unreadable)"]
    second, first = place.letters()
    assert (first["state"], first["origin"], first["attempts"]) == ("open", "log", 1)
    shown = place.web.get(f"/v1/dead-letters/{first['letter']}")
    assert base64.b64decode(shown["value"]) == b'{"Id":"acme","SKU1":"yes"}'
    assert shown["text"] == '{"Id":"acme","SKU1":"yes"}'
    assert (shown["log"], shown["offset"]) == (place.log.name, 0)
    assert shown["faults"][0]["field"] == "SKU1"
    assert dict(shown["headers"])["ce_source"] == base64.b64encode(b"salesforce").decode()
    assert place.web.get(f"/v1/dead-letters/{second['letter']}")["text"] is None


def test_a_replay_is_judged_at_its_original_place_and_closes_the_letter(place: Place) -> None:
    place.append({"Id": "acme", "SignedTos": True, "SKU1": "yes", "Name": "old"}, {"Id": "acme", "Name": "new"})
    assert place.consume(2) == ["dead(unreadable)", "applied"]
    [letter] = place.letters()
    apply_catalog(place.url, default_catalog().replace('flag = "SKU1"', 'flag = "MAIL__c"'))
    taken = place.replay(letter["letter"])
    assert taken.status_code == 202, taken.text
    assert place.letters(state="replaying")[0]["letter"] == letter["letter"]
    assert place.replay(letter["letter"]).status_code == 409
    assert place.consume(1) == ["applied"]
    [name] = rows(place.url, "SELECT name FROM customer")
    assert name["name"] == "new", "what was written since stays"
    assert place.letters(state="open") == []
    shown = place.web.get(f"/v1/dead-letters/{letter['letter']}")
    assert (shown["state"], shown["last_outcome"], shown["attempts"]) == ("replayed", "applied", 2)
    assert [one["outcome"] for one in shown["replays"]] == ["applied"]
    assert [one["author"] for one in shown["actions"]] == ["bootstrap"]


def test_a_replay_that_dies_again_is_another_attempt_and_no_letter_of_its_own(place: Place) -> None:
    place.append({"Id": "acme", "SKU1": "yes"})
    place.consume(1)
    [letter] = place.letters()
    place.replay(letter["letter"])
    assert place.consume(1) == ["dead(unreadable)"]
    [again] = place.letters()
    assert (again["letter"], again["state"], again["attempts"]) == (letter["letter"], "open", 2)
    assert again["last_outcome"] == "dead(unreadable)"


def test_the_replay_of_a_dead_repair_is_still_a_repair(place: Place) -> None:
    place.append({"Id": "acme", "Name": "old"})
    place.consume(1)
    dead = _message({"Id": "acme", "Name": "repaired", "SKU1": "yes"}, "repair")

    async def run() -> None:
        log = PostgresWire(place.url).log()
        await log.append([msgspec.structs.replace(dead, compared_at="1/0")])
        await log.close()

    asyncio.run(run())
    assert place.consume(1) == ["dead(unreadable)"]
    apply_catalog(place.url, with_mail())
    [letter] = place.letters()
    assert place.replay(letter["letter"]).status_code == 202
    assert place.consume(1) == ["applied"]
    [customer] = rows(place.url, "SELECT name, fields::text LIKE '%%SKU1%%' AS filled FROM customer")
    assert customer == {"name": "old", "filled": True}, "compared before the name was written"


def test_a_dropped_letter_keeps_who_and_why(place: Place) -> None:
    place.append(b"{")
    place.consume(1)
    [letter] = place.letters()
    path = f"/v1/dead-letters/{letter['letter']}"
    assert place.web.ask("DELETE", path).status_code == 422
    assert place.web.ask("DELETE", path, params={"reason": "a test"}).status_code == 200
    assert place.web.ask("DELETE", path, params={"reason": "a test"}).status_code == 409
    assert place.replay(letter["letter"]).status_code == 409
    [action] = place.web.get(path)["actions"]
    assert (action["action"], action["author"], action["reason"]) == ("drop", "bootstrap", "a test")
    assert place.letters(state="open") == []


def test_what_names_no_event_can_be_dropped_and_not_replayed(place: Place) -> None:
    assert place.road.apply(place.log.raw(None, b"\x00", [])) == ["dead(unreadable)"]
    [letter] = place.letters()
    assert letter["event_id"] is None
    assert place.replay(letter["letter"]).status_code == 409
    assert place.web.ask("POST", "/v1/dead-letters/99/replay").status_code == 404


def test_reading_needs_read_and_acting_needs_admin(place: Place) -> None:
    place.append(b"{")
    place.consume(1)
    key = place.web.key("reader", "read", "write")
    place.web.forget_keys()
    assert place.web.ask("GET", "/v1/dead-letters/1", key=key).status_code == 200
    assert place.replay(1, key=key).status_code == 403
    assert place.web.ask("DELETE", "/v1/dead-letters/1?reason=x", key=key).status_code == 403


def test_pages_follow_each_other(place: Place) -> None:
    place.append(b"{", b"[", b"1")
    place.consume(3)
    first = place.web.get("/v1/dead-letters", limit="2")
    second = place.web.get("/v1/dead-letters", limit="2", cursor=first["next"])
    assert [len(first["items"]), len(second["items"]), second["next"]] == [2, 1, None]


def keep_at_the_door(url: str, *values: bytes) -> None:
    """Keep bad posts of a known sender, as the register does."""

    async def run() -> None:
        async with writer_pool(url, 1) as pool:
            letters = [
                DoorLetter(
                    reason="unreadable",
                    faults=[Fault("SKU1", "yes", "a flag")],
                    value=value,
                    headers=_message(value, f"door-{number}").headers(),
                    at=utc_now(),
                )
                for number, value in enumerate(values)
            ]
            await PostgresSenders(pool).write([], letters)

    asyncio.run(run())


def test_a_bad_post_that_the_door_kept_is_replayed_where_it_arrived_once_the_catalog_reads_it(place: Place) -> None:
    place.append({"Id": "acme", "Name": "first", "SignedTos": False})
    place.consume(1)
    keep_at_the_door(place.url, b'{"Id":"acme","SignedTos":true,"SKU1":"yes","Name":"old","EventId":"their-own"}')
    place.append({"Id": "acme", "Name": "new"})
    place.consume(1)
    [letter] = place.letters()
    assert (letter["origin"], letter["source"], letter["event_id"]) == ("door", "salesforce", "door-0")
    refused = place.replay(letter["letter"])
    assert refused.status_code == 409
    assert "it cannot be read yet: SKU1: found" in refused.json()["detail"]
    apply_catalog(place.url, with_mail())
    assert place.replay(letter["letter"]).status_code == 202
    assert place.letters(state="replaying")[0]["letter"] == letter["letter"]
    assert place.consume(1) == ["applied"]
    [held] = rows(place.url, "SELECT name, fields -> 'SignedTos' -> 0 AS signed FROM customer")
    assert (held["name"], held["signed"]) == ("new", True), "what was written since stays, what stood before goes"
    shown = place.web.get(f"/v1/dead-letters/{letter['letter']}")
    assert (shown["state"], shown["last_outcome"], shown["attempts"]) == ("replayed", "applied", 2)
    assert [one["outcome"] for one in shown["replays"]] == ["applied"]
    assert place.web.get("/v1/changes/their-own")["outcome"] == "applied"
    report = verify_store(Settings(database_url=place.url), lambda _: None, lambda _: None)
    assert not report.fault_count, report.faults


def test_a_bad_post_that_dies_in_its_replay_stays_open_and_brings_no_other_letter(place: Place) -> None:
    keep_at_the_door(place.url, b'{"Id":"acme","SystemModstamp":"2999-01-01T00:00:00Z"}', b"\xff", b'{"Id":"acme"}')
    last, unreadable, dies = (one["letter"] for one in place.letters())
    assert place.replay(unreadable).status_code == 409
    assert place.replay(dies).status_code == place.replay(last).status_code == 202
    assert sorted(place.consume(2)) == ["applied", "dead(source_time_in_future)"]
    assert [one["letter"] for one in place.letters(state="open")] == [unreadable, dies]
    [again] = [one for one in place.letters() if one["letter"] == dies]
    assert (again["attempts"], again["last_outcome"]) == (2, "dead(source_time_in_future)")


def test_a_replay_of_a_letter_that_no_door_kept_is_dead(place: Place) -> None:
    keep_at_the_door(place.url, b'{"Id":"acme"}')
    of_the_log = place.log.change({"Id": "acme", "SKU1": "yes"}, partition=1)
    assert place.road.apply(of_the_log) == ["dead(unreadable)"]
    strangers = [place.log.change({"Id": "acme"}, replay_of=f"door/{at}") for at in ("0/999", "1/1", "0/2")]
    assert place.road.apply(*strangers) == ["dead(unknown_original)"] * 3
