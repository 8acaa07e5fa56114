"""Keys: new ones work at once, revoked ones stop without a restart, and an absent store changes neither."""

import asyncio
import datetime as dt
import io
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.errors import LicetError, Unauthenticated, Unavailable
from licet.domain.principal import Principal, Scope
from licet.edge import authentication
from licet.edge.authentication import Authenticator
from licet.observe.log import configure
from licet.store.ports import StoredKey, StoreUnavailable
from support.door import NOW
from support.keys import new_key
from support.properties import quick


class Store:
    """The keys of a store that can be away, and counts how often it is asked."""

    def __init__(self, *keys: StoredKey) -> None:
        self.keys = list(keys)
        self.away = False
        self.asked = 0

    async def load(self) -> Sequence[StoredKey]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable
        return list(self.keys)


def authenticator(store: Store, bootstrap_key: str | None = None) -> Authenticator:
    return Authenticator(store.load, clock=lambda: NOW, bootstrap_key=bootstrap_key)


def ask(subject: Authenticator, key: str | None) -> Principal:
    return asyncio.run(subject.authenticate(None if key is None else f"Bearer {key}".encode()))


def refusal(subject: Authenticator, header: bytes | None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        asyncio.run(subject.authenticate(header))
    return caught.value.detail


def test_a_key_names_its_caller_and_its_scopes() -> None:
    key, stored = new_key("billing", "read", "explain", "a-scope-of-a-later-version")
    assert ask(authenticator(Store(stored)), key) == Principal(
        "billing", stored.key_id, frozenset({Scope.READ, Scope.EXPLAIN})
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, "no key: send the header Authorization: Bearer KEY"),
        (b"", "the Authorization header is not of the form Bearer KEY"),
        (b"Bearer", "the Authorization header is not of the form Bearer KEY"),
        (b"Bearer  ", "the Authorization header is not of the form Bearer KEY"),
        (b"Basic dTpw", "the Authorization header is not of the form Bearer KEY"),
        (b"Bearer x", "this key is not of the form licet_<id>_<secret>; `licet keys create` makes one"),
        (b"Bearer licet_a_" + b"x" * 43, "this key is not known"),
    ],
)
def test_each_refusal_says_what_is_wrong(header: bytes | None, said: str) -> None:
    assert refusal(authenticator(Store()), header) == said


def test_the_scheme_is_read_in_any_case() -> None:
    key, stored = new_key()
    subject = authenticator(Store(stored))
    assert asyncio.run(subject.authenticate(f"bEARER  {key} ".encode())).name == "robot"


def test_a_secret_works_with_its_own_id_only() -> None:
    key, stored = new_key()
    other = key.replace(stored.key_id, "0" * 12)
    assert refusal(authenticator(Store(stored)), f"Bearer {other}".encode()) == "this key is not known"


def test_a_key_just_made_works_at_once() -> None:
    async def story() -> None:
        store = Store()
        subject = authenticator(store)
        await subject.refresh()
        key, stored = new_key()
        store.keys.append(stored)
        assert (await subject.authenticate(f"Bearer {key}".encode())).name == "robot"

    asyncio.run(story())


def test_a_flood_of_unknown_keys_hardly_reaches_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        store = Store()
        subject = authenticator(store)
        headers = [f"Bearer {new_key()[0]}".encode() for _ in range(200)]
        refused = await asyncio.gather(*map(subject.authenticate, headers), return_exceptions=True)
        assert all(isinstance(error, Unauthenticated) for error in refused)
        assert store.asked <= 2
        await asyncio.gather(*map(subject.authenticate, headers), return_exceptions=True)
        assert store.asked <= 4

    monkeypatch.setattr(authentication, "LOOK_AGAIN_S", 0.05)
    asyncio.run(story())


