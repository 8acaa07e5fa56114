"""What a Salesforce posts."""

import uuid
from typing import Any

EMAIL = "inbound-email-security"  # what SKU1 grants in the default catalog
TAKEOVER = "account-takeover-protection"  # what SKU2 grants


def customer(**fields: Any) -> dict[str, Any]:
    """The seed's payload of a new customer: terms signed, no SKU, and what else is given."""
    return {
        "AccountManager": "Ada Byron",
        "Id": str(uuid.uuid4()),
        "Name": "acme.example",
        "SalesEngineerId": str(uuid.uuid4()),
        "SignedTos": True,
        "SKU1": False,
        "SKU2": False,
        "SKU3": False,
        **fields,
    }


def salesforce_id() -> str:
    """A 15-character id of an account that no other test uses; all in lower case, so its long form ends in AAA."""
    return "001" + uuid.uuid4().hex[:12]
