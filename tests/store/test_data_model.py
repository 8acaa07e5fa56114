"""The page on the data model tells the truth: its example, its questions, its list of tables and outcomes."""

import pathlib
import re

from licet.domain.filter import INAPPLICABLE, OUTCOMES, UNREADABLE
from support.world import Log, Road, rows

PAGE = (pathlib.Path(__file__).parents[2] / "docs/reference/data-model.md").read_text()


def span(text: str) -> str:
    """Write a range as the page does: without date and seconds, and with an open end."""
    times = re.sub(r'"\d{4}-\d\d-\d\d (\d\d:\d\d):00\+00"', r"\1", text)
    return times.replace(",", ", ").replace(", )", ", ∞)")


def cause(delivery: int | None) -> str:
    return f"delivery {delivery}" if delivery is not None else "none"


def test_the_example_of_the_two_times_is_what_a_run_leaves_behind(database: str) -> None:
    log = Log()
    road = Road(database, log.name)
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True, "SystemModstamp": "2026-03-01T10:00:00Z"}))
    road.apply(log.change({"Id": "acme", "SKU1": False, "SystemModstamp": "2026-03-01T11:00:00Z"}))
    road.close()
    told = [
        f"| {row['row_id']} | {row['status']} | {span(row['valid'])} | {span(row['recorded'])} "
        f"| delivery {row['opened_delivery']} | {cause(row['closed_delivery'])} |"
        for row in rows(database, "SELECT *, valid::text, recorded::text FROM license ORDER BY row_id")
    ]
    assert re.findall(r"^(\| \d \|.*?\|) [a-z ,:0-9]* \|$", PAGE, re.MULTILINE | re.IGNORECASE) == told


def test_the_questions_of_the_page_can_be_asked(database: str) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    questions = [question for question in block.split(";") if question.strip()]
    assert len(questions) >= 4
    for question in questions:
        assert rows(database, question) == []


def test_the_page_names_every_table_and_every_outcome(database: str) -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    tables = rows(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
        " AND relname <> 'schema_migration'",
    )
    assert {row["relname"] for row in tables} - named == set()
    outcomes = {word for one in (*OUTCOMES, UNREADABLE, INAPPLICABLE) for word in (one.kind.value, one.reason) if word}
    assert outcomes - named == set()


def test_every_table_and_view_says_what_it_is(database: str) -> None:
    silent = rows(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
        " AND obj_description(oid, 'pg_class') IS NULL",
    )
    assert silent == []
