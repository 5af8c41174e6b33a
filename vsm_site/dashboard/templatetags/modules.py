"""Scripts without a build step and without a waterfall: what a module imports is named beside it."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SCRIPTS = Path(__file__).resolve().parents[1] / "static" / "dashboard" / "js"
IMPORT = re.compile(r"""^(?:import|export) [^;]*?from "\./([\w-]+\.js)";|^import "\./([\w-]+\.js)";""", re.MULTILINE)

register = template.Library()


@register.simple_tag
def module(name: str) -> SafeString:
    """Load the module *name*, and everything that it imports at the same time instead of one after the other."""
    ahead = format_html_join("", '<link rel="modulepreload" href="{}">', ((_address(each),) for each in imports(name)))
    return format_html('{}<script type="module" src="{}"></script>', ahead, _address(name))


@lru_cache(maxsize=256)
def imports(name: str) -> tuple[str, ...]:
    """Return the modules that *name* imports, and those that they import, each once."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        text = Path(f"{SCRIPTS}/{waiting.pop()}").read_text()  # a template's SafeString is no part of a path
        for first, second in IMPORT.findall(text):
            if (each := first or second) not in found:
                found[each] = None
                waiting.append(each)
    return tuple(found)


def _address(name: str) -> str:
    return static(f"dashboard/js/{name}")
