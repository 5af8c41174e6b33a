"""The quick `translate` says what Django's own says, in the language of each reader."""

from __future__ import annotations

import pytest
from django.template import Context, Engine
from django.templatetags.i18n import TranslateNode
from django.utils import translation

from vsm_site.dashboard.templatetags.texts import Text, breaks

DJANGOS = Engine(builtins=["django.templatetags.i18n"])
OURS = Engine(builtins=["django.templatetags.i18n", "vsm_site.dashboard.templatetags.texts"])
MONTH = "January"  # one of Django's own texts, which every language has


@pytest.mark.parametrize(
    "quoted", [f'"{MONTH}"', '"100 % <b>sure</b> & well"', "'Says \"yes\"'", "month", f'"{MONTH}"|upper']
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_text_reads_as_with_djangos_own_tag(quoted: str, language: str) -> None:
    """Whoever knows Django knows what a template says."""
    source = f"{{% translate {quoted} %}}{{% translate {quoted} as kept %}} {{{{ kept }}}}"

    with translation.override(language):
        said = [engine.from_string(source).render(Context({"month": MONTH})) for engine in (OURS, DJANGOS)]

    assert said[0] == said[1]


def test_each_reader_gets_their_language() -> None:
    """A template is kept between requests; what it said to one reader is not for the next, in another language."""
    template = OURS.from_string(f'{{% translate "{MONTH}" %}}')
    said = []

    for language in ("en", "de", "en", "fr"):
        with translation.override(language):
            said.append(template.render(Context()))

    assert said == ["January", "Januar", "January", "janvier"]


def test_only_what_never_changes_is_kept() -> None:
    """The text of a variable is another in each row."""
    nodes = OURS.from_string('{% translate "Alerts" %}{% translate word %}').nodelist

    assert [type(node) for node in nodes] == [Text, TranslateNode]


def test_a_name_breaks_where_its_parts_meet() -> None:
    """A column breaks words where it must; nobody reads `embedded@v` and `m`."""
    assert breaks("celery@10.0.0.1") == "celery@<wbr>10.<wbr>0.<wbr>0.<wbr>1"
    assert breaks("a/<b>") == "a/&lt;b&gt;"
