"""What fields grant, and how one state of a license follows another."""

import datetime as dt
import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.catalog import read_catalog
from licet.domain.fields import Field
from licet.domain.license import Cause, License, Moment, Status, Terms, derive, transition
from support.properties import quick

CATALOG = read_catalog(
    '[skus.S]\nflag = "S"\nfrom = "From"\nuntil = "Until"\nquantity = "Seats"\n[skus.T]\nflag = "T"\n'
)
NO_TERMS = read_catalog('[source]\nterms = "not_required"\n[skus.S]\nflag = "S"\n')
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
IDS = itertools.count(1)


def new_id() -> uuid.UUID:
    return uuid.UUID(int=next(IDS))


def fields(**values: Any) -> dict[str, Field]:
    return {name: Field(value, 1, None, timed=False) for name, value in values.items()}


def held(status: Status, sku: str = "S", **more: Any) -> License:
    return License(
        row=7,
        license_id=new_id(),
        customer_id="acme",
        sku=sku,
        terms=Terms(status, **more),
        valid_from=NOON,
        recorded_from=1,
        opened_by=Cause(delivery=1),
    )


def status_of(said: dict[str, Field], before: Status | None = None, *, deleted: bool = False) -> Status | None:
    rows = {"S": held(before)} if before else {}
    terms = derive(said, CATALOG, deleted=deleted, before=rows).get("S")
    return terms.status if terms else None


@pytest.mark.parametrize(
    ("flag", "signed", "before", "status"),
    [
        (True, True, None, Status.ACTIVE),
        (True, False, None, Status.PENDING_TERMS),
        (True, None, None, Status.PENDING_TERMS),
        (True, False, Status.PENDING_TERMS, Status.PENDING_TERMS),
        (True, True, Status.PENDING_TERMS, Status.ACTIVE),
        (True, False, Status.ACTIVE, Status.SUSPENDED),
        (True, False, Status.SUSPENDED, Status.SUSPENDED),
        (True, True, Status.SUSPENDED, Status.ACTIVE),
        (True, False, Status.ENDED, Status.PENDING_TERMS),
        (True, True, Status.ENDED, Status.ACTIVE),
        (False, True, None, None),
        (False, True, Status.ACTIVE, Status.ENDED),
        (False, False, Status.SUSPENDED, Status.ENDED),
        (False, True, Status.ENDED, Status.ENDED),
        (None, True, None, None),
        (None, True, Status.ACTIVE, None),
    ],
)
def test_a_flag_and_the_terms_say_what_a_license_is(
    flag: bool | None, signed: bool | None, before: Status | None, status: Status | None
) -> None:
    assert status_of(fields(S=flag, SignedTos=signed), before) is status


def test_where_no_terms_are_required_a_flag_is_enough() -> None:
    assert derive(fields(S=True), NO_TERMS, deleted=False, before={})["S"].status is Status.ACTIVE


def test_a_deleted_customer_s_licenses_end_also_those_of_skus_that_the_catalog_has_dropped() -> None:
    before = {"S": held(Status.ACTIVE), "OLD": held(Status.ACTIVE, "OLD", quantity=3)}
    wanted = derive(fields(S=True, SignedTos=True, T=True), CATALOG, deleted=True, before=before)
    assert {sku: terms.status for sku, terms in wanted.items()} == {"S": Status.ENDED, "OLD": Status.ENDED}
    assert wanted["OLD"].quantity == 3


def test_a_license_that_ends_keeps_what_it_said() -> None:
    before = {"S": held(Status.ACTIVE, quantity=5, ends_at=NOON)}
    wanted = derive(fields(S=False, Seats=9, Until=None), CATALOG, deleted=False, before=before)
    assert wanted["S"] == Terms(Status.ENDED, None, NOON, 5)


