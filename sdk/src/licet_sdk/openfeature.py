"""OpenFeature: ``api.set_provider(LicetProvider(licet))``. ``targetingKey`` is the user, ``customer`` goes before it.

A feature is a boolean (allowed), a number (the granted one, 0 where it is not allowed), text (the reason) and an object
(the whole decision). A refusal is a value, never an error: an error would make the caller take its own default.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import FlagNotFoundError, ProviderNotReadyError, TargetingKeyMissingError
from openfeature.flag_evaluation import FlagResolutionDetails as Told
from openfeature.flag_evaluation import Reason
from openfeature.provider import AbstractProvider, Metadata

from licet_sdk.client import Licet
from licet_sdk.decision import Decision

T = TypeVar("T")
Context = EvaluationContext | None
_EVENTS = {
    "ready": ProviderEvent.PROVIDER_READY,
    "changed": ProviderEvent.PROVIDER_CONFIGURATION_CHANGED,
    "stale": ProviderEvent.PROVIDER_STALE,
    "error": ProviderEvent.PROVIDER_ERROR,
}


class LicetProvider(AbstractProvider):
    """Tells Licet's decisions as flags. The client is yours: close it yourself."""

    def __init__(self, licet: Licet) -> None:
        super().__init__()
        self._licet = licet

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait until there is something to answer from."""
        self._licet.listeners.append(self._hear)
        if not self._licet.wait_ready():
            raise ProviderNotReadyError("the licensing service was not heard, and there is no copy on disk")

    def shutdown(self) -> None:
        """Stop telling events."""
        self._licet.listeners.remove(self._hear)

    def get_metadata(self) -> Metadata:
        """Name the provider."""
        return Metadata("licet")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: Context = None
    ) -> Told[bool]:
        return self._told(flag_key, evaluation_context, bool)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: Context = None
    ) -> Told[int]:
        return self._told(flag_key, evaluation_context, lambda decision: int(decision.value or 0))

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: Context = None
    ) -> Told[float]:
        return self._told(flag_key, evaluation_context, lambda decision: float(decision.value or 0))

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: Context = None
    ) -> Told[str]:
        return self._told(flag_key, evaluation_context, lambda decision: decision.reason)

    def resolve_object_details(
        self, flag_key: str, default_value: Any, evaluation_context: Context = None
    ) -> Told[Any]:
        return self._told(flag_key, evaluation_context, lambda decision: msgspec.to_builtins(decision.as_dict()))

    def _hear(self, event: str) -> None:
        self.emit(_EVENTS[event], ProviderEventDetails(message=self._licet.stand()))

    def _told(self, feature: str, context: Context, value: Callable[[Decision], T]) -> Told[T]:
        user, customer = (context.targeting_key, context.attributes.get("customer")) if context else (None, None)
        if not user and not customer:
            raise TargetingKeyMissingError("targetingKey names the user, or the attribute customer a customer")
        decision = self._licet.check(feature, **({"customer": str(customer)} if customer else {"user": user}))
        if decision.reason == "unknown_feature":
            raise FlagNotFoundError(decision.message)
        reason = Reason.UNKNOWN if decision.reason in ("unknown_user", "unknown_customer") else Reason.TARGETING_MATCH
        about: dict[str, bool | int | float | str] = {
            "reason": decision.reason,
            "message": decision.message,
            "revision": decision.revision,
        }
        return Told(value(decision), variant="on" if decision else "off", reason=reason, flag_metadata=about)
