"""Django in one file: ``python django_app.py runserver``. The tenant is in a header here; yours is with the user."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from licet_sdk.django import requires_feature


def who(request: HttpRequest) -> dict[str, str | None]:
    return {"customer": request.headers.get("X-Tenant")}


@requires_feature("inbound-email-security")
def inbound(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"filtering": True, "sku": request.licet.sku})


settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["licet_sdk.django.LicetMiddleware"],
    LICET={"features": ["inbound-email-security"]},
    LICET_WHO=f"{__name__}.who",
)
urlpatterns = [path("inbound", inbound)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
