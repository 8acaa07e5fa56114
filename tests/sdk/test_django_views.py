"""Django's decorator on views of both kinds, in a process of its own: Django is configured once in each."""

import subprocess
import sys

PROGRAM = """
import asyncio
from django.conf import settings
from licet_sdk.testing import FakeLicet
fake = FakeLicet()
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=["licet_sdk.django.LicetMiddleware"],
                   LICET=fake, LICET_WHO=__name__ + ".who")
import django
django.setup()
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from licet_sdk.django import requires_feature

def who(request):
    return {"user": request.headers.get("X-User")}

@requires_feature("mail")
def plain(request):
    return HttpResponse(request.licet.reason)

@requires_feature("mail")
async def asynchronous(request):
    return HttpResponse(request.licet.reason)

urlpatterns = [path("plain", plain), path("async", asynchronous)]
fake.grant("mail", user="ada")
for address in ("/plain", "/async"):
    assert Client().get(address, headers={"X-User": "ada"}).content == b"licensed", address
    refused = Client().get(address, headers={"X-User": "bob"})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_licensed"), address
    assert asyncio.run(AsyncClient().get(address, headers={"X-User": "ada"})).content == b"licensed", address
    assert asyncio.run(AsyncClient().get(address, headers={"X-User": "bob"})).status_code == 403, address
other = FakeLicet()
other.grant("mail")
with override_settings(LICET=other):
    assert Client().get("/plain").status_code == 200
"""


def test_a_view_of_either_kind_is_guarded_under_either_server() -> None:
    run = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
