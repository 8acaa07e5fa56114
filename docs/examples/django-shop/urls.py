"""The shop's one page."""

import views
from django.urls import path

urlpatterns = [path("inbound", views.inbound)]
