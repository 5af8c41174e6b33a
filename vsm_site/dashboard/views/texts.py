"""What the scripts of the pages say, in another language than English: they ask for it only then."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog

from vsm_site.dashboard.words import STATES

SECONDS = 3600  # until a browser asks again: a text that it lacks meanwhile is in English


class Texts(JavaScriptCatalog):
    """The texts that are marked in scripts, and the states that come as data."""

    def get_catalog(self) -> dict[str, Any]:
        """Return texts by their English."""
        return {word: gettext(word) for word in STATES} | super().get_catalog()


texts = cache_control(private=True, max_age=SECONDS)(login_required(Texts.as_view()))
