"""What the web server runs: pages and API, WebSockets, static files."""

from __future__ import annotations

import gc
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()  # sets Django up; what follows needs its models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from vsm_site.celery import SWITCH_SECONDS  # noqa: E402
from vsm_site.dashboard.origins import SameOrigin  # noqa: E402
from vsm_site.dashboard.routing import websocket_urlpatterns  # noqa: E402
from vsm_site.doors import DOORS  # noqa: E402
from vsm_site.ingest_asgi import IngestDoors  # noqa: E402
from vsm_site.ping_door import PingDoor  # noqa: E402
from vsm_site.static_files import StaticFiles  # noqa: E402

# Every message to a browser lets go of the interpreter while it is handed to the system, and a thread that computes
# keeps it for this long then: with the usual 5 ms, news for 500 browsers wait until everybody else has nothing to do.
sys.setswitchinterval(SWITCH_SECONDS)

application = ProtocolTypeRouter(
    {
        "http": PingDoor(IngestDoors(StaticFiles(http), DOORS)),
        "websocket": AllowedHostsOriginValidator(SameOrigin(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))),
    }
)

gc.collect()
gc.freeze()  # what is loaded stays: looking through it again and again would hold up everybody