def test_start_end_and_quantity_come_from_their_fields() -> None:
    said = fields(S=True, SignedTos=True, From="2026-01-01", Until="2026-12-31", Seats=50)
    first, end = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert derive(said, CATALOG, deleted=False, before={})["S"] == Terms(Status.ACTIVE, first, end, 50)


def moment(minutes: int, revision: int = 2, delivery: int = 9) -> Moment:
    return Moment(NOON + dt.timedelta(minutes=minutes), revision, Cause(delivery=delivery))


def test_a_first_license_opens_one_row() -> None:
    step = transition(None, "acme", "S", Terms(Status.ACTIVE), moment(5), new_id)
    assert step is not None
    assert step.past is step.closes is None
    assert (step.opened.valid_from, step.opened.recorded_from) == (NOON + dt.timedelta(minutes=5), 2)
    assert step.opened.opened_by == Cause(delivery=9)


def test_a_license_that_is_there_already_does_not_move() -> None:
    assert transition(held(Status.ACTIVE), "acme", "S", Terms(Status.ACTIVE), moment(5), new_id) is None


def test_a_transition_closes_what_was_believed_and_keeps_a_copy_cut_where_the_next_row_begins() -> None:
    before = held(Status.ACTIVE)
    step = transition(before, "acme", "S", Terms(Status.SUSPENDED), moment(5), new_id)
    assert step is not None
    assert step.closes == before
    assert step.past is not None
    assert step.past.row is None
    assert (step.past.valid_from, step.past.valid_to) == (NOON, step.opened.valid_from)
    assert step.past.recorded_from == step.opened.recorded_from == 2
    assert step.past.opened_by == before.opened_by
    assert step.past.closed_by == step.opened.opened_by == Cause(delivery=9)
    assert step.past.license_id == step.opened.license_id == before.license_id


def test_a_row_opened_in_the_same_revision_is_cut_in_place() -> None:
    first = transition(None, "acme", "S", Terms(Status.ACTIVE), moment(1), new_id)
    assert first is not None
    step = transition(first.opened, "acme", "S", Terms(Status.ENDED), moment(2), new_id)
    assert step is not None
    assert step.closes is None
    assert step.past is not None
    assert step.past.valid_to == step.opened.valid_from


def test_what_would_not_follow_the_row_before_moves_forward() -> None:
    before = held(Status.ACTIVE)
    for minutes in (0, -5):
        step = transition(before, "acme", "S", Terms(Status.ENDED), moment(minutes), new_id)
        assert step is not None
        assert step.opened.valid_from == NOON + TICK


def test_a_license_that_ended_and_is_sold_again_is_another_one() -> None:
    before = held(Status.ENDED)
    step = transition(before, "acme", "S", Terms(Status.ACTIVE), moment(5), new_id)
    assert step is not None
    assert step.past is not None
    assert step.past.license_id == before.license_id != step.opened.license_id


terms = st.builds(Terms, st.sampled_from(Status), quantity=st.sampled_from([None, 1, 2]))


@quick
@given(st.lists(st.tuples(terms, st.integers(-3, 3)), max_size=10))
def test_the_rows_of_any_history_tile_time_and_tell_it_in_order(told: list[tuple[Terms, int]]) -> None:
    past: list[License] = []
    open_: License | None = None
    for revision, (wanted, minutes) in enumerate(told, 1):
        step = transition(open_, "acme", "S", wanted, moment(minutes, revision, revision), new_id)
        assert (step is None) == (open_ is not None and open_.terms == wanted)
        if step is not None:
            past += [step.past] if step.past else []
            open_ = step.opened
    rows = [*past, *([open_] if open_ else [])]
    assert [row.terms for row in rows] == [wanted for wanted, _ in itertools.groupby(told, key=lambda one: one[0])]
    for one, two in itertools.pairwise(rows):
        assert one.valid_from < two.valid_from == one.valid_to
        assert one.closed_by == two.opened_by
        again = one.terms.status is Status.ENDED
        assert (one.license_id != two.license_id) == again
