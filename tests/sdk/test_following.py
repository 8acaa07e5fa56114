"""A client follows the service, answers through every outage, and comes back by itself. One suite, both clients."""

import os
import stat
from pathlib import Path

import pytest

from licet_sdk import Licet, client, link
from support.sdk_clients import Open, eventually
from support.sdk_service import KEY, Service, customer, row


def test_it_loads_a_snapshot_and_then_follows_every_change(service: Service, connect: Open) -> None:
    service.change(customer("acme", row(), aliases=("tenant:1",)), {"u": "ada@acme.example", "c": ["acme"]})
    licet = connect()
    assert licet.wait_ready()
    decision = licet.check("boxes", customer="tenant:1")
    assert (decision.allowed, decision.value, decision.customer, decision.revision) == (True, 100, "acme", 2)
    assert licet.allowed("mail", user="Ada@acme.example")
    revision = service.change(customer("acme", row(status="ended")))
    eventually(lambda: licet.check("mail", customer="acme").reason == "revoked")
    assert licet.check("mail", customer="acme").revision == revision
    assert licet.check("mail", customer="tenant:1").reason == "unknown_customer"
    assert licet.check("mail", customer="acme").lag_ms == 7
    assert service.requests[:2] == ["/v1/snapshot", "/v1/stream"]


