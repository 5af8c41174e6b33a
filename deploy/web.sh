#!/bin/sh
# The web server: pages, API, WebSockets and static files.
exec python -m uvicorn vsm_site.asgi:application --host 0.0.0.0 --port 8000 --lifespan off \
    --ws vsm_site.sockets:WebSockets --no-access-log --timeout-graceful-shutdown 5
