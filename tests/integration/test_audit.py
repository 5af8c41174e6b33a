"""The configuration audit from a real worker's answers to what people decide about the findings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subsystems.algedonic.models import Signal
from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.services import ensure_own_units
from subsystems.s3_control.audit import services
from subsystems.s3_control.audit.facts import BrokerFacts, FleetFacts, WorkerFacts
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit
from subsystems.s3_control.audit.rules import judge
from tests.support.factories import bearer, make_system, make_token, make_user

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOUND: dict[str, Any] = {
    "accept_content": ["json"], "worker_send_task_events": True, "task_send_sent_event": True, "broker_heartbeat": 30,
    "broker_connection_max_retries": None, "worker_prefetch_multiplier": 1,
}  # fmt: skip


@pytest.fixture
def fleet(db: None) -> Fleet:
    return make_fleet(root_system())


def make_fleet(system: System) -> Fleet:
    return Fleet.objects.create(
        system=system, name="shop", broker_url_sealed="no address", broker_display="amqp://shop"
    )


def look(fleet: Fleet, now: datetime = NOON, **settings: Any) -> AuditRun:
    """Keep what an audit finds in a fleet of one worker with these settings."""
    facts = FleetFacts(BrokerFacts("process"), (WorkerFacts("w1", {**SOUND, **settings}),))
    return services.keep(fleet, judge(facts), worker_count=1, now=now)


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_the_platforms_own_workers_are_audited_out_of_the_box() -> None:
    """Whoever audits others begins at home, and nothing must be switched on for it."""
    ensure_own_units()

    audited = services.audit_due(now=NOON)

    row = FleetAudit.objects.get()
    assert (audited, row.error, row.fleet.own) == (1, "", True)
    assert row.score is not None
    assert len(row.kept) >= 5
    severe = Finding.objects.filter(severity__in=["critical", "high"]).values_list("rule", "evidence__tasks")
    # A test's process also holds the tasks of the application that other tests watch.
    named = [(rule, [name for name in tasks if not name.startswith("watched.")]) for rule, tasks in severe]
    assert [(rule, names) for rule, names in named if names] == []


@pytest.mark.django_db
def test_a_fleet_is_audited_once_when_its_time_has_come() -> None:
    """Two workers may take the same tick; each audit asks every worker of the fleet four questions."""
    make_fleet(root_system())

    turns = [services.audit_due(now=now) for now in (NOON, NOON, NOON + timedelta(minutes=16))]

    assert turns == [1, 0, 1]
    assert list(AuditRun.objects.values_list("score", flat=True)) == [None, None]
    assert FleetAudit.objects.get().error


def test_a_finding_is_tracked_from_open_to_fixed_and_back(fleet: Fleet) -> None:
    """What was mended and broken again is news; what is still broken is not."""
    story = []
    for number, on in enumerate((False, False, True, True, False)):
        run = look(fleet, hours(number), worker_send_task_events=on)
        finding = Finding.objects.get()
        story.append((finding.state, finding.times_seen, finding.times_returned, run.new_count, run.fixed_count))

    assert story == [
        ("open", 1, 0, 1, 0), ("open", 2, 0, 0, 0), ("fixed", 2, 0, 0, 1), ("fixed", 2, 0, 0, 0), ("open", 3, 1, 0, 0),
    ]  # fmt: skip
    assert finding.first_seen_at == NOON


def test_the_score_is_of_what_is_open(fleet: Fleet) -> None:
    """Accepting is a decision on record; it is not mending, and it may end."""
    run = look(fleet, worker_send_task_events=False, task_send_sent_event=False)
    medium = Finding.objects.get(severity="medium")
    services.accept(medium, reason="watched otherwise", until=hours(1), by=make_user(), now=hours(0.5))
    accepted = FleetAudit.objects.get().score
    look(fleet, hours(0.9), worker_send_task_events=False, task_send_sent_event=False)
    still = FleetAudit.objects.get().score
    look(fleet, hours(2), worker_send_task_events=False, task_send_sent_event=False)

    assert [run.score, accepted, still, FleetAudit.objects.get().score] == [0.89, 0.97, 0.97, 0.89]
    kinds = list(PendingEvent.objects.filter(type__startswith="audit.").values_list("type", flat=True))
    assert kinds.count("audit.accepted") == 1
    assert kinds.count("audit.completed") == 3


def test_a_fleet_that_falls_silent_has_no_score_and_keeps_its_findings(fleet: Fleet) -> None:
    """Nothing is fixed because nobody answers."""
    look(fleet, worker_send_task_events=False)

    services.audit(fleet, now=hours(1))

    row = FleetAudit.objects.get()
    assert (row.score, Finding.objects.get().state) == (None, "open")
    assert row.next_at == hours(1.25)


def test_a_critical_finding_raises_one_pain_and_its_end_ends_it(fleet: Fleet) -> None:
    """Whoever can reach the broker can run code in the workers: that is for somebody to hear."""
    for number in range(2):
        look(fleet, hours(number), accept_content=["json", "pickle"])
    raised = Signal.objects.get()
    assert raised.open
    look(fleet, hours(3))

    raised.refresh_from_db()
    assert not raised.open
    assert raised.data["rules"] == ["code-accepted"]


def test_a_decision_needs_a_reason_and_an_end_in_the_future(fleet: Fleet) -> None:
    """And is made once."""
    look(fleet, worker_send_task_events=False)
    finding = Finding.objects.get()

    for wrong in ({"reason": " ", "until": None}, {"reason": "x", "until": NOON}):
        with pytest.raises(Invalid):
            services.accept(finding, by=None, now=NOON, **wrong)  # type: ignore[arg-type]
    services.accept(finding, reason="x", until=None, by=None, now=NOON)
    with pytest.raises(Refused):
        services.accept(Finding.objects.get(), reason="y", until=None, by=None, now=NOON)
    services.reopen(Finding.objects.get(), by=None, now=NOON)
    assert Finding.objects.get().state == "open"


# --- API and page -----------------------------------------------------------------------------------------------------
def test_findings_are_listed_and_decided_over_the_api(fleet: Fleet) -> None:
    """With the reason, the remedy and the page that says so."""
    look(fleet, worker_send_task_events=False)
    client = Client(headers=bearer(make_token(["read", "operate"])[1]))
    base = "/api/v1/audit/"

    stands = client.get(base).json()["results"][0]
    found = client.get(f"{base}findings/", {"state": "open", "severity": "medium"}).json()["results"]
    one = f"{base}findings/{found[0]['id']}/"
    wrong = client.post(f"{one}accept/", {}, content_type="application/json")
    accepted = client.post(f"{one}accept/", {"reason": "known"}, content_type="application/json").json()
    reopened = client.post(f"{one}reopen/").json()
    asked = client.post(f"{base}{fleet.pk}/now/")

    assert (stands["fleet"], stands["open"], stands["score"]) == ("shop", 1, 0.92)
    assert [finding["rule"] for finding in found] == ["events-off"]
    assert found[0]["link"].startswith("https://docs.celeryq.dev/")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "reason")
    assert (accepted["state"], reopened["state"], asked.status_code) == ("accepted", "open", 202)
    assert len(client.get(f"{base}rules/").json()) >= 12
    assert client.get(f"{base}runs/").json()["results"][0]["found"] == 1


def test_tenants_see_the_audits_of_their_own_fleets(fleet: Fleet) -> None:
    """How somebody else's workers are set up is a map for an attacker."""
    look(fleet, worker_send_task_events=False)
    mine = make_system()
    look(make_fleet(mine), worker_send_task_events=False)
    finding = Finding.objects.get(fleet=fleet)
    tenant = make_user(role="operator", system=mine)
    client = Client(headers=bearer(make_token(["read", "operate"], user=tenant)[1]))
    browser = Client()
    browser.force_login(tenant)

    assert [row["system"] for row in client.get("/api/v1/audit/").json()["results"]] == [mine.slug]
    assert len(client.get("/api/v1/audit/findings/").json()["results"]) == 1
    assert client.get(f"/api/v1/audit/findings/{finding.pk}/").status_code == 404
    accepted = client.post(
        f"/api/v1/audit/findings/{finding.pk}/accept/", {"reason": "x"}, content_type="application/json"
    )
    assert accepted.status_code == 404
    assert browser.post(f"/dashboard/audit/findings/{finding.pk}/accept/", {"reason": "x"}).status_code == 404


