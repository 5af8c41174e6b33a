"""What an alert says: places filled, and what cannot be filled refused beforehand."""

from __future__ import annotations

import pytest

from alerts.templates import check, check_labels, fill
from alerts.wording import Subject, Wording, labels_of, rendered
from subsystems.kernel.errors import Invalid

MAIL = Subject("main", "critical", "rabbit-1", "queue", "rabbit-1", "size", {"queue": "mail"}, 1234.5, 1000.0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ value }} on {{ labels.queue }}", "1234.5 on mail"),
        ("{{$value|humanize}} in {{ $labels.queue }}", "1.234k in mail"),
        ("{{ unit }} ({{ unit_kind }}) of {{ system }} above {{ threshold }}", "rabbit-1 (queue) of main above 1000"),
        ("{{ labels.missing }}.", "."),
        ("{{ value | duration }}", "20m 34s"),
        ("{{ value | percent }} {{ value | bytes }}", "1.234e+05% 1.206KiB"),
        ("<b>{{ severity }}</b> 100 % { }", "<b>critical</b> 100 % { }"),
    ],
)
def test_places_are_filled(text: str, shown: str) -> None:
    """A text is filled as it is: who shows it escapes it in his own way."""
    assert fill(text, MAIL.names("Full", "rabbit-1"), MAIL.labels) == shown


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"summary": "{{ value"}, "without its"),
        ({"summary": "{{ valu }}"}, "there is no 'valu'"),
        ({"summary": "{{ labels }}"}, "there is no 'labels'"),
        ({"summary": "{{ value.real }}"}, "there is no"),
        ({"summary": "{{ value | shout }}"}, "no form 'shout'"),
        ({"summary": "{{ range .x }}"}, "is not understood"),
        ({"summary": "{{ value.__class__.__mro__ }}"}, "is not understood"),
        ({"summary": 5}, "a text of at most"),
        ({"9": "x"}, "is no name"),
        ({str(n) + "n": "" for n in range(40)}, "At most"),
        (["summary"], "A mapping"),
    ],
)
def test_a_text_that_cannot_be_filled_is_refused(texts: object, said: str) -> None:
    """When the rule is saved, not when it fires at night."""
    with pytest.raises(Invalid, match=said) as caught:
        check(texts, "annotations")

    assert caught.value.field == "annotations"


@pytest.mark.parametrize("labels", [{"team": "{{ value }}"}, {"severity": "low"}, {"system": "other"}])
def test_labels_neither_change_nor_lie(labels: dict[str, str]) -> None:
    """Labels say which alert it is: silences and groups go by them."""
    with pytest.raises(Invalid) as caught:
        check_labels(labels)

    assert caught.value.field == "labels"


def test_labels_come_from_series_rule_and_platform() -> None:
    """A series cannot pass for another system by a label of its own."""
    liar = Subject("main", "warning", source="x", labels={"system": "other", "team": "a", "queue": "q"}, value=None)
    wording = Wording(
        "Full", {"team": "{{ labels.queue }}-team"}, {"summary": "{{ labels.team }} {{ value }}"}, "https://r"
    )

    labels, annotations = rendered(wording, liar, "x")

    assert labels == {
        "alertname": "Full", "severity": "warning", "system": "main", "unit": "", "unit_kind": "", "team": "q-team",
        "queue": "q", "source": "x",
    }  # fmt: skip
    assert annotations == {"runbook_url": "https://r", "summary": "q-team unknown"}


def test_labels_are_read_from_a_series_name() -> None:
    """With quotes and commas in them."""
    assert labels_of('size{a="x,\\"y\\"}",b="2"}') == {"a": 'x,"y"}', "b": "2"}
    assert labels_of("size") == {}
