"""The pages in another language: one in which every translated text stands in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.integration.test_page_queries import FEW, ROWS, pages
from tests.support.catalogues import CLOSE, OPEN, compile_brackets, listed
from tests.support.crowd import crowd_rows, crowd_units
from tests.support.factories import make_unit, make_user
from vsm_site.languages import CATALOGUES

pytestmark = pytest.mark.django_db
READ = {"aria-label", "title", "placeholder", "alt", "data-label", "data-head"}
NOT_READ = {"code", "kbd", "pre", "script", "style", "textarea"}

# The rows of this test, the names of the people and systems in it, and what is called the same everywhere.
THINGS = r"(› )?(\w+ \d|user-\d+|shop.*|celery_\w+-\d+|celery|w\d@host|Main)( · Main ·)?|· Main ·"
TIMES = r":? ?[\d: .-]+ UTC|\(?UTC\)?|\+\d+ m?s"
NAMES = "API|CSV|Apprise|Discord|E-mail|Microsoft Teams|Opsgenie|PagerDuty|Slack|Telegram|(: )?(Webhook|webhook|ntfy)"
IDENTIFIERS = r"[a-z0-9_]+([.-][a-z0-9_]+)+"  # of acts, tasks, streams, metrics
STAYS = f"{THINGS}|{TIMES}|{NAMES}|{IDENTIFIERS}"
DJANGO_SAYS = r"Mon|Tue|Wed|Thu|Fri|Sat|Sun|\w+ \d{4}"  # from its own catalogues
STAYS_ON = {  # names of single words, and sentences in which the domain says what it found
    "actions": "drain",
    "alert": "rule",
    "alert-statistics": DJANGO_SAYS,
    "calendar": DJANGO_SAYS,
    "configuration": r"\w+|event processing|rate limiter|.+\.",
    "contact": DJANGO_SAYS,
    "dead-letters": "failed",
    "policy": "advise|True",
    "coordination": "algedonic|audit|command|coordination|homeostat|resource_bargain",
    "events": "audit",
    "explore": "avg|count|increase|last|max|min|rate|sum",
    "fleets": r"Nothing was heard of this fleet yet\.",
    "inbox": "drain|source",
    "intelligence": "source",
    "journey": r"accepted|(event|message):|.+, not sealed yet|type \d, s2 to s1: coordination channel",
    "rule-add": r"agent|celery (queue|worker)|host|http|prometheus",
    "schedules": r"[a-z]+",
    "scores": r"Not (assessed|made) yet\.",
    "task-offers": r".+",  # the tasks' own documentation
    "tasks": "host|pay",  # the ends of w1@host and shop.pay, before which a narrow column may break
    "units": r"agent|celery[ _](queue|worker)|host|http|prometheus",  # the kinds
    "workers": "stalled",
}


class OutsideBrackets(HTMLParser):
    """The texts of a page that were not translated."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._silent = self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in NOT_READ
        for name, value in attrs:
            if name in READ:
                self._note(self._outside(value or ""))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in NOT_READ

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._note(self._outside(data))

    def _outside(self, text: str) -> str:
        kept = ""
        for letter in text:
            self._depth += (letter == OPEN) - (letter == CLOSE)
            kept += letter if not self._depth and letter != CLOSE else ""
        return kept

    def _note(self, text: str) -> None:
        if re.search(r"[A-Za-z]{2,}", text):
            self.found.add(" ".join(text.split()))


@pytest.fixture
def brackets(settings: Any, tmp_path: Path) -> None:
    """A second language, made of brackets."""
    texts = listed(CATALOGUES / "en" / "LC_MESSAGES" / "django.po")
    compile_brackets(texts, tmp_path / "xx" / "LC_MESSAGES" / "django.mo")
    compile_brackets([("Live", "")], tmp_path / "xx" / "LC_MESSAGES" / "djangojs.mo")
    settings.LANGUAGES = [("en", "English"), ("xx", "Brackets")]
    settings.LOCALE_PATHS = [tmp_path]
    after = settings.MIDDLEWARE.index("django.contrib.sessions.middleware.SessionMiddleware") + 1
    reader = "vsm_site.readers_language.ReadersLanguage"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:after], reader, *settings.MIDDLEWARE[after:]]


def test_pages_are_translated_as_a_whole(client: Client, brackets: None) -> None:
    """A text of a form, a message or a choice that nobody marked is in English in the middle of another language."""
    client.force_login(make_user(superuser=True))
    crowd_units(FEW)
    crowd_rows(ROWS, FEW)

    left = {name: [text for text in texts if not _stays(name, text)] for name, texts in _untranslated(client)}

    assert len(left) > 40
    found = {name: texts for name, texts in left.items() if texts}
    assert not found, f"mark these texts, or list here what stays as it is, then run `make messages`: {found}"


def test_scripts_load_their_texts_only_where_they_are_not_in_english(client: Client, brackets: None) -> None:
    """Most people read English, and their pages do not pay for what others need."""
    client.force_login(make_user(superuser=True))
    make_unit()
    asked = {"accept-language": "xx"}

    english = client.get("/dashboard/fleets/").content.decode()
    other = client.get("/dashboard/fleets/", headers=asked).content.decode()
    texts = client.get("/dashboard/texts.js?language=xx", headers=asked)

    assert "texts.js" not in english
    assert '<html lang="xx">' in other
    assert 'src="/dashboard/texts.js?language=xx"' in other
    assert f'"Live": "{OPEN}Live{CLOSE}"'.encode("unicode-escape") in texts.content
    assert f'"firing": "{OPEN}firing{CLOSE}"'.encode("unicode-escape") in texts.content
    assert "max-age" in texts.headers["Cache-Control"]


def test_programs_are_answered_in_english(client: Client, brackets: None) -> None:
    """Whoever matches the text of an error must not depend on the language of a machine."""
    client.force_login(make_user(superuser=True))
    asked = {"accept-language": "xx"}

    page = client.get("/dashboard/fleets/", headers=asked)
    refused = client.post("/api/v1/fleets/", {}, content_type="application/json", headers=asked)

    assert page.headers["Content-Language"] == "xx"
    assert OPEN in page.content.decode()
    assert OPEN not in refused.content.decode()


def _untranslated(client: Client) -> Iterator[tuple[str, set[str]]]:
    for name, path in pages():
        answer = client.get(path, headers={"accept-language": "xx"})
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html"):
            reader = OutsideBrackets()
            reader.feed(answer.content.decode())
            yield name, reader.found


def _stays(name: str, text: str) -> bool:
    return bool(re.fullmatch(STAYS, text) or re.fullmatch(STAYS_ON.get(name, "(?!)"), text))
