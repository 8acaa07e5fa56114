"""For your own tests: a ``Licet`` that answers what you tell it, and remembers what it was asked."""

from licet_sdk.client import Licet
from licet_sdk.decision import MESSAGES, Decision, Value


class FakeLicet(Licet):
    """Knows no service, and denies what was not granted. ``asked`` holds (feature, customer, user) in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.listeners, self.table = [], None
        self._told: dict[tuple[str, str | None, str | None], tuple[str, Value | None]] = {}

    def grant(self, feature: str, *, customer: str | None = None, user: str | None = None, value: Value = True) -> None:
        """Allow a feature, with a value: to a customer, to a user, or without both to everyone."""
        self._told[feature, customer, user] = "licensed", value

    def deny(
        self, feature: str, *, customer: str | None = None, user: str | None = None, reason: str = "expired"
    ) -> None:
        """Refuse a feature. Of what was told the nearest counts: of both, of the user, of the customer, of everyone."""
        self._told[feature, customer, user] = reason, None

    def check(self, feature: str, *, customer: str | None = None, user: str | None = None) -> Decision:
        """Answer as told."""
        self.asked.append((feature, customer, user))
        nearest = ((feature, *who) for who in ((customer, user), (None, user), (customer, None), (None, None)))
        reason, value = next((self._told[one] for one in nearest if one in self._told), ("not_licensed", None))
        return Decision(reason == "licensed", reason, MESSAGES[reason], value, None, None, customer, user, feature)

    def wait_ready(self, timeout: float = 0.0) -> bool:
        """Be ready."""
        return timeout >= 0

    def close(self) -> None:
        """Do nothing: nothing runs."""
