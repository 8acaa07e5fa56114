"""The check's store when the store is slow, away or cut off."""

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from licet.domain.errors import Unavailable
from licet.domain.ids import CustomerRef
from licet.store.answers import PostgresAnswers
from licet.store.values import Question
from support.proxy import Proxy, proxied

ACME = Question(None, None, CustomerRef(customer_id="acme"))


@pytest.fixture
def wire(database: str) -> Iterator[tuple[Proxy, str]]:
    with proxied(database) as through:
        yield through


def test_a_connection_that_broke_is_made_anew_within_the_question(wire: tuple[Proxy, str]) -> None:
    proxy, url = wire

    async def scenario() -> None:
        answers = PostgresAnswers(url)
        before = await answers.resolve(ACME)
        proxy.cut()
        assert (await answers.resolve(ACME)).revision == before.revision
        assert (await answers.catalog()).version == 1
        proxy.cut()
        assert (await answers.catalog(1)).version == 1
        await answers.close()

    asyncio.run(scenario())


def test_a_server_that_hangs_without_a_word_costs_the_time_limit_and_then_answers_again(
    wire: tuple[Proxy, str],
) -> None:
    proxy, url = wire

    async def scenario() -> None:
        answers = PostgresAnswers(url, timeout=0.3)
        await answers.resolve(ACME)
        proxy.hold()
        began = time.monotonic()
        results = await asyncio.gather(*(answers.resolve(ACME) for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 5
        assert time.monotonic() - began < 1.5
        proxy.release()
        assert (await answers.resolve(ACME)).named is None
        await answers.close()

    asyncio.run(scenario())


def test_a_query_that_waits_for_a_lock_is_given_up_and_the_connection_kept(database: str) -> None:
    async def scenario() -> None:
        answers = PostgresAnswers(database, timeout=0.3)
        await answers.resolve(ACME)
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE customer IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Unavailable):
                await answers.resolve(ACME)
        assert (await answers.resolve(ACME)).named is None
        await answers.close()

    asyncio.run(scenario())


def test_a_store_that_is_away_is_said_to_be_and_found_when_it_returns(wire: tuple[Proxy, str]) -> None:
    proxy, url = wire

    async def scenario() -> None:
        away = PostgresAnswers("postgresql://nobody@127.0.0.1:1/nothing")
        for _ in range(2):
            with pytest.raises(Unavailable, match="the store does not answer"):
                await away.resolve(ACME)
        await away.close()
        answers = PostgresAnswers(url)
        assert (await answers.resolve(ACME)).catalog_version == 1
        await answers.close()

    assert proxy.port
    asyncio.run(scenario())


def test_a_version_of_the_catalog_that_never_was_is_not_found(database: str) -> None:
    async def scenario() -> None:
        answers = PostgresAnswers(database)
        with pytest.raises(LookupError):
            await answers.catalog(99)
        await answers.close()

    asyncio.run(scenario())


def test_a_store_without_a_catalog_says_what_to_do(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE catalog_version CASCADE")

    async def scenario() -> None:
        answers = PostgresAnswers(database)
        with pytest.raises(LookupError, match="licet migrate"):
            await answers.catalog()
        await answers.close()

    asyncio.run(scenario())


def test_questions_of_all_kinds_in_one_query_get_their_own_answers(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO customer SELECT 'c' || i, NULL, NULL, NULL, false, '{}', 1, 1, 1, now(), now()"
            " FROM generate_series(0, 99) i"
        )
        connection.execute(
            "INSERT INTO customer_alias SELECT 't:' || i, 'c' || i, 'person', 'a', '[2026-01-01,)', '[1,)'"
            " FROM generate_series(0, 99) i"
        )
        connection.execute(
            "INSERT INTO user_membership SELECT 'u' || i, 'c' || i, 'person', 'a', '[2026-01-01,)', '[1,)'"
            " FROM generate_series(0, 99) i"
        )

    def question(number: int) -> Question:
        match number % 3:
            case 0:
                return Question(None, None, CustomerRef(customer_id=f"c{number}"))
            case 1:
                return Question(None, None, CustomerRef(alias=f"t:{number}"))
            case _:
                return Question(f"u{number}", None, None)

    async def scenario() -> None:
        answers = PostgresAnswers(database)
        found = await asyncio.gather(*(answers.resolve(question(number)) for number in range(120)))
        for number, one in enumerate(found):
            expected = [f"c{number}"] if number < 100 else []
            assert [known.customer_id for known in one.customers] == expected
        await answers.close()

    asyncio.run(scenario())
