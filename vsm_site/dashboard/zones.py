"""In which time zone the pages and the admin speak: the one a person chose, else that of their browser, else the
installation's. Programs are always answered in UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from vsm_site.dashboard.people import preferences_of

P = ParamSpec("P")
R = TypeVar("R")
COOKIE = "vsm_zone"  # what js/person.js found out of the browser
FORMATS = {
    "": "%Y-%m-%d %H:%M:%S", "minute": "%Y-%m-%d %H:%M", "clock": "%H:%M:%S", "minute clock": "%H:%M",
    "day": "%Y-%m-%d",
    "exact": "%Y-%m-%d %H:%M:%S.%f", "micro": "%Y-%m-%d %H:%M:%S.%f", "exact clock": "%H:%M:%S.%f",
    "no year": "%m-%d %H:%M:%S", "no year minute": "%m-%d %H:%M",
}  # fmt: skip
MILLISECONDS = -3  # of what %f gives


def in_their_zone(view: Callable[Concatenate[HttpRequest, P], R]) -> Callable[Concatenate[HttpRequest, P], R]:
    """Let times in a page be those of its reader. What it answers must have been rendered when it returns."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with timezone.override(zone_of(request)):
            return view(request, *args, **kwargs)

    return inner


def zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the zone of whoever asks."""
    chosen = preferences_of(request.user).time_zone
    told = unquote(request.COOKIES.get(COOKIE, ""))
    return zone_named(chosen) or zone_named(told) or ZoneInfo(settings.PEOPLES_TIME_ZONE)


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo | None:
    """Return the zone of this name; None when there is none."""
    try:
        return ZoneInfo(name) if name and len(name) <= 64 else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def here() -> str:
    """Return the name of the zone that is spoken in now."""
    return getattr(timezone.get_current_timezone(), "key", "UTC")


def names() -> list[str]:
    """Return the zones that may be chosen: those of places, and UTC."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))]


def as_moment(given: object) -> datetime | None:
    """Return what a body of the API or a row says as a moment; None for nothing."""
    if isinstance(given, str) and given:
        given = datetime.fromisoformat(given)
    if not isinstance(given, datetime):
        return None
    return given if timezone.is_aware(given) else given.replace(tzinfo=UTC)


def told(given: object, how: str = "") -> str:
    """Return a moment by the clocks of the zone spoken in; *how* is one of FORMATS, perhaps with `zone`."""
    moment = as_moment(given)
    if moment is None:
        return ""
    wanted = how.removesuffix("zone").strip()
    local = timezone.localtime(moment)
    text = local.strftime(FORMATS[wanted])
    text = text[:MILLISECONDS] if wanted.startswith("exact") else text
    return f"{text} {_letters(local)}" if how.endswith("zone") else text


def in_full(given: object) -> str:
    """Return a moment with its distance from UTC, which tells apart hours that come twice."""
    moment = as_moment(given)
    return "" if moment is None else f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S UTC%z}".removesuffix("+0000")


def _letters(local: datetime) -> str:
    """Return CET, CEST, UTC; of zones that have no letters their distance from UTC."""
    letters = local.tzname() or "UTC"
    return f"UTC{letters}" if letters[0] in "+-" else letters
