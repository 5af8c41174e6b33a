"""Importing Django REST framework without what it takes along when it merely happens to be installed."""

from __future__ import annotations

import sys
from importlib import import_module

# For array fields of PostgreSQL, colours, a client and templates for tests, none of which is used: 18 MB in all.
UNUSED = ("psycopg", "pygments", "requests", "jinja2")
LOOKING = ("rest_framework.compat", "django.test.utils")  # the schema of the API makes its requests with Django's tests


def import_light() -> None:
    """Let those who look for optional libraries find them missing; whoever needs one later still gets it."""
    hidden = [name for name in UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how the import system spells "there is none"
    try:
        for name in LOOKING:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]
