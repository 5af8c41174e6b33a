"""Importing Django REST framework without what it takes along when it merely happens to be installed."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# For array fields of PostgreSQL, colours, and a client for tests, none of which is used: 16 MB in every process.
UNUSED = ("psycopg", "pygments", "requests")
TESTS = "rest_framework.test"


class _Later(ModuleType):
    """Stands for the tools for tests, which the schema's generator imports for one class: 3 MB with what they need."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "APIRequestFactory":
            return _request_factory
        return getattr(_tests(), name)


def _request_factory(*args: Any, **options: Any) -> Any:
    return _tests().APIRequestFactory(*args, **options)


def _tests() -> ModuleType:
    if isinstance(sys.modules.get(TESTS), _Later):
        del sys.modules[TESTS]
    return import_module(TESTS)


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
    sys.modules.setdefault(TESTS, _Later(TESTS))
