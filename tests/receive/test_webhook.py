"""The door, through the real front: what is taken, what is told, and when."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.queue.message import Message
from licet.queue.ports import AppendFailed
from support.asgi import post
from support.door import NOW, RecordingLog, doorway
from support.properties import quick

SEED = (
    b'{"AccountManager":"Ada Byron","Id":"3f0c1b5e-6f7a-4b8c-9d0e-1f2a3b4c5d6e","Name":"acme.example",'
    b'"SalesEngineerId":"b1","SignedTos":true,"SKU1":true,"SKU2":false,"SKU3":false}'
)
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
AWAY = AppendFailed("the broker does not answer")


def item(**fields: Any) -> bytes:
    return json.dumps({"Id": "a", **fields}).encode()


def array(*items: bytes) -> bytes:
    return b"[" + b",".join(items) + b"]"


def test_the_seeds_post_is_taken_without_a_content_type() -> None:
    at = doorway()
    answer = post(at.app, SEED)
    assert answer.status == 202
    (change,) = answer.json["changes"]
    assert change["customer_id"] == "3f0c1b5e-6f7a-4b8c-9d0e-1f2a3b4c5d6e"
    assert UUID7.fullmatch(change["event_id"])
    assert answer.json["rejected"] == []
    assert at.log.held == [
        Message(
            key=change["customer_id"],
            value=SEED,
            event_id=change["event_id"],
            source="salesforce",
            received_at=NOW,
        )
    ]


def test_the_queue_gets_the_senders_very_bytes() -> None:
    at = doorway()
    spaced = b' \n{ "Id" : "a" ,"N":1.50,"t":"\\u00e9" }\n '
    one, two = b'{"Id":"b",  "x":"\xc3\xa9"}', b'{ "Id":"c" }'
    assert post(at.app, spaced).status == 202
    assert post(at.app, b"[ " + one + b"\n," + two + b" ] ").status == 202
    assert [message.value for message in at.log.held] == [spaced, one, two]


def test_an_empty_customer_is_taken_too_since_the_door_filters_nothing() -> None:
    at = doorway()
    assert post(at.app, b'{"Id":"a"}').status == 202
    assert len(at.log.held) == 1


@pytest.mark.parametrize(
    ("body", "headers", "ids"),
    [
        (item(EventId="e-1"), [("webhook-id", "msg_1")], ["e-1"]),
        (item(), [("webhook-id", "msg_1")], ["msg_1"]),
        (item(EventId=None), [("webhook-id", "msg_1")], ["msg_1"]),
        (array(item(), item(EventId="e-2"), item()), [("webhook-id", "msg_1")], ["msg_1:0", "e-2", "msg_1:2"]),
        (array(item(SKU1="bad"), item()), [("webhook-id", "msg_1")], ["msg_1:1"]),
        (item(), [("webhook-id", "x" * 250)], ["x" * 250]),
    ],
)
def test_the_event_id_is_the_bodys_else_the_headers(
    body: bytes, headers: list[tuple[str, str]], ids: list[str]
) -> None:
    at = doorway()
    answer = post(at.app, body, headers)
    assert [change["event_id"] for change in answer.json["changes"]] == ids
    assert [message.event_id for message in at.log.held] == ids


@pytest.mark.parametrize("sent", ["", "a b", "x" * 251, "é", "a\x7f"])
def test_a_webhook_id_that_cannot_name_an_event_is_refused(sent: str) -> None:
    answer = post(doorway().app, item(), [("webhook-id", sent)])
    assert answer.status == 422
    assert answer.faults[0][0] == "header webhook-id"


def test_ids_of_the_door_differ() -> None:
    at = doorway()
    post(at.app, array(*[item()] * 50))
    assert len({message.event_id for message in at.log.held}) == 50


def test_a_trace_is_passed_on_if_it_is_one() -> None:
    at = doorway()
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for sent in (good, "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "nonsense", good.upper()):
        assert post(at.app, item(), [("traceparent", sent)]).status == 202
    assert [message.traceparent for message in at.log.held] == [good, None, None, None]


def test_an_array_is_judged_per_item() -> None:
    at = doorway()
    bad = (b"7", b'{"SKU1":"yes"}', b'{"Id":"a","Id":"b"}', b'{"Id":NaN}', b'{"Id":"\\ud800"}', item(EventId=""))
    answer = post(at.app, array(item(EventId="first"), *bad, item(EventId="last")))
    assert answer.status == 202
    assert [change["event_id"] for change in answer.json["changes"]] == ["first", "last"]
    rejected = {item["index"]: item["faults"] for item in answer.json["rejected"]}
    assert list(rejected) == [1, 2, 3, 4, 5, 6]
    assert rejected[1] == [{"field": "body", "found": "the number 7", "expected": "a JSON object"}]
    assert [fault["field"] for fault in rejected[2]] == ["Id", "SKU1"]
    assert rejected[3][0]["found"] == 'the key "Id" twice'
    assert rejected[6][0]["field"] == "EventId"
    assert at.counted("licet_changes_accepted_total") == 2
    assert at.counted("licet_changes_rejected_total", cause="invalid") == 6


def test_where_no_item_is_good_the_answer_is_4xx_and_names_each_fault_by_its_item() -> None:
    at = doorway()
    answer = post(at.app, array(b'{"SKU1":1}', b"null", b'{"Id":"a","x":{"y":"\\u0000"}}'))
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [fault[0] for fault in answer.faults] == ["[0].Id", "[0].SKU1", "[1]", "[2].x.y"]
    assert at.log.held == []


def test_a_single_object_tells_all_its_faults_at_once() -> None:
    answer = post(doorway(organization="00D5g000004aBcDEAU").app, b'{"EventId":5,"SKU1":"x","SignedTos":1}')
    assert answer.status == 422
    assert answer.json["code"] == "invalid_input"
    assert {fault[0] for fault in answer.faults} == {"OrganizationId", "EventId", "Id", "SKU1", "SignedTos"}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "nothing"),
        (b"[]", "an array of 0"),
        (b'{"Id":"a","Id":"a"}', 'the key "Id" twice'),
        (b'{"Id":"a","x":NaN}', "NaN"),
        (b'{"Id":"a","x":"\\u0000"}', "U+0000 or a lone surrogate"),
        (b'{"Id":"a","x":"\\ud800"}', "U+0000 or a lone surrogate"),
        (b'{"Id":"a","x":' + b"[" * 32 + b"]" * 32 + b"}", "deeper nesting"),
        (b'{"Id":"a"', "Expecting ',' delimiter at character 9"),
        (b'{"Id":"\xff"}', "a byte that is no UTF-8 at 7"),
    ],
)
def test_what_readers_could_take_differently_is_refused(body: bytes, found: str) -> None:
    at = doorway()
    answer = post(at.app, body)
    assert answer.status == 422
    assert answer.faults[0][1] == found
    assert answer.faults[0][2]
    assert at.log.held == []


def test_a_thousand_items_are_taken_and_one_more_is_not() -> None:
    at = doorway()
    assert len(post(at.app, array(*[item()] * 1000)).json["changes"]) == 1000
    answer = post(at.app, array(*[item()] * 1001))
    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
    assert len(at.log.held) == 1000


def test_an_item_of_an_array_may_be_as_large_as_an_object_and_no_larger() -> None:
    at = doorway()
    answer = post(at.app, array(item(x="y" * 200_000), item(x="y" * 300_000)))
    assert answer.status == 202
    assert answer.json["rejected"][0]["index"] == 1
    assert answer.json["rejected"][0]["faults"][0]["expected"] == "at most 262144 bytes an object"


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ({}, "nothing"),
        ({"OrganizationId": None}, "nothing"),
        ({"OrganizationId": "00D5g000004aBcE"}, '"00D5g000004aBcE"'),
        ({"OrganizationId": "sandbox"}, '"sandbox"'),
        ({"OrganizationId": 5}, "the number 5"),
    ],
)
def test_another_organisation_is_refused(sent: dict[str, Any], found: str) -> None:
    at = doorway(organization="00D5g000004aBcDEAU")
    answer = post(at.app, item(**sent))
    assert answer.status == 422
    assert [(field, said) for field, said, _ in answer.faults] == [("OrganizationId", found)]
    assert at.log.held == []


def test_the_one_organisation_is_taken_in_both_spellings() -> None:
    at = doorway(organization="00D5g000004aBcDEAU")
    for spelling in ("00D5g000004aBcD", "00D5g000004aBcDEAU"):
        assert post(at.app, item(OrganizationId=spelling)).status == 202


def test_a_queue_that_takes_nothing_is_503_with_a_time_to_come_back() -> None:
    at = doorway(log=RecordingLog(lambda _: AWAY))
    answer = post(at.app, item())
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json["code"] == "unavailable"
    assert at.counted("licet_changes_accepted_total") == 0
    assert at.counted("licet_changes_unconfirmed_total") == 1
    assert at.counted("licet_webhook_refused_total", code="unavailable") == 1


def test_a_queue_that_takes_half_is_503_and_a_retry_brings_the_same_ids() -> None:
    failing = {"msg_1:1"}
    at = doorway(log=RecordingLog(lambda message: AWAY if message.event_id in failing else None))
    body, headers = array(item(), item(), b"7"), [("webhook-id", "msg_1")]
    assert post(at.app, body, headers).status == 503
    failing.clear()
    answer = post(at.app, body, headers)
    assert answer.status == 202
    assert [change["event_id"] for change in answer.json["changes"]] == ["msg_1:0", "msg_1:1"]
    assert [message.event_id for message in at.log.held] == ["msg_1:0", "msg_1:0", "msg_1:1"]


def never(message: Message) -> AppendFailed | None:
    return AppendFailed("the message is too large", permanent=True) if b"huge" in message.value else None


def test_what_the_queue_will_never_take_is_rejected_and_the_rest_stands() -> None:
    at = doorway(log=RecordingLog(never))
    answer = post(at.app, array(item(x="huge"), item(EventId="ok"), b"7"))
    assert answer.status == 202
    assert [change["event_id"] for change in answer.json["changes"]] == ["ok"]
    assert [(one["index"], one["faults"][0]["found"]) for one in answer.json["rejected"]] == [
        (0, "the message is too large"),
        (2, "the number 7"),
    ]
    assert at.counted("licet_changes_rejected_total", cause="queue") == 1


def test_a_single_change_that_the_queue_will_never_take_is_4xx() -> None:
    answer = post(doorway(log=RecordingLog(never)).app, item(x="huge"))
    assert answer.status == 422
    assert answer.faults == [("body", "the message is too large", "a change that the queue can hold")]


def test_the_same_event_twice_in_an_array_is_left_to_the_consumer() -> None:
    at = doorway()
    assert post(at.app, array(item(EventId="e", SKU1=True), item(EventId="e", SKU1=False))).status == 202
    assert len(at.log.held) == 2


NAMES = st.sampled_from(["Id", "EventId", "SKU1", "SystemModstamp", "x"]) | st.text(max_size=4)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "\x00", "\ud800"])
JSON = st.recursive(
    SCALAR | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=10,
)


@quick
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_taken_whole_or_refused_with_reasons(body: bytes) -> None:
    at = doorway(organization=None)
    answer = post(at.app, body)
    if answer.status == 202:
        assert len(answer.json["changes"]) == len(at.log.held) >= 1
        for message in at.log.held:
            assert message.value in body
            msgspec.json.decode(message.value)
    else:
        assert answer.status == 422
        assert answer.faults
        assert at.log.held == []


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["authorization", "webhook-id", "webhook-signature", "content-encoding", "content-length"])
            | st.sampled_from(["traceparent", "x"]),
            st.text(st.characters(max_codepoint=255), max_size=30),
        )
    )
)
def test_any_headers_get_an_answer_that_is_no_failure(headers: list[tuple[str, str]]) -> None:
    assert post(doorway().app, item(), headers).status in {202, 401, 413, 415, 422}
