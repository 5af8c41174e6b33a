"""Times on pages: all through these, in the zone of whoever reads, with the whole truth for who points at one."""

from __future__ import annotations

from datetime import UTC

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from vsm_site.dashboard import zones

register = template.Library()


@register.filter
def moment(given: object, how: str = "") -> SafeString | str:
    """Write a moment (a datetime, or the text of one) as an element; *how* is explained at `zones.told`."""
    at = zones.as_moment(given)
    if at is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), zones.in_full(at), zones.told(at, how),
    )  # fmt: skip


@register.filter
def plain_moment(given: object, how: str = "") -> str:
    """Write a moment where no element may be: in an attribute."""
    return zones.told(given, how)


@register.simple_tag
def zone() -> str:
    """Name the zone that times are in."""
    return zones.here()
