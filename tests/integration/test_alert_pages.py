"""The list of alerts with its verbs for many, and the page of one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts import lifecycle, services
from alerts.models import Alert, AlertNotice, AlertRule, Silence
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s5_policy.models import Decision
from tests.support.factories import make_system, make_user

pytestmark = pytest.mark.django_db
QUIET = {"minutes": "60", "comment": "being replaced"}


@pytest.fixture
def pages(client: Client) -> Client:
    client.force_login(make_user("ann", role="operator"))
    return client


def make_alert(system: System | None = None, **fields: Any) -> Alert:
    number = Alert.objects.count()
    fields = {
        "type": "rule", "title": f"Full {number}", "subject": f"db-{number}", "fingerprint": f"{number:064d}",
        "severity": "warning", "state": "firing", "value": 12.0,
        "labels": {"alertname": "Full", "instance": f"db-{number}", "severity": "warning", "unit": ""}, **fields,
    }  # fmt: skip
    return Alert.objects.create(system=system or root_system(), **fields)


def ids(*alerts: Alert) -> dict[str, list[int]]:
    return {"ids": [alert.pk for alert in alerts]}


def test_many_alerts_are_acknowledged_at_once_and_that_is_undone(pages: Client) -> None:
    """One that is over says why not, and does not stop the rest."""
    first, second, over = make_alert(), make_alert(), make_alert(state="resolved", resolved_at=timezone.now())

    done = pages.post("/dashboard/alerts/acknowledge/", ids(first, second, over)).json()
    first.refresh_from_db()
    by = first.acknowledged_by
    back = pages.post("/dashboard/alerts/take-back/", ids(first, second)).json()
    first.refresh_from_db()

    assert done["done"] == [first.pk, second.pk]
    assert [each["id"] for each in done["refused"]] == [over.pk]
    assert by is not None
    assert by.username == "ann"
    assert back["done"] == [first.pk, second.pk]
    assert first.acknowledged_at is None
    assert Decision.objects.filter(fingerprint=first.fingerprint, answered_at=None).exists()  # an answer is due again


def test_nobody_takes_back_what_another_acknowledged(pages: Client) -> None:
    """Undo is for one's own mistake."""
    alert = make_alert()
    services.acknowledge(alert, make_user("bob", role="operator"))

    answer = pages.post("/dashboard/alerts/take-back/", ids(alert)).json()

    assert answer["refused"][0]["code"] == "not_acknowledged"


def test_many_alerts_are_silenced_each_for_itself_and_that_is_undone(pages: Client) -> None:
    """A silence means that one alert, and still means it when it becomes worse."""
    first, second = make_alert(), make_alert()

    done = pages.post("/dashboard/alerts/silence/", {**ids(first, second), **QUIET}).json()
    texts = sorted(Silence.objects.values_list("matchers", flat=True))
    back = pages.post("/dashboard/alerts/end-silences/", {"ids": done["silences"]}).json()

    assert texts == ['alertname="Full", instance="db-0"', 'alertname="Full", instance="db-1"']
    assert sorted(back["done"]) == sorted(done["silences"])
    assert not Silence.objects.filter(ends_at__gt=timezone.now()).exists()


def test_a_silence_without_a_reason_is_refused_at_its_field(pages: Client) -> None:
    """Whoever comes next must see why."""
    answer = pages.post("/dashboard/alerts/silence/", {**ids(make_alert()), "minutes": "60", "comment": ""})

    assert answer.status_code == 400
    assert answer.json()["field"] == "comment"


def test_alerts_of_strange_systems_are_neither_shown_nor_changed(pages: Client) -> None:
    """Tenants are apart, in lists of ids too."""
    strange = make_alert(make_system("other"))

    shown = pages.get(f"/dashboard/alerts/{strange.pk}/")
    done = pages.post("/dashboard/alerts/acknowledge/", ids(strange)).json()

    assert shown.status_code == 404
    assert done == {"done": [], "refused": [], "silences": []}


@pytest.mark.parametrize("verb", ["acknowledge", "take-back", "silence", "end-silences", "resolve"])
def test_a_viewer_changes_nothing_at_once(client: Client, verb: str) -> None:
    """However many they name."""
    client.force_login(make_user(role="viewer"))

    answer = client.post(f"/dashboard/alerts/{verb}/", {**ids(make_alert()), **QUIET})

    assert answer.status_code == 403


