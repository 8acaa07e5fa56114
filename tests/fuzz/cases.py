"""The cases: the whole API by its own document, the door by bodies and signatures."""

import base64
import dataclasses
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from consume.deliveries import RUBBISH
from fuzz.target import CUSTOMERS, KNOWN, SECRET, Target

# Whatever takes longer hangs.
LIMIT_S = 10.0
AnyCase = Case[Any]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# What an answer must include; a revision or an event that never comes ends in a 503 that says so.
WAITED_FOR = ("min_revision", "after_event")
DOOR = {202, 400, 401, 413, 415, 422}


@dataclasses.dataclass
class Count:
    """What was asked, and how it was answered."""

    cases: int = 0
    statuses: Counter[int] = dataclasses.field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = dataclasses.field(default_factory=list)

    @property
    def authenticated(self) -> int:
        return self.cases - self.statuses[401]

    def note(self, answer: requests.Response, seconds: float) -> None:
        self.cases += 1
        self.statuses[answer.status_code] += 1
        self.slowest = max(self.slowest, seconds)


def try_out(strategy: st.SearchStrategy[Any], ask: Callable[[Any], None], cases: int, seed: int) -> str | None:
    """Ask so many cases of a strategy; returns the smallest that fails, in words."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
        report_multiple_bugs=False,
    )
    @hypothesis.given(strategy)
    def run(case: Any) -> None:
        ask(case)

    try:
        run()
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 it is told with all others
        return f"{type(error).__name__}: {error}\n" + "\n".join(getattr(error, "__notes__", ()))
    return None


def fuzz_api(target: Target, count: Count, cases: int, seed: int) -> None:
    """Ask every operation of the document, with what fits it and with what does not, with every kind of key."""
    schema = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 10, "the document could not be read"
    share = max(2, cases // (2 * len(operations)))
    with requests.Session() as session:
        for operation in operations:
            for mode in GenerationMode:
                strategy = st.tuples(_cases(operation, mode), _credentials(target))
                failed = try_out(strategy, lambda pair: _ask(session, target, count, *pair), share, seed)
                if failed:
                    count.failures.append(f"{operation.label} ({mode.value}): {failed}")


def _cases(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> st.SearchStrategy[AnyCase]:
    """Make cases of which half name things that exist."""

    def named(case: AnyCase, names: dict[str, str] | None) -> AnyCase:
        for where in (case.path_parameters, case.query):
            for name in where or ():
                if names is not None and name in names and where is not None:
                    where[name] = names[name]
        if names is None and case.query:
            for name in WAITED_FOR:  # a made-up one would be waited for, 2 s each
                case.query.pop(name, None)
        return case

    names = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in KNOWN.items()})
    strategy: st.SearchStrategy[AnyCase] = operation.as_strategy(generation_mode=mode)
    return st.builds(named, strategy, st.none() | names)


def _credentials(target: Target) -> st.SearchStrategy[str | None]:
    """Nine in ten are keys that are known."""
    known = [f"Bearer {key}" for key in target.keys.values()]
    return st.sampled_from([*known * 4, *[known[-1]] * 7, None, "Bearer licet_000000000000_nobody", "Basic eDp5"])


def _ask(session: requests.Session, target: Target, count: Count, case: AnyCase, credential: str | None) -> None:
    headers = {"authorization": credential} if credential is not None else {}
    streams = "text/event-stream" in json.dumps(case.operation.definition.raw.get("responses", {}))
    began = time.monotonic()
    options = {"timeout": LIMIT_S, "stream": True} if streams else {"timeout": LIMIT_S}
    answer = _request(session, case, target.url, headers, options)
    count.note(answer, time.monotonic() - began)
    if streams and answer.status_code == 200:  # it does not end; its events are tested elsewhere
        answer.close()
        return
    late = answer.status_code == 503 and answer.json()["code"] == "revision_not_reached"
    case.validate_response(answer, checks=CHECKS[1:] if late else CHECKS)


def _request(
    session: requests.Session, case: AnyCase, url: str, headers: dict[str, str], options: dict[str, Any]
) -> requests.Response:
    """Send a case with its own headers but the credential, which is ours."""
    said = case.as_transport_kwargs(base_url=url)
    others = {name: value for name, value in said.pop("headers").items() if name.lower() != "authorization"}
    return session.request(**said, headers=others | headers, **options, allow_redirects=False)


_flags = st.sampled_from([True, False, None, 0, "yes"])
_fields = st.dictionaries(
    st.sampled_from(["SKU1", "SKU2", "SKU3", "SignedTos", "IsDeleted", "Name", "AccountManager", "EventId", "Other"])
    | st.text(max_size=8),
    _flags | st.text(max_size=20) | st.recursive(st.none() | st.integers() | st.floats(), st.lists, max_leaves=8),
    max_size=6,
)
_ids = st.sampled_from([*CUSTOMERS, "", 7, None, "a b", "0015g00000AbCdE"]) | st.text(max_size=20)
_times = st.sampled_from(["2026-11-23T09:00:00.000Z", "2026-11-23", "never", "9999-12-31T23:59:59Z", None])
_changes = st.builds(
    lambda who, at, fields: {"Id": who, **({"SystemModstamp": at} if at else {}), **fields}, _ids, _times, _fields
)
_good = st.builds(
    lambda who, fields: {"Id": who, **fields},
    st.sampled_from(CUSTOMERS),
    st.dictionaries(st.sampled_from(["SKU1", "SKU2", "SKU3", "SignedTos", "IsDeleted"]), st.none() | st.booleans()),
)
_bodies = st.one_of(
    _good.map(lambda change: json.dumps(change).encode()),
    st.lists(_good | _changes, min_size=1, max_size=5).map(lambda items: json.dumps(items).encode()),
    st.sampled_from(RUBBISH),
    st.binary(max_size=60),
    _changes.map(lambda change: json.dumps(change).encode()),
    st.lists(_changes | st.integers() | st.text(max_size=5), max_size=5).map(lambda items: json.dumps(items).encode()),
    st.tuples(_changes, st.integers(0, 200), st.binary(min_size=1, max_size=3)).map(
        lambda three: _spoilt(json.dumps(three[0]).encode(), three[1], three[2])
    ),
)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            ["application/json", "text/xml", "nonsense", "application/json; charset=utf-16"]
        ),
        "content-encoding": st.sampled_from(["gzip", "identity"]),
        "traceparent": st.sampled_from(["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "ff-nothing"]),
    },
)


def _spoilt(body: bytes, at: int, bytes_: bytes) -> bytes:
    return body[: at % len(body)] + bytes_ + body[at % len(body) :]


def fuzz_door(target: Target, count: Count, cases: int, seed: int) -> None:
    """Post bodies of every kind, most of them signed rightly."""
    how = st.sampled_from(["signed"] * 12 + ["key"] * 6 + ["old", "other", "cut", "none"])
    strategy = st.tuples(_bodies, how, _headers, st.sampled_from(["msg-1", "msg-2", "x" * 250]))
    with requests.Session() as session:
        failed = try_out(strategy, lambda four: _post(session, target, count, *four), cases, seed)
    if failed:
        count.failures.append(f"POST /salesforce/webhook: {failed}")


def _post(
    session: requests.Session, target: Target, count: Count, body: bytes, how: str, more: dict[str, str], message: str
) -> None:
    headers = {**more, **(dict(_signed(body, how, message)) if how != "key" else {})}
    if how == "key":
        headers["authorization"] = f"Bearer {target.keys['ingest']}"
    began = time.monotonic()
    answer = session.post(f"{target.url}/salesforce/webhook", data=body, headers=headers, timeout=LIMIT_S)
    count.note(answer, time.monotonic() - began)
    assert answer.status_code in DOOR, f"{answer.status_code} {answer.text}"
    if answer.status_code != 415:  # an encoding is refused before anything is read
        assert (answer.status_code == 401) == (how in {"old", "other", "cut", "none"}), f"{how}: {answer.status_code}"
    said = answer.json()
    if answer.status_code == 202:
        assert said["changes"]
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert said["code"]
        assert said["status"] == answer.status_code


def _signed(body: bytes, how: str, message: str) -> Iterator[tuple[str, str]]:
    if how == "none":
        return
    stamp = str(int(time.time()) - (1000 if how == "old" else 0))
    secret = SECRET[::-1] if how == "other" else SECRET
    digest = hmac.digest(secret, f"{message}.{stamp}.".encode() + body, hashlib.sha256)
    signature = base64.b64encode(digest[:-1] if how == "cut" else digest).decode()
    yield from (("webhook-id", message), ("webhook-timestamp", stamp), ("webhook-signature", f"v1,{signature}"))
