"""Rules, alerts and history in the admin: the same verbs and the same refusals as everywhere."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerts.models import Alert, AlertRule
from alerts.services import create_rule
from subsystems.recursion.models import ApiToken, System
from subsystems.recursion.queries import root_system
from subsystems.recursion.services import find_token
from subsystems.s3_control import services as s3
from subsystems.s3_control.models import TaskRun
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.support.factories import make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    hot_tier().clear()
    return root_system()


@pytest.fixture
def pages(client: Client) -> Client:
    """A browser in which a superuser is logged in."""
    client.force_login(make_user("root", superuser=True))
    return client


def form(system: System, **fields: Any) -> dict[str, Any]:
    return {
        "system": system.pk, "name": "Too busy", "metric": "cpu", "comparison": "gt", "threshold": "0.9",
        "for_seconds": "0", "severity": "warning", "cooldown_seconds": "300", "enabled": "on", **fields,
    }  # fmt: skip


def firing(system: System) -> Alert:
    rule = create_rule(system, None, name="Too busy", metric="cpu", threshold=0.9)
    return Alert.objects.create(
        system=system, rule=rule, type="rule", title="Too busy: a", subject="a", fingerprint="f", severity="warning",
        state="firing", fired_at=timezone.now(),
    )  # fmt: skip


def act(pages: Client, model: str, action: str, *rows: Any) -> None:
    """Do *action* to *rows*, with the yes that some of them ask for."""
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows], "confirmed": "yes"}
    assert pages.post(reverse(f"admin:{model}_changelist"), chosen).status_code == 302


def test_a_rule_is_made_in_the_admin(pages: Client, system: System) -> None:
    """With the name of whoever made it."""
    pages.post(reverse("admin:alerts_alertrule_add"), form(system))

    rule = AlertRule.objects.get()
    assert (rule.name, str(rule.created_by)) == ("Too busy", "root")


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"metric": "no metric"}, "metric"), ({"threshold": "inf"}, "threshold"), ({"for_seconds": "-1"}, "for_seconds")],
)
def test_a_rule_that_cannot_work_is_refused_at_its_field(
    pages: Client, system: System, fields: dict[str, str], field: str
) -> None:
    """The admin must not be a way around the door."""
    answer = pages.post(reverse("admin:alerts_alertrule_add"), form(system, **fields))

    assert field in answer.context["adminform"].form.errors
    assert not AlertRule.objects.exists()


def test_a_changed_condition_ends_its_alerts_here_too(pages: Client, system: System) -> None:
    """Saving goes through the verb."""
    alert = firing(system)

    pages.post(reverse("admin:alerts_alertrule_change", args=[alert.rule_id]), form(system, threshold="0.5"))

    alert.refresh_from_db()
    assert (alert.state, alert.resolution) == ("resolved", "rule")


def test_deleting_a_rule_ends_its_alerts(pages: Client, system: System) -> None:
    """Also when many are deleted at once."""
    alert = firing(system)

    pages.post(
        reverse("admin:alerts_alertrule_changelist"),
        {"action": "delete_selected", "_selected_action": [alert.rule_id], "post": "yes"},
    )

    alert.refresh_from_db()
    assert (alert.state, alert.rule_id) == ("resolved", None)


def test_a_rule_shows_what_it_would_find_now(pages: Client, system: System) -> None:
    """Whoever edits a threshold sees the values that it must tell apart."""
    rule = firing(system).rule
    assert rule is not None
    now = timezone.now().timestamp()
    record({"<a>": [Sample("cpu", now, 0.95)]}, system_id=system.pk, now=now)

    answer = pages.get(reverse("admin:alerts_alertrule_change", args=[rule.pk]))

    assert "<li>&lt;a&gt;: 0.95 meets the condition</li>" in answer.content.decode()


@pytest.mark.parametrize(("action", "enabled"), [("enable", True), ("disable", False)])
def test_rules_are_switched(pages: Client, system: System, action: str, enabled: bool) -> None:
    """For a night without alarms, or to end it."""
    rule = create_rule(system, None, name="r", metric="cpu", threshold=1, enabled=not enabled)

    act(pages, "alerts_alertrule", action, rule)

    assert AlertRule.objects.get().enabled is enabled


def test_alerts_are_acknowledged_and_resolved_but_never_edited(pages: Client, system: System) -> None:
    """History that can be edited is none."""
    alert = firing(system)

    act(pages, "alerts_alert", "acknowledge", alert)
    act(pages, "alerts_alert", "acknowledge", alert)
    act(pages, "alerts_alert", "resolve", alert)
    edited = pages.post(reverse("admin:alerts_alert_change", args=[alert.pk]), {"title": "nothing happened"})

    alert.refresh_from_db()
    assert (str(alert.acknowledged_by), alert.state, edited.status_code) == ("root", "resolved", 403)


def test_a_token_is_expired_and_its_secret_shown_nowhere(pages: Client) -> None:
    """Only its beginning tells it from others."""
    token, secret = make_token(system=root_system())

    shown = pages.get(reverse("admin:recursion_apitoken_change", args=[token.pk])).content.decode()
    act(pages, "recursion_apitoken", "expire", token)

    assert token.prefix in shown
    assert secret not in shown
    assert token.digest not in shown
    assert find_token(secret) is None
    assert ApiToken.objects.count() == 1


def test_a_run_is_triggered_again(pages: Client) -> None:
    """With the same arguments, as a run of its own."""
    run = s3.trigger("diagnostics.echo", {"text": "again"}, by=None)

    act(pages, "s3_control_taskrun", "again", run)

    assert [r.arguments for r in TaskRun.objects.all()] == [{"text": "again"}] * 2
