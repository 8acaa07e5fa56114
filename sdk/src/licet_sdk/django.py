"""Django: ``LicetMiddleware`` in MIDDLEWARE, and ``@requires_feature("…")`` on a view, be it async or not.

Settings: ``LICET`` is a dict of what ``Licet`` takes (or a client), ``LICET_WHO`` the dotted name of a function that
takes the request and returns ``{"user": …}``, ``{"customer": …}`` or both.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from licet_sdk.client import Licet
from licet_sdk.guard import MEDIA_TYPE, FeatureDenied

View = TypeVar("View", bound=Callable[..., Any])


def licet() -> Licet:
    """Return the client of this process."""
    return settings.LICET if isinstance(settings.LICET, Licet) else _made()


@functools.cache
def _made() -> Licet:
    return Licet(**settings.LICET)


def requires_feature(feature: str) -> Callable[[View], View]:
    """Let a view run only for whom the feature is allowed; ``request.licet`` is the decision."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            decision = licet().check(feature, **import_string(settings.LICET_WHO)(request))
            if not decision.allowed:
                raise FeatureDenied(decision)
            request.licet = decision
            return view(request, *args, **kwargs)

        return markcoroutinefunction(guarded) if iscoroutinefunction(view) else guarded  # type: ignore[return-value]

    return decorate


class LicetMiddleware(MiddlewareMixin):
    """Starts the client, and shows a refusal: as plain text to who takes HTML, else as a problem document."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        licet()

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Turn a refusal into the 403."""
        if not isinstance(exception, FeatureDenied):
            return None
        told = exception.problem
        if "text/html" in request.headers.get("Accept", ""):
            said = f"{told['detail']}\nReference: {told['reference']}\n"
            return HttpResponseForbidden(said, content_type="text/plain; charset=utf-8")
        return JsonResponse(told, status=403, content_type=MEDIA_TYPE)
