"""Licet's SDK: may this user, or this customer, use this feature, and why?"""

from licet_sdk.aio import AsyncLicet
from licet_sdk.client import Licet
from licet_sdk.decision import Decision

__all__ = ["AsyncLicet", "Decision", "Licet"]
