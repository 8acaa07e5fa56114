"""What the guards of the frameworks share: the refusal as an error, and as what a visitor is told."""

from typing import Any

from licet_sdk.decision import Decision
from licet_sdk.reference import encode

MEDIA_TYPE = "application/problem+json"


class FeatureDenied(Exception):
    """A refusal. ``decision`` says why; ``problem`` is what the visitor is told (RFC 9457)."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.message)
        self.decision = decision
        self.problem: dict[str, Any] = {
            "type": "urn:licet:problem:feature_denied",
            "title": "Not part of your plan",
            "status": 403,
            "detail": decision.message,
            "code": decision.reason,
            "feature": decision.feature,
            "reference": encode(decision),
        }
