"""The pages as the server gives them; what the browser makes of them is tested in `tests/browser`."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts.models import Alert, AlertRule
from subsystems.health.models import Assessment
from subsystems.messaging import live
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control.models import TaskRun
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.support.crowd import crowd_units
from tests.support.factories import PASSWORD, make_system, make_unit, make_user
from vsm_site.dashboard import queries
from vsm_site.dashboard.live_view import View

pytestmark = pytest.mark.django_db
PAGES = [
    "/dashboard/",
    "/dashboard/?view=performance",
    "/dashboard/?view=algedonic",
    "/dashboard/overview/facts/",
    "/dashboard/overview/performance/",
    "/dashboard/overview/felt/",
    "/dashboard/systems/s1/",
    "/dashboard/systems/main/",
    "/dashboard/model/",
    "/dashboard/model/facts/",
    "/dashboard/alerts/",
    "/dashboard/alerts/rules/",
    "/dashboard/alerts/rules/add/",
    "/dashboard/notifications/",
    "/dashboard/notifications/targets/",
    "/dashboard/notifications/targets/add/?kind=slack",
    "/dashboard/silences/",
    "/dashboard/checks/",
    "/dashboard/calendar/",
    "/dashboard/alerts/noise/",
    "/dashboard/alerts/statistics/",
    "/dashboard/maintenance-windows/",
    "/dashboard/fleets/",
    "/dashboard/audit/",
    "/dashboard/patterns/",
    "/dashboard/patterns/add/",
    "/dashboard/patterns/detections/",
    "/dashboard/units/",
    "/dashboard/workers/",
    "/dashboard/queues/",
    "/dashboard/schedules/",
    "/dashboard/coordination/",
    "/dashboard/inbox/",
    "/dashboard/inbox/?state=every",
    "/dashboard/scaling/",
    "/dashboard/launchers/",
    "/dashboard/webhooks/",
    "/dashboard/tasks/",
    "/dashboard/tasks/exceptions/",
    "/dashboard/tasks/latencies/",
    "/dashboard/tasks/lost/",
    "/dashboard/tasks/trigger/",
    "/dashboard/tasks/runs/",
    "/dashboard/sparklines/",
    "/dashboard/history/",
    "/dashboard/explore/",
    "/dashboard/views/?of=/dashboard/alerts/",
    "/dashboard/search/?q=a",
    "/dashboard/intelligence/",
    "/dashboard/variety/",
    "/dashboard/variety/history/",
    "/dashboard/policy/",
    "/dashboard/policy/viability/",
    "/dashboard/policy/goals/",
    "/dashboard/policy/identity/",
    "/dashboard/decisions/",
    "/dashboard/policy/emergencies/",
    "/dashboard/policy/acts/queue.pause/",
    "/dashboard/scores/",
    "/dashboard/configuration/",
]
VERBS = [
    "/dashboard/alerts/{alert}/acknowledge/",
    "/dashboard/alerts/{alert}/resolve/",
    "/dashboard/alerts/rules/{rule}/delete/",
    "/dashboard/units/{unit}/pause/",
    "/dashboard/units/{unit}/resume/",
    "/dashboard/units/{unit}/forget/",
    "/dashboard/units/add/",
    "/dashboard/fleets/",
    "/dashboard/alerts/rules/add/",
    "/dashboard/tasks/health.assess_now/trigger/",
    "/dashboard/schedules/",
    "/dashboard/policy/variety/",
    "/dashboard/policy/damping/",
    "/dashboard/policy/viability/",
    "/dashboard/policy/goal/add/",
    "/dashboard/decisions/",
    "/dashboard/patterns/install/",
    "/dashboard/patterns/import/",
]
RULE = {
    "name": "Too many orders", "metric": "orders", "unit_kind": "", "unit": "", "comparison": "gt", "threshold": "10",
    "for_seconds": "0", "severity": "critical", "cooldown_seconds": "300", "enabled": "on",
}  # fmt: skip


@pytest.fixture
def operator(client: Client) -> Client:
    """A browser in which an operator of the root system is logged in."""
    client.force_login(make_user(role="operator"))
    return client


def make_alert(unit: Unit, **fields: Any) -> Alert:
    fields = {"fingerprint": str(Alert.objects.count()), "state": Alert.State.FIRING, "severity": "critical", **fields}
    return Alert.objects.create(
        system=unit.system, unit=unit, type="rule", title="Too many orders", subject=unit.name, value=11.0, **fields
    )


def make_rule(**fields: Any) -> AlertRule:
    return AlertRule.objects.create(
        system=root_system(), **{"name": "Old", "metric": "orders", "threshold": 1, **fields}
    )


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_a_login_and_then_opens(path: str, client: Client) -> None:
    """Nothing is shown to strangers, and no page is broken while there is no data."""
    stranger = client.get(path)
    client.force_login(make_user(role="viewer"))
    answer = client.get(path)

    assert stranger.status_code == 302
    assert stranger.headers["Location"].startswith("/login/")
    assert answer.status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_a_page_keeps_a_strict_content_security_policy(path: str, operator: Client) -> None:
    """What a unit is called must never become a script."""
    make_unit("<script>alert(1)</script>")

    answer = operator.get(path)

    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert b"<script>alert" not in answer.content


@pytest.mark.parametrize("path", VERBS)
def test_a_viewer_changes_nothing(path: str, client: Client) -> None:
    """Looking and acting are different rights."""
    unit = make_unit()
    ids = {"alert": make_alert(unit).pk, "rule": make_rule().pk, "unit": unit.pk}
    client.force_login(make_user(role="viewer"))

    answer = client.post(path.format(**ids), RULE)

    assert answer.status_code == 403
    assert Unit.objects.get().state == unit.state
    assert Alert.objects.get().state == Alert.State.FIRING
    assert AlertRule.objects.count() == 1


def test_what_belongs_to_another_system_is_not_there(operator: Client) -> None:
    """Ids are small numbers; guessing one must not open another tenant's page."""
    unit = make_unit(system=make_system("theirs"))
    alert = make_alert(unit)

    answers = [
        operator.get(f"/dashboard/units/{unit.pk}/"),
        operator.post(f"/dashboard/units/{unit.pk}/pause/"),
        operator.post(f"/dashboard/alerts/{alert.pk}/resolve/"),
        operator.get("/dashboard/?system=theirs"),
        operator.get("/dashboard/systems/theirs/"),
    ]

    assert {answer.status_code for answer in answers} == {404}


