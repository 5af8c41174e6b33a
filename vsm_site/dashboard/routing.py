"""The addresses of the dashboard's WebSockets."""

from __future__ import annotations

from django.urls import path

from vsm_site.dashboard.consumers import DashboardConsumer

websocket_urlpatterns = [path("ws/dashboard/", DashboardConsumer.as_asgi())]
