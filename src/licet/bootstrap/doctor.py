"""A check-up: settings, database, clock, schema, catalog, keys, door, queue, workers; what is wrong and what to do."""

import enum
from collections.abc import Iterator

import msgspec
import psycopg

from licet.bootstrap.queue import build_survey, queue_name
from licet.bootstrap.store import check_address, check_store, utc_now
from licet.domain.errors import ConfigurationError, SchemaDiffers
from licet.queue.ports import LogUnavailable
from licet.settings import Settings
from licet.store.vitals import Vitals, reach, read_progress, read_vitals

OLDEST_POSTGRES = 150000
# Clocks apart by more: a signed webhook is refused at 300 s, and times in history are told wrong before.
APART_S, FAR_APART_S = 2.0, 60.0
# A worker says four times a second how far it is.
SILENT_S = 10.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class State(enum.StrEnum):
    """How it stands. ``bad``: something does not work; ``warn``: it works, and somebody should look."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: what was found, and what to do where that is not right."""

    what: str
    state: State
    found: str
    todo: str | None = None


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other; what cannot be looked at because of what came before is left out."""
    yield Finding("settings", State.OK, f"{sum(bool(value) for _, value, _ in settings.listing())} have a value")
    try:
        check_address(settings)
        reached = reach(settings.database_url)
    except ConfigurationError as error:
        yield Finding("database", State.BAD, error.detail, "set LICET_DATABASE_URL")
        return
    except psycopg.OperationalError as error:
        todo = "start PostgreSQL, or correct host, user, password or database in LICET_DATABASE_URL"
        yield Finding("database", State.BAD, " ".join(str(error).split()), todo)
        return
    version = f"PostgreSQL {reached.server_version // 10000}, answers in {reached.round_trip_s * 1000:.1f} ms"
    old = reached.server_version < OLDEST_POSTGRES
    yield _found("database", State.BAD if old else State.OK, version, "PostgreSQL 15 or newer is needed")
    yield _clock(reached.ahead_s)
    try:
        check_store(settings)
    except SchemaDiffers as error:
        yield Finding("schema", State.BAD, error.found, error.todo)
        return
    except ConfigurationError as error:
        yield Finding("schema", State.BAD, error.detail, "look at PostgreSQL")
        return
    yield Finding("schema", State.OK, "at this release's")
    vitals = read_vitals(settings.database_url)
    yield from _store(settings, vitals)
    yield from _queue(settings, vitals)


def _found(what: str, state: State, found: str, todo: str) -> Finding:
    """Tell what to do only where something is."""
    return Finding(what, state, found, todo if state is not State.OK else None)


def _clock(ahead_s: float) -> Finding:
    apart_s = abs(ahead_s)
    state = State.OK if apart_s < APART_S else State.BAD if apart_s > FAR_APART_S else State.WARN
    found = f"the database's is {apart_s:.2f} s {'ahead' if ahead_s > 0 else 'behind'}"
    return _found("clock", state, found, "let both machines follow a time server")


def _store(settings: Settings, vitals: Vitals) -> Iterator[Finding]:
    reached = vitals.catalog_reached or vitals.catalog_version == 1
    found = f"version {vitals.catalog_version}, {vitals.customers} customers"
    found += "" if reached else ", not all of which it has reached"
    yield _found("catalog", State.OK if reached else State.WARN, found, "run `licet catalog apply` again")
    if vitals.keys or settings.bootstrap_api_key:
        yield Finding("keys", State.OK, f"{vitals.keys} in use")
    else:
        yield Finding("keys", State.BAD, "none: nobody can ask", "run `licet keys create NAME --scope read`")
    yield _door(settings, vitals)


def _door(settings: Settings, vitals: Vitals) -> Finding:
    if settings.webhook_auth == "none":
        if settings.host in _LOOPBACK:
            return Finding("door", State.OK, "anyone may post, from this machine alone")
        return Finding("door", State.WARN, "anyone may post", "set LICET_WEBHOOK_AUTH=required")
    if settings.webhook_secrets or vitals.may_post or settings.bootstrap_api_key:
        signed = f", or a signature by one of {len(settings.webhook_secrets)}" if settings.webhook_secrets else ""
        return Finding("door", State.OK, f"who has a key with the scope ingest{signed}, may post")
    todo = "set LICET_WEBHOOK_SECRETS, or run `licet keys create NAME --scope ingest`"
    return Finding("door", State.BAD, "no secret and no key with the scope ingest: nobody can post", todo)


def _queue(settings: Settings, vitals: Vitals) -> Iterator[Finding]:
    try:
        log, extents = build_survey(settings).extents()
    except ConfigurationError as error:
        yield Finding("queue", State.BAD, error.detail, "correct that setting of librdkafka's")
    except LogUnavailable as error:
        yield Finding("queue", State.BAD, str(error), error.todo or "look at the broker")
    else:
        yield Finding("queue", State.OK, f"{queue_name(settings)}: {len(extents)} partitions")
        progress = read_progress(settings.database_url, log)
        behind = sum(max(0, extent.end - progress.get(one, (extent.first, None))[0]) for one, extent in extents.items())
        spoke = max((at for _, at in progress.values() if at is not None), default=None)
        silent = (utc_now() - spoke).total_seconds() if spoke is not None else None
        found = f"{behind} changes to apply; " + ("none has spoken" if silent is None else f"spoke {silent:.0f} s ago")
        idle = silent is None or silent > SILENT_S
        state = State.OK if not idle else State.BAD if behind else State.WARN
        yield _found("workers", state, found, "start `licet worker`")
    if vitals.spooling:
        yield Finding("spool", State.WARN, "open: changes wait for Kafka in PostgreSQL", "look at the broker")
    if vitals.stopped:
        yield Finding("partitions", State.BAD, f"{vitals.stopped} stopped", "run `licet partition show`")
    letters = State.WARN if vitals.letters else State.OK
    yield _found("dead letters", letters, f"{vitals.letters} open", "run `licet dead list`")