def test_the_list_is_narrowed_by_rule_state_severity_and_text(pages: Client) -> None:
    """And each filter stays while one goes through the pages."""
    rule = AlertRule.objects.create(system=root_system(), name="Disk", metric="disk", threshold=1)
    wanted = make_alert(rule=rule, title="Disk is full", severity="critical")
    make_alert(title="Other")
    make_alert(rule=rule, title="Disk is full", state="resolved")

    page = pages.get(f"/dashboard/alerts/?rule={rule.pk}&state=open&severity=critical&q=disk").content.decode()

    assert f'data-alert="{wanted.pk}"' in page
    assert page.count("data-alert=") == 1
    assert pages.get("/dashboard/alerts/?rule=999").status_code == 400


def test_a_full_list_costs_a_handful_of_queries(
    pages: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """However many alerts there are."""
    for _ in range(60):
        make_alert()

    with django_assert_max_num_queries(12):
        page = pages.get("/dashboard/alerts/").content.decode()
    with django_assert_max_num_queries(12):
        part = pages.get("/dashboard/alerts/", headers={"X-Part": "rows"}).content.decode()

    assert page.count("data-alert=") == part.count("data-alert=") == 50
    assert "Page 1 of 2" in part
    assert "<html" not in part


def test_an_alerts_page_tells_its_whole_story(
    pages: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """What happened, who was told, who was not and why, and what else happened then and before."""
    now = timezone.now()
    rule = AlertRule.objects.create(system=root_system(), name="Disk", metric="disk_ratio", threshold=0.9)
    data = {"metric": 'disk_ratio{disk="sda"}', "series": 'disk_ratio{disk="sda"}', "source": "db-0", "unit_id": None,
            "comparison": "gt", "threshold": 0.9}  # fmt: skip
    alert = make_alert(rule=rule, state="pending", data=data, pending_at=now - timedelta(minutes=5))
    lifecycle.Herald.of(alert.system_id, "rule", [alert.fingerprint], now=now).fire(
        alert, timedelta(0), {"value": 0.95, "threshold": 0.9}
    )
    services.acknowledge(alert, make_user("bob", role="operator"), "on my way")
    AlertNotice.objects.create(alert=alert, outcome="withheld", cause="maintenance", cause_id=1, detail="Tuesdays",
                               fingerprint=alert.fingerprint, at=now)  # fmt: skip
    make_alert(title="Beside it", pending_at=now - timedelta(minutes=9))
    make_alert(title="Long after", pending_at=now + timedelta(hours=1))
    earlier = {"state": "resolved", "pending_at": now - timedelta(days=2), "fired_at": now - timedelta(days=2),
               "resolved_at": now - timedelta(days=2) + timedelta(minutes=3)}  # fmt: skip
    make_alert(title="Earlier", fingerprint=alert.fingerprint, **earlier)

    with django_assert_max_num_queries(40):
        page = pages.get(f"/dashboard/alerts/{alert.pk}/").content.decode()

    for words in ("Firing", "at 0.95, limit 0.9", "Withheld", "maintenance: Tuesdays", "on my way", "by bob",
                  "Beside it", "1 in 30 days, usually for 3 min", '"limits": [["fires at", 0.9]]'):  # fmt: skip
        assert words in page, words
    assert "Long after" not in page


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"type": "viability", "data": {}}, id="of viability"),
        pytest.param({"type": "external", "data": {"metric": None}}, id="from elsewhere"),
        pytest.param({"data": {"metric": "x", "threshold": None}, "value": None}, id="without a value"),
        pytest.param({"state": "resolved", "resolved_at": None}, id="over, nobody knows when"),
        pytest.param({"state": "error", "data": {"source": "!", "series": ""}}, id="of the rule itself"),
    ],
)
def test_every_kind_of_alert_has_a_page(pages: Client, fields: dict[str, Any]) -> None:
    """With what is missing named."""
    assert pages.get(f"/dashboard/alerts/{make_alert(**fields).pk}/").status_code == 200
