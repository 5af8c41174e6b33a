"""Texts for people in modules that know nothing of people."""

from __future__ import annotations


def gettext_noop(text: str) -> str:
    """Return *text*. Catalogues list it by the name of this function, and pages translate it where they show it."""
    return text
