"""As-of times known-at agrees with a model that keeps every state of the world and looks it up, written down naively.

``LICET_TEST_HISTORIES=1000`` tries a thousand histories in all; a small number runs by itself.
"""

import asyncio
import datetime as dt
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from history.naive import BASE, CATALOGS, UNTIL, Belief, Fact, Naive, answer_of, nearest
from licet.answer.catalogs import Catalogs
from licet.answer.history import History
from licet.domain.decision import Asked
from licet.domain.ids import CustomerRef
from licet.domain.principal import Principal
from licet.manage.directory import Directory
from licet.store.catalog_reader import PostgresCatalogReader
from licet.store.customers import PostgresCustomers
from licet.store.directory import PostgresDirectory
from licet.store.history import PostgresHistory
from licet.store.overrides import PostgresOverrides, Stored, Wanted
from licet.store.past import When
from licet.store.pools import reader_pool, writer_pool
from licet.store.values import NameKind
from support.web import fresh_database
from support.world import TESTER, Log, Road, apply_catalog, reader

HISTORIES = int(os.environ.get("LICET_TEST_HISTORIES", "25"))


class Bench:
    """One database for all histories; each has names of its own. Revisions and their times are read from the store."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.url = url
        self.runner = runner
        self.log = Log()
        self.road = Road(url, self.log.name)
        self.readers, self.writers = reader_pool(url, 1), writer_pool(url, 1)
        for pool in (self.readers, self.writers):
            runner.run(pool.open())
        catalogs = Catalogs(PostgresCatalogReader(self.readers))
        self.history = History(
            PostgresHistory(self.readers),
            PostgresCustomers(self.readers),
            catalogs,
            clock=lambda: dt.datetime.now(dt.UTC),
        )
        self.directory = Directory(PostgresDirectory(self.writers))
        self.overrides = PostgresOverrides(self.writers)
        self.catalog = ""
        self.reader = reader(url)
        self.use("narrow")
        # As if it had been there when the histories begin; later versions hold from when they are applied.
        for version, since, till in ((1, 2019, 2020), (2, 2020, None)):
            self.reader.execute(
                "UPDATE catalog_version SET valid = tstzrange(%s, %s) WHERE version = %s",
                (f"{since}-01-01", f"{till}-01-01" if till else None, version),
            )

    def ask(self, query: str, **said: Any) -> list[dict[str, Any]]:
        return self.reader.execute(query.encode(), said).fetchall()

    def head(self) -> tuple[int, dt.datetime]:
        (row,) = self.ask("SELECT revision, recorded_at FROM revision_log ORDER BY revision DESC LIMIT 1")
        return row["revision"], row["recorded_at"]

    def use(self, name: str) -> None:
        if name != self.catalog:
            apply_catalog(self.url, CATALOGS[name])
            self.catalog = name

    def close(self) -> None:
        self.reader.close()
        self.road.close()
        for pool in (self.readers, self.writers):
            self.runner.run(pool.close())


@pytest.fixture(scope="module")
def bench(postgres: str, template: str) -> Iterator[Bench]:
    with fresh_database(postgres, template) as url, asyncio.Runner() as runner:
        built = Bench(url, runner)
        yield built
        built.close()


STEP = st.one_of(
    st.tuples(
        st.just("deal"), st.integers(0, 1), st.sampled_from("AB"), st.booleans(), st.integers(0, 48), st.booleans()
    ),
    st.tuples(st.sampled_from(["user", "domain", "alias"]), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("catalog"), st.sampled_from(["narrow", "wide"])),
    st.tuples(st.just("fate"), st.integers(0, 1), st.booleans()),
    st.tuples(
        st.sampled_from(["make", "make", "make", "end"]),  # making it once more puts it in the place of the one before
        st.integers(0, 1),
        st.integers(0, 1),
        st.sampled_from(["A", "B", "feature:mail", "feature:extra"]),
        st.sampled_from(["grant", "block"]),
        st.sampled_from([None, 3, 7]),
        st.sampled_from(["override", "trial"]),
        st.sampled_from([(-1, 1), (-1, 2), (1, 3), (-2, -1)]),
    ),
)


# Half of all begin with a license that ends, so that its grace meets what comes then, most of all a deletion.
LAPSE = st.tuples(st.integers(0, 11), st.integers(12, 31), st.booleans(), st.booleans()).map(
    lambda said: [
        ("deal", 0, "A", True, said[0], said[2]),
        ("deal", 0, "A", False, said[1], False),
        *([("fate", 0, True)] if said[3] else []),
    ]
)


@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(begin=st.just([]) | LAPSE, steps=st.lists(STEP, min_size=1, max_size=8), data=st.data())
def test_any_moment_is_answered_as_the_naive_model_answers_it(
    bench: Bench, begin: list[tuple[Any, ...]], steps: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    play = Play(bench)
    for number, step in enumerate(begin + steps):
        play.take(step, number)
    head, _ = bench.head()
    moments = [BASE + dt.timedelta(hours=hours) for hours in (-1, 0, 12, 29, 31, 49, 53, 65, 90)] + play.between
    moments += [play.between[0] + dt.timedelta(hours=hours) for hours in (1.5, 2.5, 9)]  # overrides will have run out
    for _ in range(12):
        as_of = data.draw(st.sampled_from([None, *moments]), "as_of")
        known = data.draw(st.sampled_from([None, *play.revisions, *play.between]), "known_at")
        feature = data.draw(st.sampled_from(["mail", "extra"]), "feature")
        who = data.draw(st.sampled_from(play.names()), "who")
        told = bench.runner.run(bench.history.check(Asked(feature, *who), When(as_of, known)))
        expected = play.answer(feature, who, as_of, known, head)
        assert (told.reason.value, told.value, told.customer if told.allowed else None) == expected


class Play:
    """One history, played on the store and written down in the model."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        mark = uuid.uuid4().hex[:12]
        self.customers = [f"{mark}-0", f"{mark}-1"]
        self.user, self.domain, self.alias = f"{mark}|u", f"{mark}.example", f"tenant:{mark}"
        self.model = Naive()
        self.field_times: dict[tuple[int, str], int] = {}
        self.until: dict[int, bool] = {0: False, 1: False}
        self.flags: dict[tuple[int, str], bool] = {}
        self.made: dict[int, Stored] = {}
        bench.use("narrow")
        revision, at = bench.head()
        self.model.add(("catalog",), at, "narrow", revision)
        self.revisions = [revision]
        self.times = {revision: at}
        self.between: list[dt.datetime] = [self.now()]
        for number in (0, 1):
            bench.road.apply(bench.log.change({"Id": self.customers[number]}, received=BASE))
            self.note(("known", str(number)), None, True)

    def now(self) -> dt.datetime:
        """A time after all that was written and before all that will be, by the store's clock."""
        (row,) = self.bench.ask("SELECT clock_timestamp() AS at")
        at: dt.datetime = row["at"]
        return at

    def note(self, subject: tuple[str, ...] | None, since: dt.datetime | None, value: Any) -> None:
        revision, at = self.bench.head()
        if subject is not None:
            self.model.add(subject, since or at, value, revision)
        if revision not in self.times:
            self.revisions.append(revision)
            self.times[revision] = at
        self.between.append(self.now())

    def take(self, step: tuple[Any, ...], number: int) -> None:
        match step:
            case ("deal", customer, sku, on, hours, ends):
                self.deal(customer, sku, on, hours, number, ends=ends)
            case ("catalog", name):
                self.bench.use(name)
                (row,) = self.bench.ask(
                    "SELECT lower(recorded) AS r, lower(valid) AS v FROM catalog_version WHERE upper_inf(recorded)",
                )
                if row["r"] not in self.times and row["r"] > self.revisions[-1]:
                    self.model.add(("catalog",), row["v"], name, row["r"])
                    self.revisions.append(row["r"])
                    self.times[row["r"]] = row["v"]
                    self.between.append(self.now())
            case ("fate", customer, deleted):
                self.fate(customer, number, deleted=deleted)
            case ("make", slot, customer, *said):
                self.make(slot, customer, *said)
            case ("end", slot, *_):
                self.end(slot)
            case (kind, customer, give):
                self.name(kind, customer, give=give)

    def deal(self, customer: int, sku: str, on: bool, hours: int, number: int, *, ends: bool) -> None:
        """A field whose stored time is newer stays; the state is true from the earlier of both times."""
        key = (customer, sku)
        source = BASE + dt.timedelta(hours=hours, seconds=number)
        received = BASE + dt.timedelta(hours=40, minutes=number)
        payload = {"Id": self.customers[customer], sku: on, "SystemModstamp": source.isoformat()}
        if ends and sku == "A":
            payload["Until"] = UNTIL.isoformat()
        self.bench.road.apply(self.bench.log.change(payload, received=received))
        if self.model.at(("deleted", str(customer)), None, 2**62):
            self.note(None, None, None)
            return  # a tombstone takes nothing
        since = min(source, received)
        stamp = hours * 3600 + number
        late = self.field_times.get(key, -1) > stamp
        if ends and sku == "A" and self.field_times.get((customer, "Until"), -1) <= stamp:
            self.field_times[customer, "Until"] = stamp
            self.until[customer] = True
        if not late:
            self.field_times[key] = stamp
            self.flags[key] = on
        was = self.model.at(("license", str(customer), sku), None, 2**62)
        until = UNTIL if sku == "A" and self.until[customer] else None
        now = self.flags.get(key)
        state = was if now is None else ("active", until) if now else (("ended", until) if was else None)
        if state and not now and was:
            state = ("ended", was[1])
        if state != was:
            self.note(("license", str(customer), sku), since, state)
        else:
            self.note(None, None, None)

    def fate(self, customer: int, number: int, *, deleted: bool) -> None:
        """A deletion ends all; who lives again has what the kept fields say. Always newer than what was said before."""
        source, since = BASE + dt.timedelta(hours=50, minutes=number), BASE + dt.timedelta(hours=40, minutes=number)
        payload = {"Id": self.customers[customer], "IsDeleted": deleted, "SystemModstamp": source.isoformat()}
        self.bench.road.apply(self.bench.log.change(payload, received=since))
        self.note(None, None, None)
        if bool(self.model.at(("deleted", str(customer)), None, 2**62)) == deleted:
            return
        revision, _ = self.bench.head()
        self.model.add(("deleted", str(customer)), since, deleted, revision)
        for sku in "AB":
            license_ = ("license", str(customer), sku)
            was, until = self.model.at(license_, None, 2**62) or (None, None)
            if deleted and was == "active":
                self.model.add(license_, since, ("ended", until), revision)
            elif not deleted and self.flags.get((customer, sku)):
                self.model.add(
                    license_, since, ("active", UNTIL if sku == "A" and self.until[customer] else None), revision
                )

    def make(
        self, slot: int, customer: int, what: str, effect: Any, value: float | None, kind: Any, window: tuple[int, int]
    ) -> None:
        """What counts from when on is the store's clock, which no test can set."""
        before = self.made.get(slot)
        starts, ends = (self.between[0] + dt.timedelta(hours=hours) for hours in window)
        feature = what.removeprefix("feature:") if what.startswith("feature:") else None
        wanted = Wanted(
            sku=what if feature is None else None,
            feature=feature,
            effect=effect,
            kind=kind,
            value=value if feature is not None and effect == "grant" else None,
            starts_at=starts,
            ends_at=ends,
            reason="a test",
        )
        put = self.bench.overrides.put(
            before.override_id if before is not None else uuid.uuid4(),
            CustomerRef(customer_id=self.customers[customer]),
            wanted,
            TESTER,
            before.version if before is not None else None,
            lambda _: None,
        )
        stored, _ = self.bench.runner.run(put)
        self.made[slot] = stored
        self.note(("override", str(slot)), stored.since, (customer, what, wanted))

    def end(self, slot: int) -> None:
        one = self.made.pop(slot, None)
        if one is None:
            return
        self.bench.runner.run(self.bench.overrides.end(one.override_id, TESTER, "over", one.version, lambda _: None))
        (row,) = self.bench.ask(
            "SELECT upper(valid) AS at FROM override WHERE override_id = %(id)s AND ended_by IS NOT NULL",
            id=one.override_id,
        )
        self.note(("override", str(slot)), row["at"], None)

    def name(self, kind: str, customer: int, *, give: bool) -> None:
        """An alias names one customer: another's is taken first."""
        caller = Principal("a test", "key", frozenset())
        what = {"user": NameKind.MEMBER, "domain": NameKind.DOMAIN, "alias": NameKind.ALIAS}[kind]
        name = {"user": self.user, "domain": self.domain, "alias": self.alias}[kind]
        other = 1 - customer
        if kind == "alias" and give and self.model.at(("alias", str(other)), None, 2**62):
            self.bench.runner.run(self.bench.directory.delete(what, self.customers[other], name, caller))
            self.note(("alias", str(other)), self.clock("customer_alias", other), False)
        if bool(self.model.at((kind, str(customer)), None, 2**62)) == give:
            return
        act = self.bench.directory.put if give else self.bench.directory.delete
        self.bench.runner.run(act(what, self.customers[customer], name, caller))
        table = {"user": "user_membership", "domain": "customer_domain", "alias": "customer_alias"}[kind]
        self.note((kind, str(customer)), self.clock(table, customer), give)

    def clock(self, table: str, customer: int) -> dt.datetime:
        """When the store says that the last change of a name was: its own clock, which no test can set."""
        (row,) = self.bench.ask(
            f"SELECT coalesce(upper(valid), lower(valid)) AS at FROM {table} WHERE customer_id = %(id)s"
            " AND upper_inf(recorded) ORDER BY lower(valid) DESC LIMIT 1",
            id=self.customers[customer],
        )
        at: dt.datetime = row["at"]
        return at

    def names(self) -> list[tuple[str | None, str | None]]:
        who: list[tuple[str | None, str | None]] = [(None, one) for one in (*self.customers, self.alias)]
        return [*who, (self.user, None), (f"ada@{self.domain}", None), (self.user, self.customers[0])]

    def answer(
        self,
        feature: str,
        who: tuple[str | None, str | None],
        as_of: dt.datetime | None,
        known: int | dt.datetime | None,
        head: int,
    ) -> tuple[str, Any, str | None]:
        """Answer from the facts, by the definition of both times."""
        if isinstance(known, dt.datetime):
            revision = max((one for one, at in self.times.items() if at <= known), default=0)
        else:
            revision = known if known is not None else head
        at = self.times[max(one for one in self.times if one <= revision)]
        clock = as_of or (known if isinstance(known, dt.datetime) else at if known is not None else self.now())
        read = None if as_of is None or as_of >= at else as_of

        def fact(*subject: str) -> Belief | None:
            return self.model.fact(subject, read, revision)

        numbers = self.meant(who, fact, revision)
        if isinstance(numbers, str):
            return numbers, None, None
        version = fact("catalog")
        catalog = version.value if version is not None else "narrow"
        best = min((answer_of(self.customers[one], one, feature, catalog, fact, clock) for one in numbers), key=nearest)
        return best.reason, best.value, best.customer

    def meant(self, who: tuple[str | None, str | None], fact: Fact, revision: int) -> set[int] | str:
        """Return the customers that the question is about, or that whom it names is unknown."""

        def among(kind: str) -> set[int]:
            held = {number: fact(kind, str(number)) for number in (0, 1)}
            return {number for number, one in held.items() if one is not None and one.value}

        user, named = who
        if named is None:
            return among("user" if user == self.user else "domain") or "unknown_user"
        if user is not None and not among("user"):
            return "unknown_user"
        known = {one for one in (0, 1) if self.model.at(("known", str(one)), None, revision)}
        target = known & (among("alias") if named == self.alias else {self.customers.index(named)})
        if not target:
            return "unknown_customer"
        return target if user is None or target & among("user") else "unknown_user"
