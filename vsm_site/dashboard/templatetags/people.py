"""What who reads prefers, for the head of a page."""

from __future__ import annotations

from typing import Any

from django import template

from vsm_site.dashboard.models import Preferences
from vsm_site.dashboard.people import preferences_of

register = template.Library()


@register.simple_tag(takes_context=True)
def preferred(context: dict[str, Any]) -> Preferences:
    """Return the preferences of who reads; as usual for who is not logged in."""
    request = context.get("request")
    return preferences_of(request.user) if request else Preferences()
