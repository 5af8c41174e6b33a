"""What the web server runs: pages and API, WebSockets, static files."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # sets Django up; what follows needs its models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from vsm_site.dashboard.routing import websocket_urlpatterns  # noqa: E402
from vsm_site.doors import DOORS  # noqa: E402
from vsm_site.ingest_asgi import IngestDoors  # noqa: E402
from vsm_site.ping_door import PingDoor  # noqa: E402
from vsm_site.static_files import StaticFiles  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": PingDoor(IngestDoors(StaticFiles(http), DOORS)),
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
