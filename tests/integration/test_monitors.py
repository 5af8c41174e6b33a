"""The pages of S1 to S5: three monitors each, and what needs attention."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.fleets.models import StuckFinding
from subsystems.kernel.words import Subsystem
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control.models import Recommendation
from subsystems.s5_policy.models import Decision
from tests.support.factories import make_system, make_unit, make_user
from vsm_site.dashboard.monitors import monitors
from vsm_site.dashboard.monitors.base import Asked

pytestmark = pytest.mark.django_db
TITLES = {
    "s1": ["Operational monitor", "Performance tracker", "Resource monitor"],
    "s2": ["Coordination monitor", "Variety manager", "Channel monitor"],
    "s3": ["Control monitor", "Optimisation engine", "Audit manager"],
    "s4": ["Environment scanner", "Threat analyser", "Future projector"],
    "s5": ["Policy monitor", "Identity manager", "Strategic planner"],
}


def trouble(count: int) -> None:
    """Make *count* of everything that needs attention."""
    root, now = root_system(), timezone.now()
    fleet, _ = Fleet.objects.get_or_create(system=root, name="shop")
    for _ in range(count):
        unit = make_unit(kind="celery_worker", fleet=fleet, state=Unit.State.SILENT)
        StuckFinding.objects.create(
            fleet=fleet, kind="stalled", subject=unit.name, summary=f"{unit.name} stands still", confidence=0.9,
            since=now, found_at=now, seen_at=now,
        )  # fmt: skip
        Recommendation.objects.create(
            system=root, kind="scale", source="s3", subject=unit.name, title="More workers", expires_at=now
        )
        Decision.objects.create(system=root, fingerprint=unit.name, asked_at=now, due_at=now - timedelta(hours=1))


@pytest.mark.parametrize("slug", TITLES)
def test_a_page_has_its_three_monitors_and_costs_the_same_however_much_there_is(slug: str, client: Client) -> None:
    """Each is asked for again after every assessment, by everybody who looks."""
    client.force_login(make_user(superuser=True))
    costs = []
    for count in (1, 12):
        trouble(count)
        with CaptureQueriesContext(connection) as asked:
            answer = client.get(f"/dashboard/systems/{slug}/")
        costs.append(len(asked))

    text = answer.content.decode()
    assert [title for title in TITLES[slug] if f">{title}</a>" not in text] == []
    assert costs[1] < costs[0] + 5  # eleven more of each; what is cached for seconds may be asked for again


def test_what_needs_attention_comes_first_and_only_of_this_system() -> None:
    """A list of everything is a list of nothing; another tenant's troubles are not told."""
    trouble(2)
    elsewhere, now = make_system(), timezone.now()

    panels, needs = monitors(Subsystem.S1, Asked(root_system(), now, ()))
    _, decide = monitors(Subsystem.S5, Asked(root_system(), now, ()))
    _, none = monitors(Subsystem.S3, Asked(elsewhere, now, (elsewhere.pk,)))

    assert [need.level for need in needs] == ["critical", "critical", "warning", "warning"]
    assert needs[0].text.endswith("is silent")
    assert (panels[0].rows[0].value, panels[0].rows[0].level) == ("0 of 2", "unhealthy")
    assert {need.text for need in decide} == {"Overdue: an alert asks"}
    assert none == []


def test_what_was_not_measured_is_unknown_on_every_monitor() -> None:
    """A new system has no numbers, and none is made up."""
    system = make_system()
    asked = Asked(system, timezone.now(), (system.pk,))

    found = {row.name: row.value for slug in Subsystem for panel in monitors(slug, asked)[0] for row in panel.rows}

    unknown = {name for name, value in found.items() if value == "unknown"}
    assert {"Throughput", "Succeeded", "Lag", "Variety", "Alignment", "Progress of all goals"} <= unknown
    assert "healthy" not in found.values()