def test_who_belongs_nowhere_is_told_whom_to_ask(client: Client) -> None:
    """An empty dashboard would look like a system without units."""
    client.force_login(make_user())

    answer = client.get("/dashboard/")

    assert answer.status_code == 403
    assert b"Ask an administrator" in answer.content


def test_a_rule_is_written_changed_and_deleted(operator: Client) -> None:
    """The three verbs of the page of rules."""
    operator.post("/dashboard/alerts/rules/add/", RULE)
    rule = AlertRule.objects.get()
    operator.post(f"/dashboard/alerts/rules/{rule.pk}/", {**RULE, "threshold": "20"})
    changed = AlertRule.objects.get()
    operator.post(f"/dashboard/alerts/rules/{rule.pk}/delete/")

    assert (rule.name, rule.threshold, rule.severity) == ("Too many orders", 10.0, "critical")
    assert rule.created_by is not None
    assert changed.threshold == 20.0
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("name", "", id="no name"),
        pytest.param("name", "Old", id="a name that is taken"),
        pytest.param("metric", "no metric!", id="no metric's name"),
        pytest.param("threshold", "much", id="a threshold in words"),
        pytest.param("threshold", "nan", id="a threshold that nothing exceeds"),
        pytest.param("for_seconds", "-1", id="a negative time"),
        pytest.param("comparison", "about", id="no comparison"),
        pytest.param("unit", "4711", id="a unit that is not there"),
        pytest.param("unit_kind", "submarine", id="a type that is not offered"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_at_its_field(field: str, value: str, operator: Client) -> None:
    """A rule that never fires is worse than none: somebody relies on it."""
    make_rule()

    answer = operator.post("/dashboard/alerts/rules/add/", {**RULE, field: value})

    wrong = re.findall(r'class="field wrong" id="field-(\w+)"', answer.content.decode())
    assert (answer.status_code, wrong) == (400, [field])
    assert AlertRule.objects.count() == 1


def test_an_alert_is_acknowledged_and_resolved(operator: Client) -> None:
    """Both verbs answer with the alert as it then is."""
    alert = make_alert(make_unit())

    acknowledged = operator.post(f"/dashboard/alerts/{alert.pk}/acknowledge/").json()
    resolved = operator.post(f"/dashboard/alerts/{alert.pk}/resolve/").json()

    assert acknowledged["acknowledged_at"] is not None
    assert resolved["state"] == "resolved"


def test_alerts_are_filtered_and_paged(operator: Client) -> None:
    """The record grows; what is looked for must stay in reach."""
    unit = make_unit()
    for _ in range(51):
        make_alert(unit, state=Alert.State.RESOLVED, severity="info")
    make_alert(unit, severity="critical")

    first = operator.get("/dashboard/alerts/?severity=info").content.decode()
    second = operator.get("/dashboard/alerts/?severity=info&page=2").content.decode()

    assert first.count('class="badge severity-info"') == 50
    assert 'href="?severity=info&amp;page=2"' in first
    assert second.count('class="badge severity-info"') == 1


def test_the_password_of_a_broker_never_comes_back(operator: Client) -> None:
    """Neither when it is stored nor when it is refused."""
    secret = "s3cret-of-the-broker"
    billing = {"name": "billing", "url": f"amqp://me:{secret}@127.0.0.1:1/"}
    stored = operator.post("/dashboard/fleets/", billing, follow=True)
    refused = operator.post("/dashboard/fleets/", {"name": "", "url": f"gopher://me:{secret}@127.0.0.1:1/"})

    assert b"billing" in stored.content
    assert secret.encode() not in stored.content + refused.content
    assert refused.status_code == 400
    assert b'class="field wrong" id="field-url"' in refused.content
    assert secret not in Fleet.objects.get(name="billing").broker_url_sealed


def test_an_http_service_is_watched_paused_and_forgotten(operator: Client) -> None:
    """The life of a unit that a person added."""
    operator.post("/dashboard/units/add/", {"name": "shop", "url": "https://shop.example/"})
    unit = Unit.objects.get()
    operator.post(f"/dashboard/units/{unit.pk}/pause/")
    paused = Unit.objects.get().state
    operator.post(f"/dashboard/units/{unit.pk}/resume/")
    resumed = Unit.objects.get().state
    operator.post(f"/dashboard/units/{unit.pk}/forget/")

    assert (unit.kind, unit.name) == ("http", "shop")
    assert (paused, resumed == Unit.State.PAUSED) == (Unit.State.PAUSED, False)
    assert not Unit.objects.exclude(state=Unit.State.GONE).exists()


def test_a_task_is_triggered_from_its_form(operator: Client) -> None:
    """What is not listed cannot be triggered here either."""
    operator.post("/dashboard/tasks/health.assess_now/trigger/")
    unlisted = operator.post("/dashboard/tasks/health.no_such_task/trigger/")

    assert [run.name for run in TaskRun.objects.all()] == ["health.assess_now"]
    assert unlisted.status_code == 404


def test_the_tasks_of_the_installation_are_closed_to_a_tenant(client: Client) -> None:
    """They act on every system, and their results tell of every system."""
    TaskRun.objects.create(name="health.assess_now", state="succeeded", result={"secret": "of-the-root"})
    client.force_login(make_user(role="operator", system=make_system("theirs")))

    page = client.get("/dashboard/tasks/trigger/")
    runs = client.get("/dashboard/tasks/runs/")
    refused = client.post("/dashboard/tasks/health.assess_now/trigger/")

    assert b"of-the-root" not in page.content + runs.content
    assert refused.status_code == 403
    assert TaskRun.objects.count() == 1


def test_the_snapshot_needs_as_many_queries_for_many_units_as_for_one(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    """It is built for every browser that connects."""
    system = root_system()
    for number in range(30):
        unit = make_unit(f"agent-{number:02}")
        make_alert(unit)
        record({unit.name: [Sample("orders", time.time(), float(number))]}, system_id=system.pk)

    with django_assert_max_num_queries(13):
        body = queries.snapshot(system)

    assert len(body["units"]) == len(body["alerts"]) == 30
    assert body["units"][7]["latest"]["orders"][1] == 7.0


def test_a_fleet_is_counted_whole_however_little_of_it_is_in_sight(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    """A page that shows the worst two still says that 250 of 300 answer; one query more finds the deepest queues."""
    system = root_system()
    crowd_units(1500)  # of five kinds
    Unit.objects.filter(kind="celery_worker", pk__in=Unit.objects.filter(kind="celery_worker")[:50]).update(
        state=Unit.State.SILENT, score=0.0
    )

    with django_assert_max_num_queries(14):
        body = queries.snapshot(system, View(limit=2, queues=0))

    counts = {(line["fleet"], line["kind"]): line for line in body["totals"]["units"]["fleets"]}
    workers = counts["shop", "celery_worker"]
    assert (workers["units"], workers["active"], workers["silent"]) == (300, 250, 50)
    assert sum(workers["health"].values()) == counts["shop", "celery_queue"]["units"] == 300
    assert body["view"] == {"units": 2, "matching": 1500, "cut": True}
    groups = body["totals"]["units"]["groups"]
    assert {"shop/celery_worker-*", "shop/http-*"} <= {group["role"] for group in groups}
    assert sum(group["units"] for group in groups) == 1500


def test_the_number_of_a_snapshot_is_read_before_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round, a change between the two would be in neither."""
    order = []
    monkeypatch.setattr(live, "current_number", lambda system_id: order.append("number") or 7)
    monkeypatch.setattr(queries, "snapshot", lambda system, view: order.append("rows") or {})

    number, _ = queries.numbered_snapshot(root_system())

    assert (number, order) == (7, ["number", "rows"])


def test_sparklines_answer_for_the_units_asked_for(operator: Client) -> None:
    """The table asks only for the rows in sight."""
    unit, other = make_unit("billing-1"), make_unit("billing-2")
    batches = {name: [Sample("orders", time.time() - 60, 4.0)] for name in ("billing-1", "billing-2")}
    record(batches, system_id=unit.system_id)

    hostile = f"unit=nonsense&unit={10**30}&unit={'9' * 5000}"
    answer = operator.get(f"/dashboard/sparklines/?unit={unit.pk}&{hostile}").json()

    assert str(other.pk) not in answer
    assert answer[str(unit.pk)]["metric"] == "orders"
    assert [value for _, value in answer[str(unit.pk)]["points"]] == [4.0]


def test_the_history_of_a_subsystem_keeps_its_unknowns(operator: Client) -> None:
    """A hole in a chart says `unknown`; a line across it would not."""
    slot = int(timezone.now().timestamp()) // 30 * 30
    for back, score in ((60, 0.8), (30, None), (0, 0.9)):
        Assessment.objects.create(
            system=root_system(),
            slot=slot - back,
            assessed_at=timezone.now(),
            status="normal",
            score=score,
            subsystems={"s1": {"score": score}},
        )

    answers = [operator.get(f"/dashboard/history/?subsystem={name}&range=1h").json() for name in ("s1", "")]

    assert [answer["score"] for answer in answers] == [[0.8, None, 0.9]] * 2
    assert answers[0]["at"] == [slot - 60, slot - 30, slot]


def test_a_person_logs_in_at_the_admin_and_lands_on_the_dashboard(client: Client) -> None:
    """One login for pages, admin and Flower."""
    user: User = make_user(superuser=True)

    answer = client.post("/login/?next=/dashboard/", {"username": user.username, "password": PASSWORD})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/dashboard/")
