"""The brokers of watched fleets: this run's own part of each server, so that two runs at once never hear each other."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

REDIS_DATABASES = 16
BELOW = 6  # a fleet's Redis database is this far below the platform's own


def fleet_broker(kind: str) -> str:
    """Return where a fleet's workers meet, on `amqp` or on `redis`."""
    if kind == "amqp":
        return settings.BROKER_URL
    own = urlsplit(settings.REDIS_URL)
    number = (int(own.path.strip("/") or 0) - BELOW) % REDIS_DATABASES
    return own._replace(path=f"/{number}").geturl()
