"""Open to everyone, as yet. The header stands in for your sign-in."""

from django.http import HttpResponse


def inbound(request):
    return HttpResponse(f"Hello {request.headers['X-User']}, your inbound mail is filtered.\n")