def test_a_change_between_snapshot_and_stream_is_not_lost(
    service: Service, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = service.snapshot

    def snapshot_and_then_a_change() -> list[bytes]:
        lines = taken()
        service.change(customer("late", row()))
        return lines

    monkeypatch.setattr(service, "snapshot", snapshot_and_then_a_change)
    licet = connect()
    assert licet.wait_ready()
    assert licet.allowed("mail", customer="late")


def test_a_service_that_dies_in_mid_stream_is_found_again_without_a_gap(service: Service, connect: Open) -> None:
    service.change(customer("acme", row()))
    licet = connect()
    assert licet.wait_ready()
    for number in range(3):
        service.stop()
        assert licet.allowed("mail", customer="acme")
        service.change(customer(f"new{number}", row()))
        service.start()
        eventually(lambda name=f"new{number}": licet.allowed("mail", customer=name))  # type: ignore[misc]
    assert service.requests.count("/v1/snapshot") == 1


def test_a_snapshot_that_breaks_off_is_thrown_away_and_the_old_data_answers_on(service: Service, connect: Open) -> None:
    service.change(customer("acme", row()), customer("other", row()))
    service.truncate = 2
    licet = connect()
    eventually(lambda: service.requests.count("/v1/snapshot") > 2)
    assert licet.check("mail", customer="acme").reason == "unavailable"
    service.truncate = None
    assert licet.wait_ready()
    service.truncate = 2
    service.change(customer("acme"))
    service.say("resync", {"reason": "a restored backup"})
    eventually(lambda: service.requests.count("/v1/snapshot") > 6)
    assert licet.allowed("mail", customer="other")
    service.truncate = None
    eventually(lambda: licet.check("mail", customer="acme").reason == "not_licensed")


def test_a_position_that_is_gone_is_answered_by_a_new_snapshot_while_the_old_data_answers(
    service: Service, connect: Open
) -> None:
    service.change(customer("acme", row()))
    licet = connect()
    assert licet.wait_ready()
    service.stop()
    service.change(customer("new", row()))
    service.forgotten, service.truncate = 100, 1
    service.start()
    eventually(lambda: service.requests.count("/v1/snapshot") > 2)
    assert licet.allowed("mail", customer="acme")
    service.truncate, service.forgotten = None, 0
    eventually(lambda: licet.allowed("mail", customer="new"))


def test_a_stream_that_says_nothing_is_left(service: Service, connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SILENCE", 0.15)
    service.change(customer("acme", row()))
    licet = connect()
    assert licet.wait_ready()
    service.silent = True  # only comments now, as a proxy would send
    before = service.requests.count("/v1/stream")
    eventually(lambda: service.requests.count("/v1/stream") > before + 1)
    assert licet.allowed("mail", customer="acme")


def test_a_position_that_the_service_cannot_read_leads_to_a_new_snapshot(service: Service, connect: Open) -> None:
    service.change(customer("acme", row()))
    licet = connect()
    assert licet.wait_ready()
    service.stop()
    service.refuse = 422
    service.start()
    eventually(lambda: service.requests.count("/v1/snapshot") > 1)
    assert licet.allowed("mail", customer="acme")
    service.refuse = 0
    service.change(customer("new", row()))
    eventually(lambda: licet.allowed("mail", customer="new"))


def test_a_reader_that_is_cut_off_resumes_and_nonsense_leads_to_a_new_snapshot(service: Service, connect: Open) -> None:
    service.change(customer("acme", row()))
    licet = connect()
    assert licet.wait_ready()
    service.say("cut_off", {"reason": "the service stops"})
    eventually(lambda: service.requests.count("/v1/stream") == 2)
    service.say("changes", {"revision": "nonsense"})
    eventually(lambda: service.requests.count("/v1/snapshot") == 2)
    service.change(customer("next", row()))
    eventually(lambda: licet.allowed("mail", customer="next"))


def test_a_restart_in_an_outage_answers_from_disk(service: Service, connect: Open, tmp_path: Path) -> None:
    service.change(customer("acme", row(), aliases=("tenant:1",)), {"u": "bob", "c": ["acme"]})
    licet = connect(cache_dir=tmp_path / "cache")
    assert licet.wait_ready()
    service.change(customer("later", row()))
    eventually(lambda: licet.allowed("mail", customer="later"))
    licet.close()
    service.stop()
    (copy,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    again = connect(cache_dir=tmp_path / "cache", defaults={"mail": False})
    assert again.wait_ready(0.1)
    decision = again.check("boxes", customer="tenant:1")
    assert (decision.allowed, decision.value, decision.license_id) == (True, 100, row()[5])
    assert again.allowed("mail", user="bob")
    assert again.allowed("mail", customer="later")
    service.start()
    service.change(customer("new", row()))
    eventually(lambda: again.allowed("mail", customer="new"))
    assert service.requests.count("/v1/snapshot") == 1  # the copy's position was enough to resume


def _flip(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes().replace(b'"pending_terms"', b'"active"'))


def _cut(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-100])


def _open_to_all(copy: Path) -> None:
    copy.chmod(0o666)


@pytest.mark.parametrize("spoil", [_flip, _cut, _open_to_all])
def test_a_copy_that_is_not_as_it_was_written_is_not_believed(
    service: Service, connect: Open, tmp_path: Path, spoil: object, caplog: pytest.LogCaptureFixture
) -> None:
    service.change(customer("acme", row(status="pending_terms")))
    licet = connect(cache_dir=tmp_path)
    assert licet.wait_ready()
    licet.close()
    service.stop()
    (copy,) = tmp_path.iterdir()
    assert callable(spoil)
    spoil(copy)
    again = connect(cache_dir=tmp_path)
    assert not again.wait_ready(0.05)
    assert again.check("mail", customer="acme").reason == "unavailable"
    assert any("cannot be used" in record.getMessage() for record in caplog.records)
    again.close()
    service.start()
    third = connect(cache_dir=tmp_path)
    assert third.wait_ready()
    third.close()
    assert b'"pending_terms"' in copy.read_bytes()


def test_a_copy_that_cannot_be_written_is_said_and_stops_nothing(
    service: Service, connect: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    service.change(customer("acme", row()))
    licet = connect(cache_dir=tmp_path / "file")
    assert licet.wait_ready()
    eventually(lambda: "cannot be written" in caplog.text)
    assert licet.allowed("mail", customer="acme")


def test_a_copy_is_written_soon_after_the_first_load_and_of_one_service_alone(
    service: Service, connect: Open, tmp_path: Path
) -> None:
    licet = connect(cache_dir=tmp_path)
    assert licet.wait_ready()
    eventually(lambda: len(list(tmp_path.glob("*.ndjson"))) == 1)
    other = Service().start()
    try:
        connect(cache_dir=tmp_path, url=other.url).wait_ready()
        eventually(lambda: len(list(tmp_path.glob("*.ndjson"))) == 2)
    finally:
        other.stop()


def test_a_key_that_is_refused_is_said_and_tried_again(
    service: Service, connect: Open, caplog: pytest.LogCaptureFixture
) -> None:
    service.refuse = 403
    licet = connect()
    eventually(lambda: any("refuses" in record.getMessage() for record in caplog.records))
    assert not licet.allowed("mail", customer="acme")
    service.refuse = 0
    assert licet.wait_ready()
    assert KEY not in caplog.text


def test_it_stops_at_once_and_needs_an_address_and_a_key(
    service: Service, connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.silent = True
    licet = connect()
    assert licet.wait_ready()
    licet.close()
    eventually(lambda: service.connected() == 0)
    with pytest.raises(ValueError, match="LICET_URL"):
        connect(url=None)
    monkeypatch.setenv("LICET_URL", service.url)
    monkeypatch.setenv("LICET_KEY", KEY)
    assert connect(url=None, key=None).wait_ready()
    assert not connect(url=None, key="another key").wait_ready(0.05)  # what is given goes before the environment


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_follows_by_itself(service: Service) -> None:
    service.change(customer("acme", row()))
    with Licet(url=service.url, key=KEY) as licet:
        assert licet.wait_ready()
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(said, b"ready")
                eventually(lambda: licet.allowed("mail", customer="new"))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.read(heard, 5) == b"ready"
        service.change(customer("new", row()))
        assert os.waitpid(child, 0)[1] == 0
        eventually(lambda: licet.allowed("mail", customer="new"))


def test_questions_from_many_threads_never_see_half_a_change(service: Service) -> None:
    """A user moves together with the license: at every moment one of both customers allows."""
    import threading

    service.change(customer("a", row()), customer("b"), {"u": "bob", "c": ["a"]})
    with Licet(url=service.url, key=KEY) as licet:
        assert licet.wait_ready()
        refused, stop = [], threading.Event()

        def ask() -> None:
            while not stop.is_set():
                if not licet.allowed("mail", user="bob") or not licet.check("mail", user="bob"):
                    refused.append(licet.check("mail", user="bob"))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            service.change(customer("b", row()), customer("a"), {"u": "bob", "c": ["b"]})
            service.change(customer("a", row()), customer("b"), {"u": "bob", "c": ["a"]})
        last = service.revision
        eventually(lambda: licet.check("mail", customer="a").revision >= last)
        stop.set()
        for thread in threads:
            thread.join()
        assert refused == []


def test_the_waits_double_to_a_ceiling_and_leave_half_to_chance(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "WAITS", (0.2, 15.0))
    core = client.Client(url=service.url, key=KEY)
    for chance, part in ((lambda: 0.0, 0.5), (lambda: 1.0, 1.0)):
        one = link.Link(core, chance=chance)
        waits = [one.closed("refused") for _ in range(10)]
        assert waits == [pytest.approx(part * min(15.0, 0.2 * 2**n)) for n in range(10)]
        assert one.closed("HTTP 503", "40") == 40.0
        assert one.closed(link.LOADED) == 0.0