def test_a_revoked_key_stops_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        key, stored = new_key()
        store = Store(stored)
        subject = authenticator(store)
        fresh = asyncio.create_task(subject.keep_fresh())
        assert await subject.authenticate(f"Bearer {key}".encode())
        store.keys[:] = [msgspec.structs.replace(stored, revoked_at=NOW)]
        said = ""
        while not said:
            await asyncio.sleep(0.02)
            try:
                await subject.authenticate(f"Bearer {key}".encode())
            except Unauthenticated as error:
                said = error.detail
        assert said == f"the key {stored.key_id} was revoked at 2026-11-23T09:00:00+00:00"
        fresh.cancel()

    monkeypatch.setattr(authentication, "REFRESH_S", 0.02)
    asyncio.run(story())


def test_a_caller_is_remembered_by_the_header_until_the_keys_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_REMEMBERED", 2)
    key, stored = new_key()
    store = Store(stored)
    subject = authenticator(store)
    headers = [f"Bearer{' ' * number}{key}".encode() for number in (1, 2, 3)]
    assert [subject.recall(header) for header in (headers[0], None, b"Bearer other")] == [None] * 3
    callers = [asyncio.run(subject.authenticate(header)) for header in headers]
    assert [subject.recall(header) for header in headers] == [callers[0], callers[1], None]
    with pytest.raises(Unauthenticated):
        asyncio.run(subject.authenticate(b"Bearer other"))
    assert subject.recall(b"Bearer other") is None
    store.away = True
    asyncio.run(subject.refresh())
    assert subject.recall(headers[0]) == callers[0]
    store.away = False
    store.keys = [msgspec.structs.replace(stored, revoked_at=NOW)]
    asyncio.run(subject.refresh())
    assert subject.recall(headers[0]) is None
    assert "was revoked" in refusal(subject, headers[0])


def test_while_the_store_is_away_known_keys_work_and_the_log_says_so_once() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    key, stored = new_key()
    store = Store(stored)
    subject = authenticator(store)
    ask(subject, key)
    store.away = True
    for _ in range(3):
        asyncio.run(subject.refresh())
    assert ask(subject, key).name == "robot"
    with pytest.raises(Unavailable):
        ask(subject, new_key()[0])
    store.away = False
    asyncio.run(subject.refresh())
    lines = stream.getvalue()
    assert lines.count("keys_unreadable") == 1
    assert lines.count("keys_readable") == 1
    assert key not in lines


def test_a_store_that_hangs_is_as_good_as_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> Sequence[StoredKey]:
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(authentication, "LOAD_LIMIT_S", 0.02)
    with pytest.raises(Unavailable):
        ask(Authenticator(hang, clock=lambda: NOW), new_key()[0])


@pytest.mark.parametrize("bootstrap", ["correct-horse-battery", "licet_boot_" + "s" * 43])
def test_the_bootstrap_key_is_an_admin_before_any_store_answers(bootstrap: str) -> None:
    store = Store()
    store.away = True
    subject = authenticator(store, bootstrap)
    assert ask(subject, bootstrap).scopes == {Scope.ADMIN}
    assert store.asked == 0
    with pytest.raises(LicetError):
        ask(subject, bootstrap[:-1])
    with pytest.raises(LicetError):
        ask(subject, bootstrap + "x")
    assert subject.take_used() == {}


def test_who_was_here_is_told_once() -> None:
    key, stored = new_key()
    subject = authenticator(Store(stored))
    ask(subject, key)
    ask(subject, key)
    assert subject.take_used() == {stored.key_id: NOW}
    assert subject.take_used() == {}


def test_a_refused_key_counts_as_unused() -> None:
    key, stored = new_key(revoked_at=NOW - dt.timedelta(days=1))
    subject = authenticator(Store(stored))
    assert "revoked" in refusal(subject, f"Bearer {key}".encode())
    assert subject.take_used() == {}


@quick
@given(st.binary(max_size=80) | st.binary(max_size=60).map(b"Bearer licet_a_".__add__))
def test_any_header_is_refused_and_never_shown(header: bytes) -> None:
    store = Store()
    store.away = True
    with pytest.raises((Unauthenticated, Unavailable)) as caught:
        asyncio.run(authenticator(store, "correct-horse-battery").authenticate(header))
    token = header.partition(b" ")[2].strip()
    assert len(token) < 12 or token.decode("latin-1") not in str(caught.value)