def test_the_page_shows_what_is_open_and_takes_decisions(fleet: Fleet, client: Client) -> None:
    """A person needs no API for it."""
    look(fleet, worker_send_task_events=False)
    client.force_login(make_user(role="operator", system=root_system()))
    finding = Finding.objects.get()

    page = client.get("/dashboard/audit/").content.decode()
    client.post(f"/dashboard/audit/findings/{finding.pk}/accept/", {"reason": "known to us"})
    after = client.get("/dashboard/audit/").content.decode()

    assert "Workers send no task events" in page
    assert "Nothing is open" in after
    assert "known to us" in after


def test_the_page_takes_the_same_few_queries_however_much_was_found(fleet: Fleet, client: Client) -> None:
    """A fleet of a hundred queues may have a hundred findings."""
    client.force_login(make_user(role="operator", system=root_system()))
    counts = []
    for number in (1, 40):
        Finding.objects.bulk_create(
            Finding(
                fleet=fleet, system=fleet.system, rule="transient-queues", subject=f"queue:{number}-{each}",
                severity="high", first_seen_at=NOON, last_seen_at=NOON,
            )
            for each in range(number)
        )  # fmt: skip
        client.get("/dashboard/audit/")
        with CaptureQueriesContext(connection) as asked:
            client.get("/dashboard/audit/")
        counts.append(len(asked))

    assert counts[0] == counts[1]
