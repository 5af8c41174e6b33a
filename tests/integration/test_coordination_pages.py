"""The page and the addresses of S2: what they show, to whom, and what they let whom change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from subsystems.kernel.slots import slot_of
from subsystems.recursion.queries import root_system
from subsystems.s2_coordination import damping
from subsystems.s2_coordination.models import Damper
from subsystems.s2_coordination.monitor import services
from subsystems.s2_coordination.monitor.findings import Found
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from subsystems.s2_coordination.monitor.services import Seen
from tests.support.factories import bearer, make_system, make_token, make_user
from vsm_site.dashboard.swings import picture

pytestmark = pytest.mark.django_db


def find(subject: str = "workers", system: Any = None) -> CoordinationFinding:
    """Return an open finding with a picture."""
    evidence = {"points_from": 0, "points_step": 60, "points_shown": [1, 5, None, 5, 1], "crossings": 8}
    found = Found("oscillation", "acts", subject, f"{subject} swings", "Up and down.", "Wait longer.", evidence)
    seen = Seen()
    seen.take(found)
    services.settle(system or root_system(), seen, {found.key}, {}, now=timezone.now())
    return CoordinationFinding.objects.get(subject=subject)


def browser(role: str = "operator", system: Any = None) -> Client:
    client = Client()
    client.force_login(make_user(role=role, system=system))
    return client


def test_the_page_shows_what_swings_and_what_damps_it() -> None:
    """Whoever wonders why nothing is scaled in finds until when and why."""
    find()
    damping.note(root_system().pk, "workers", 1, timezone.now())
    damping.hold(root_system().pk, "queue mail", timezone.now() + timedelta(hours=1), "It swings.", now=timezone.now())

    text = browser().get("/dashboard/coordination/").content.decode()

    assert "workers swings" in text
    assert 'aria-label="From 1 to 5, last 5 minutes"' in text
    assert "Something was added" in text
    assert "It swings." in text
    assert "Let go" in text


def test_the_page_asks_no_more_for_many_findings(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """A page that is slow when there is trouble is not looked at."""
    for number in range(8):
        find(f"subject {number}")
        damping.note(root_system().pk, f"subject {number}", 1, timezone.now())
    client = browser()

    with django_assert_max_num_queries(40):
        client.get("/dashboard/coordination/")


def test_readers_change_nothing_and_strangers_see_nothing() -> None:
    """One tenant's dampers are no business of another."""
    theirs = make_system()
    find("their workers", theirs)
    damping.note(theirs.pk, "their workers", 1, timezone.now())
    damper, reader = Damper.objects.get(), browser("viewer")
    address = f"/dashboard/coordination/dampers/{damper.pk}/lift/"
    _, secret = make_token(["read", "operate"], user=make_user(role="operator"))

    assert "their workers" not in reader.get("/dashboard/coordination/").content.decode()
    assert browser("operator").post("/dashboard/policy/damping/", {"enabled": "on"}).status_code == 403
    assert browser().post(address).status_code == 404
    client = Client(headers=bearer(secret))
    for name in ("findings", "dampers"):
        assert client.get(f"/api/v1/coordination/{name}/").json()["results"] == []
    assert client.post(f"/api/v1/coordination/dampers/{damper.pk}/lift/").status_code == 404
    assert client.get("/api/v1/coordination/", {"system": theirs.slug}).status_code == 400
    assert Client().get("/api/v1/coordination/").status_code == 401


def test_a_damper_is_let_go_on_the_page() -> None:
    """A person who knows better acts at once."""
    damping.note(root_system().pk, "workers", 1, timezone.now())

    answer = browser().post(f"/dashboard/coordination/dampers/{Damper.objects.get().pk}/lift/", follow=True)

    assert "workers is free." in answer.content.decode()
    assert damping.clear(root_system().pk, "workers", -1, timezone.now()).allowed


@pytest.mark.parametrize(
    ("factor", "status", "enabled"),
    [pytest.param("3", 302, False, id="good"), pytest.param("0.5", 400, True, id="bad")],
)
def test_damping_is_policy_and_switched_off_as_such(factor: str, status: int, enabled: bool) -> None:
    """With and without are compared by one switch; what cannot be changes nothing."""
    fields = {
        "reason": "To compare", "expected": "0",
        "relief_seconds": "5", "longest_relief_seconds": "60", "retreat_seconds": "300", "factor": factor,
        "longest_retreat_seconds": "7200", "calm_seconds": "3600", "lease_seconds": "60",
        "most_extra": "0.5",
    }  # fmt: skip

    answer = browser("admin").post("/dashboard/policy/damping/", fields)

    page = browser().get("/dashboard/coordination/").content.decode()
    assert answer.status_code == status
    assert damping.terms_of(root_system().pk).enabled is enabled
    assert ("Damping is switched off" in page, "/dashboard/policy/damping/" in page) == (not enabled, True)


def test_programs_read_and_change_the_same() -> None:
    """What the page shows a script must be able to check."""
    finding = find()
    damping.note(root_system().pk, "workers", 1, timezone.now())
    _, secret = make_token(["read", "operate", "admin"])
    client = Client(headers=bearer(secret))

    whole = client.get("/api/v1/coordination/").json()
    found = client.get("/api/v1/coordination/findings/", {"open": "true", "kind": "oscillation"}).json()["results"]
    damper = client.get("/api/v1/coordination/dampers/").json()["results"][0]
    lifted = client.post(f"/api/v1/coordination/dampers/{damper['id']}/lift/").json()
    again = client.post(f"/api/v1/coordination/dampers/{damper['id']}/lift/")
    said = {"kind": "damping", "reason": "To compare"}
    bad = client.post(
        "/api/v1/policies/", {**said, "fields": {"factor": 0.1}}, content_type="application/json"
    )  # fmt: skip
    made = client.post("/api/v1/policies/", {**said, "fields": {"enabled": False}}, content_type="application/json")
    off = client.get("/api/v1/coordination/damping/").json()

    assert (whole["lag"]["mean_seconds"], whole["open_findings"]) == (None, {"oscillation": 1})
    assert [each["id"] for each in found] == [finding.pk]
    assert (damper["in_force"], lifted["in_force"], again.status_code) == (True, False, 409)
    assert (off["enabled"], off["factor"]) == (False, 2.0)
    assert (bad.status_code, "factor" in bad.content.decode(), made.status_code) == (400, True, 201)


def test_metrics_tell_of_it() -> None:
    """An alert on coordination needs a number that is scraped."""
    find()
    now = timezone.now()
    damping.clear(root_system().pk, "workers", 1, now)
    services.look(slot_of(now, 60), now=now)
    _, secret = make_token()

    text = Client(headers=bearer(secret)).get("/metrics").content.decode()

    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert 'vsm_system2_allocations{system="main"} 1' in text
    assert len(names) == len(set(names))  # one name twice, and nothing at all is scraped
    assert "vsm_system2_message_lag_seconds{" not in text  # not known


@pytest.mark.parametrize("points", [pytest.param([], id="none"), pytest.param([None, 3], id="one")])
def test_what_has_no_points_has_no_picture(points: list[float | None]) -> None:
    """A line through nothing would be made up."""
    assert picture({"points_shown": points}) is None
