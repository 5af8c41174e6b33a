"""What must hold of every list and form of the admin, whatever room it is of."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.core import checks
from django.db import connection
from django.http import QueryDict
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from alerts.models import AlertRule
from alerts.services import create_rule
from subsystems.event_log.models import PendingEvent
from subsystems.recursion.administering import HistoryAdmin, is_indexed
from subsystems.recursion.queries import root_system
from subsystems.s2_coordination.models import TenantShare
from subsystems.s5_policy.models import PolicyVersion
from tests.support.factories import make_system, make_user
from tests.support.rows import make_rows
from vsm_site.back_office import urls  # noqa: F401  (loads every room's admin)
from vsm_site.back_office.places import DETAILS, GROUP_OF, GROUPS, LISTS

pytestmark = pytest.mark.django_db
KEYED_BY_MANY = "keyed by several columns, which Django's admin cannot open; its numbers are read by /api/v1/query/"
LEFT_OUT = {
    "telemetry.Rollup": KEYED_BY_MANY,
    "telemetry.FiveMinuteRollup": KEYED_BY_MANY,
    "telemetry.HourRollup": KEYED_BY_MANY,
    "telemetry.RollupChunk": KEYED_BY_MANY,
    "telemetry.DueWindow": KEYED_BY_MANY,
}
OURS = ("subsystems.", "alerts", "vsm_site")
MODELS = [model for app in apps.get_app_configs() if app.name.startswith(OURS) for model in app.get_models()]
LISTED = sorted(admin.site._registry, key=lambda model: model._meta.label)


def listing(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


@pytest.fixture
def pages(client: Client) -> Client:
    """A browser in which a superuser is logged in."""
    client.force_login(make_user("root", superuser=True))
    return client


def test_every_model_has_its_place_in_the_admin() -> None:
    """A row that nobody can look at cannot be explained, and one that nobody finds may as well not be there."""
    registered = {model._meta.label for model in LISTED}

    assert {model._meta.label for model in MODELS} - registered == set(LEFT_OUT)
    assert registered == set(GROUP_OF) - set(LEFT_OUT)
    assert set(LISTS) | set(DETAILS) <= registered
    assert checks.run_checks(tags=["admin"]) == []


@pytest.mark.parametrize("model", LISTED, ids=lambda model: model._meta.label)
def test_a_list_opens_in_as_many_queries_however_long_it_is(pages: Client, model: Any) -> None:
    """Each list: opened, searched, filtered and one row of it; a query to a row would hold up everybody."""
    queries = []
    for count in (3, 27):
        make_rows(model, count)
        with CaptureQueriesContext(connection) as seen:
            shown = pages.get(listing(model))
        assert shown.status_code == 200
        queries.append(len(seen))
    content = shown.content.decode()

    assert queries[0] == queries[1], [each["sql"] for each in seen.captured_queries]
    assert 'class="about"' in content
    narrowed = QueryDict("q=a", mutable=True)
    for spec in shown.context["cl"].filter_specs:
        narrowed.update(QueryDict(list(spec.choices(shown.context["cl"]))[-1]["query_string"].lstrip("?")))
    assert pages.get(f"{listing(model)}?{narrowed.urlencode()}").status_code == 200


@pytest.mark.parametrize(
    "model", [m for m in LISTED if isinstance(admin.site._registry[m], HistoryAdmin)], ids=lambda m: m._meta.label
)
def test_nobody_edits_history(model: Any, rf: RequestFactory) -> None:
    """Not even a superuser, and not by an action: history that can be edited is none. And it opens from an index."""
    room: HistoryAdmin = admin.site._registry[model]
    request = rf.get("/")
    request.user = User(is_superuser=True, is_staff=True, is_active=True)

    assert not any((
        room.has_add_permission(request), room.has_change_permission(request), room.has_delete_permission(request),
        "delete_selected" in room.get_actions(request), room.date_hierarchy,
    ))  # fmt: skip
    first = [*(room.get_ordering(request) or model._meta.ordering), "pk"][0]
    assert first.startswith("-pk") or is_indexed(model, first) or model._meta.label in FEW, first
    assert {name for name in room.list_filter if isinstance(name, str) and reads_all(model, name)} <= OFFERED_BY_READING


# What there are few of: units, policies, what people wrote. A million of them would be somebody's mistake.
FEW = {
    "alerts.AlertComment", "alerts.Check", "alerts.EscalationPolicy", "alerts.EscalationRun", "alerts.EscalationStep",
    "alerts.MaintenanceWindow", "alerts.Ping", "alerts.Rota", "alerts.RotaOverride", "alerts.RuleVersion",
    "alerts.Silence", "alerts.Target", "alerts.Team", "s1_operations.Unit", "s2_coordination.Damper",
    "s2_coordination.BeatProcess", "s2_coordination.Schedule", "s2_coordination.CoordinationFinding",
    "s3_control.Action", "s3_control.ActionPolicy", "s3_control.Finding", "s3_control.FleetAudit", "s3_control.Hold",
    "s3_control.Launcher", "s3_control.PoolUnit", "s3_control.ResourcePool",
    "s3_control.Recommendation", "s3_control.ScalingPolicy", "s4_intelligence.Pattern", "s4_intelligence.Source",
    "s4_intelligence.Threat", "s5_policy.Policy", "s5_policy.Emergency", "fleets.BlindSpell", "fleets.ExceptionGroup",
    "fleets.QueueState", "fleets.Redelivery", "fleets.TaskCount", "fleets.WorkerState", "telemetry.Series",
    "variety.UnitVariety", "event_log.EventCount", "event_log.HandlerPosition",
}  # fmt: skip
OFFERED_BY_READING = {"kind", "unit__kind"}  # of units and what there are few of: the adapters' names


def reads_all(model: Any, name: str) -> bool:
    """Return whether offering the values of a filter reads the whole table."""
    if "__" in name:
        return not name.endswith("system")
    field = model._meta.get_field(name)
    return not (field.choices or field.is_relation or field.get_internal_type() in ("BooleanField", "DateTimeField"))


SELF_EVIDENT = {"system", "fleet", "user", "enabled", "unit", "kind", "username", "password", "first_name", "last_name"}
THEIRS = ("auth.", "django_celery_beat.")  # Django's and django-celery-beat's own words


@pytest.mark.parametrize(
    "model",
    [m for m in LISTED if not isinstance(admin.site._registry[m], HistoryAdmin)
     and not m._meta.label.startswith(THEIRS)],
    ids=lambda m: m._meta.label,
)  # fmt: skip
def test_every_field_that_is_edited_says_what_it_is(pages: Client, model: Any) -> None:
    """Nobody should need the documents to fill in a form."""
    row = make_rows(model, 1)[0]
    shown = pages.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]))

    fields = shown.context["adminform"].form.fields
    assert shown.status_code == 200
    assert {name for name, field in fields.items() if not field.help_text} <= SELF_EVIDENT | {"no_headers"}


def test_the_index_is_in_the_order_of_the_house(pages: Client) -> None:
    """S1 first, the inner works last, each with a way to its live page; and nothing that the content policy refuses."""
    shown = pages.get("/admin/")
    content = shown.content.decode()

    assert [app["app_label"] for app in shown.context["app_list"]] == [group.key for group in GROUPS]
    assert "tokens.css" in content
    assert 'href="/dashboard/"' in content
    assert " style=" not in content
    assert "<script>" not in content


def test_a_share_is_changed_by_its_service_alone(pages: Client) -> None:
    """A weight that was written past it would be in force with nobody to answer for it."""
    system = make_system("tenant")
    add = reverse("admin:s2_coordination_tenantshare_add")

    refused = pages.post(add, {"system": system.pk, "weight": "0"})
    made = pages.post(add, {"system": system.pk, "weight": "2.5"})

    told = PendingEvent.objects.get(type="share.changed")
    assert "weight" in refused.context["adminform"].form.errors
    assert made.status_code == 302
    assert (TenantShare.objects.get().weight, told.actor, told.system_id) == (2.5, "root", system.pk)
    assert PendingEvent.objects.filter(type="AdminChanged", actor="root").count() == 1


def test_what_ends_something_is_asked_first(pages: Client) -> None:
    """Disabling a rule ends its alerts: one click must not do that."""
    rule = create_rule(root_system(), None, name="r", metric="cpu", threshold=1)
    chosen = {"action": "disable", "_selected_action": [str(rule.pk)]}

    asked = pages.post(listing(AlertRule), chosen)
    still = AlertRule.objects.get().enabled
    said = pages.post(listing(AlertRule), {**chosen, "confirmed": "yes"}, follow=True)

    assert "Their open alerts end" in asked.content.decode()
    assert (still, AlertRule.objects.get().enabled) == (True, False)
    assert [str(each) for each in said.context["messages"]] == ["1 alert rule disabled."]


def test_a_file_is_tried_and_then_kept_as_a_whole(pages: Client) -> None:
    """Policy from a file: what would change, then versions with the reason; a mistake names its line."""
    system = root_system()
    address = reverse("admin:s5_policy_policy_import")
    text = "policies:\n- kind: viability\n  fields:\n    weight_s1: 0.4\n"
    given = {"system": system.pk, "text": text, "reason": "from the other site"}

    tried = pages.post(address, {**given, "try": "1"})
    nothing = PolicyVersion.objects.count()
    wrong = pages.post(address, {**given, "text": text.replace("0.4", "heavy"), "keep": "1"})
    kept = pages.post(address, {**given, "keep": "1"})
    exported = pages.get(reverse("admin:s5_policy_policy_export"), {"system": system.slug}).content.decode()

    assert (nothing, kept.status_code) == (0, 302)
    assert "viability" in tried.content.decode()
    assert "line 4" in wrong.content.decode()
    assert PolicyVersion.objects.get().reason == "from the other site"
    assert exported.startswith("policies:\n- kind: viability")
