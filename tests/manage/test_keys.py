"""API keys: made, shown once, revoked."""

import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from licet.bootstrap.web import build_web
from licet.domain.errors import InvalidInput, NotFound
from licet.manage.keys import Keys
from licet.settings import Settings
from support.asgi import request
from support.web import Stage
from support.world import TESTER, rows

T = TypeVar("T")


def test_a_new_key_opens_what_its_scopes_say_and_nothing_else(there: Stage) -> None:
    reader = there.web.key("reader", "read")
    assert there.web.ask("GET", "/v1/skus", key=reader).status_code == 200
    writer = there.web.key("writer", "write")
    assert there.web.ask("GET", "/v1/skus", key=writer).status_code == 403
    admin = there.web.key("boss", "admin")
    assert there.web.ask("GET", "/v1/skus", key=admin).status_code == 200


def test_a_revoked_key_no_longer_opens_anything(there: Stage) -> None:
    key = there.web.key("shortlived", "read")
    assert there.web.ask("GET", "/v1/skus", key=key).status_code == 200
    there.web.run(lambda keys: keys.revoke(key.split("_")[1], TESTER))
    there.web.forget_keys()
    assert there.web.ask("GET", "/v1/skus", key=key).status_code == 401


def test_the_store_never_sees_a_secret(there: Stage) -> None:
    created = there.web.run(lambda keys: keys.create("quiet", ["read", "write"], TESTER))
    match = re.fullmatch(r"licet_([a-z0-9]{10})_([A-Za-z0-9]{43})", created.token)
    assert match is not None
    (row,) = rows(there.url, "SELECT *, k::text AS whole FROM api_key k WHERE key_id = %(id)s", id=match[1])
    assert match[2] not in row["whole"]
    assert match[2].encode() not in bytes(row["hash"])
    assert match[2] not in repr(created)
    assert (row["name"], row["author"], sorted(row["scopes"])) == ("quiet", "a test", ["read", "write"])


def test_keys_are_listed_the_oldest_first_with_the_moment_they_ended(there: Stage) -> None:
    first = there.web.run(lambda keys: keys.create("list-1", ["read"], TESTER)).key
    second = there.web.run(lambda keys: keys.create("list-2", ["read"], TESTER)).key
    ended = there.web.run(lambda keys: keys.revoke(first.key_id, TESTER))
    again = there.web.run(lambda keys: keys.revoke(first.key_id, TESTER))
    assert ended.revoked_at is not None
    assert ended.revoked_at == again.revoked_at
    listed = [key for key in there.web.run(lambda keys: keys.all()) if key.name.startswith("list-")]
    assert [(key.key_id, key.revoked_at) for key in listed] == [
        (first.key_id, ended.revoked_at),
        (second.key_id, None),
    ]


def test_the_last_use_of_a_key_only_moves_forward(there: Stage) -> None:
    key = there.web.run(lambda keys: keys.create("used", ["read"], TESTER)).key
    early, late = (dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 2))
    for moment in (late, early):
        there.web.runner.run(there.web.keys.touch({key.key_id: moment}))
    there.web.runner.run(there.web.keys.touch({}))
    listed = there.web.run(lambda keys: keys.all())
    assert next(one.last_used_at for one in listed if one.key_id == key.key_id) == late


def test_the_last_use_is_written_when_the_web_process_ends(there: Stage) -> None:
    made = there.web.run(lambda keys: keys.create("last", ["read"], TESTER))
    before = dt.datetime.now(dt.UTC)

    async def serve_once() -> None:
        web = build_web(Settings(database_url=there.url))
        async with web.running():
            asked = [("authorization", f"Bearer {made.token}")]
            answer = await request(web.app, method="GET", path="/v1/check", headers=asked)
            assert answer is not None
            assert answer.status == 422  # the key is known, the question lacks its words

    there.web.runner.run(serve_once())
    listed = there.web.run(lambda keys: keys.all())
    used = next(one.last_used_at for one in listed if one.key_id == made.key.key_id)
    assert used is not None
    assert used >= before


def test_a_key_that_does_not_exist_cannot_be_revoked(there: Stage) -> None:
    with pytest.raises(NotFound, match="keys list"):
        there.web.run(lambda keys: keys.revoke("nothing", TESTER))


@pytest.mark.parametrize(
    ("name", "scopes", "fields"),
    [
        ("", ["read"], ["name"]),
        ("a\nb", ["read"], ["name"]),
        ("x" * 101, ["read"], ["name"]),
        ("fine", [], ["scopes"]),
        ("fine", ["read", "root"], ["scopes"]),
        ("", ["root"], ["scopes", "name"]),
    ],
)
def test_a_key_without_a_name_or_with_an_unknown_scope_is_not_made(
    there: Stage, name: str, scopes: list[str], fields: list[str]
) -> None:
    create: Callable[[Keys], Awaitable[object]] = lambda keys: keys.create(name, scopes, TESTER)  # noqa: E731
    with pytest.raises(InvalidInput) as caught:
        there.web.run(create)
    assert [fault.field for fault in caught.value.faults] == fields
