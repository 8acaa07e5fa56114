"""The provider, driven by the real OpenFeature client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import Reason

from licet_sdk import Licet
from licet_sdk.openfeature import LicetProvider
from support.sdk_clients import eventually
from support.sdk_service import KEY, Service, customer, row


@pytest.fixture
def heard() -> Iterator[list[str]]:
    told: list[str] = []
    handlers: dict[ProviderEvent, Callable[[Any], None]] = {
        event: lambda _, name=event.name: told.append(name.removeprefix("PROVIDER_"))  # type: ignore[misc]
        for event in ProviderEvent
    }
    for event, handler in handlers.items():
        api.add_handler(event, handler)
    yield told
    for event, handler in handlers.items():
        api.remove_handler(event, handler)
    api.shutdown()


def test_flags_are_decisions_and_the_client_hears_of_changes(service: Service, heard: list[str]) -> None:
    service.change(customer("acme", row("SKU2"), aliases=("tenant:1",)), {"u": "ada", "c": ["acme"]})
    with Licet(url=service.url, key=KEY, stale_after=0.3) as licet:
        api.set_provider_and_wait(LicetProvider(licet))
        ada, tenant = EvaluationContext("ada"), EvaluationContext(attributes={"customer": "tenant:1"})
        client = api.get_client()
        assert client.get_boolean_value("mail", False, ada) is True
        assert client.get_integer_value("boxes", 7, tenant) == 500
        assert client.get_float_value("boxes", 7.0, tenant) == 500.0
        assert client.get_string_value("mail", "", tenant) == "licensed"
        whole = client.get_object_value("boxes", {}, tenant)
        assert isinstance(whole, dict)
        assert (whole["allowed"], whole["sku"], whole["customer"]) == (True, "SKU2", "acme")
        refused = client.get_integer_details("boxes", 7, EvaluationContext("stranger"))
        assert (refused.value, refused.reason, refused.error_code) == (0, Reason.UNKNOWN, None)
        assert refused.flag_metadata["reason"] == "unknown_user"
        assert client.get_boolean_details("teleport", True, ada).error_code is ErrorCode.FLAG_NOT_FOUND
        assert client.get_boolean_details("mail", True).error_code is ErrorCode.TARGETING_KEY_MISSING
        eventually(lambda: "READY" in heard)
        service.change(customer("acme"))
        eventually(lambda: client.get_boolean_value("mail", True, ada) is False)
        eventually(lambda: "CONFIGURATION_CHANGED" in heard)
        service.stop()
        eventually(lambda: "STALE" in heard)
        assert client.get_boolean_value("mail", True, ada) is False
        heard.clear()
        service.start()
        eventually(lambda: "READY" in heard)
        service.refuse = 401
        service.cut()
        eventually(lambda: "ERROR" in heard or "STALE" in heard)


def test_without_anything_to_answer_from_it_is_not_ready(
    service: Service, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Licet, "wait_ready", lambda _: False)
    service.refuse = 503
    with Licet(url=service.url, key=KEY) as licet:
        with pytest.raises(ProviderNotReadyError):
            api.set_provider_and_wait(LicetProvider(licet))
        assert api.get_client().get_boolean_value("mail", True, EvaluationContext("ada")) is False
        service.refuse = 0
        eventually(lambda: heard[-1] == "READY")
