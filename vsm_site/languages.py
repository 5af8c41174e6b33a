"""Which languages the pages can speak: English, and each that has a compiled catalogue here."""

from __future__ import annotations

from pathlib import Path

CATALOGUES = Path(__file__).resolve().parent / "locale"


def installed(catalogues: Path = CATALOGUES) -> list[tuple[str, str]]:
    """Return the code of each language and what its own readers call it; English, which needs no catalogue, first."""
    compiled = sorted(path.parts[-3] for path in catalogues.glob("*/LC_MESSAGES/django.mo"))
    others = [locale.replace("_", "-").lower() for locale in compiled if locale != "en"]
    return [("en", "English"), *((code, _own_name(code)) for code in others)]


def _own_name(code: str) -> str:
    from django.conf.locale import LANG_INFO  # read only where there is a second language

    known = LANG_INFO.get(code) or LANG_INFO.get(code.split("-")[0]) or {}
    return str(known.get("name_local", code))
