"""Whatever a person reads can be translated: it is marked, and it is in the catalogue that translators start from."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.catalogues import compile_brackets, in_script, listed, marked
from tests.support.platform_process import ROOT
from vsm_site.languages import CATALOGUES, installed

TEMPLATES = sorted((ROOT / "vsm_site").rglob("templates/**/*.html"))
TRANSLATED = re.compile(r"{% blocktranslate.*?{% endblocktranslate %}|{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
READ = {"aria-label", "title", "placeholder", "alt", "data-label", "data-head"}
NOT_READ = {"code", "kbd", "pre", "script", "style"}
STALE = "run `make messages`, which needs GNU gettext, and commit what it writes: {}"
SAME_EVERYWHERE = {"API", "CSV", "JSON", "UTC", "ms", "nbsp", "rsaquo", "amp"}


class Untranslated(HTMLParser):
    """What is left of a template without what its tags make, as far as a person reads it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in NOT_READ
        for name, value in attrs:
            if name in READ:
                self._note(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in NOT_READ

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._note(data)

    def _note(self, text: str) -> None:
        if set(re.findall(r"[A-Za-z]{2,}", text)) - SAME_EVERYWHERE:
            self.found.append(text.strip())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_of_a_template_is_marked(path: Path) -> None:
    """One that is not stays English in every language, and nobody notices who reads English."""
    reader = Untranslated()

    reader.feed(TRANSLATED.sub("", path.read_text()))

    assert reader.found == [], "put it into {% translate %} or {% blocktranslate trimmed %}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_class_is_translated(path: Path) -> None:
    """A state that is called otherwise in another language keeps its colour."""
    assert re.findall(r'class="[^"]*{% (?:block)?translate[^"]*"', path.read_text()) == []


def test_the_catalogue_lists_every_marked_text() -> None:
    """Translators see nothing else. `make messages` writes it."""
    known = set(listed(CATALOGUES / "en" / "LC_MESSAGES" / "django.po"))

    missing = sorted({(text[0], str(path.relative_to(ROOT))) for text, path in marked() if text not in known})

    assert not missing, STALE.format(missing)


def test_the_catalogue_of_the_scripts_lists_every_marked_text() -> None:
    """They have one of their own: a page that is read in English loads none."""
    known = set(listed(CATALOGUES / "en" / "LC_MESSAGES" / "djangojs.po"))

    missing = sorted(
        {
            (text[0], path.name)
            for path in (ROOT / "vsm_site" / "dashboard" / "static" / "dashboard" / "js").glob("*.js")
            for text in in_script(path.read_text())
            if text not in known
        }
    )

    assert len(known) > 300
    assert not missing, STALE.format(missing)


def test_a_language_is_there_when_its_catalogue_is_compiled(tmp_path: Path) -> None:
    """Adding a language takes a file and no change of a program; one that is only begun is not offered."""
    (tmp_path / "fr" / "LC_MESSAGES").mkdir(parents=True)
    compile_brackets([("Alerts", "")], tmp_path / "pt_BR" / "LC_MESSAGES" / "django.mo")

    assert installed(tmp_path) == [("en", "English"), ("pt-br", "Português Brasileiro")]
