"""Importing Django REST framework without what it takes along when it merely happens to be installed."""

from __future__ import annotations

import sys
from importlib import import_module

# For array fields of PostgreSQL, colours, and a client for tests, none of which is used: 16 MB in every process.
UNUSED = ("psycopg", "pygments", "requests")


def import_light() -> None:
    """Let `rest_framework.compat` find its optional libraries missing; whoever needs one later still gets it."""
    hidden = [name for name in UNUSED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how the import system spells "there is none"
    try:
        import_module("rest_framework.compat")
    finally:
        for name in hidden:
            del sys.modules[name]
