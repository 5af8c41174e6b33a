"""Rotas, teams, policies, escalations and how people are reached, on the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from alerts.models import ContactSettings, EscalationPolicy, Rota, RotaOverride, Target, Team
from alerts.notices import reporting
from alerts.notices import services as notices
from alerts.people import duties, planning, services
from alerts.people.models import EscalationRun
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user
from tests.support.services_fake import serving

pytestmark = pytest.mark.django_db
LAYERS = """
- name: week
  participants: [anna, ben]
  unit: weeks
  starts_on: 2026-01-05
"""


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def anna(system: System) -> User:
    make_user("ben", role="operator")
    return make_user("anna", role="admin")


@pytest.fixture
def pages(client: Client, anna: User) -> Client:
    client.force_login(anna)
    return client


def planned(system: System, anna: User, name: str = "primary") -> Rota:
    layer = {"name": "week", "participants": ["anna", "ben"], "starts_on": "2026-01-05"}
    return duties.save_rota(Rota(system=system, name=name), anna, layers=[layer], now=timezone.now())


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_rota_is_planned_drawn_and_a_shift_taken(pages: Client) -> None:
    """Four weeks as four lines, each with words for those who do not see it."""
    made = pages.post("/dashboard/on-call/rotas/add/", {"name": "primary", "time_zone": "UTC", "layers": LAYERS})
    rota = Rota.objects.get()
    address = f"/dashboard/on-call/rotas/{rota.pk}/"
    starts = timezone.now() + timedelta(days=1)
    times = {"starts_at": f"{starts:%Y-%m-%dT%H:%M}", "ends_at": f"{starts + timedelta(hours=3):%Y-%m-%dT%H:%M}"}
    taken = pages.post(address, {"take": "", "user": "ben", **times})
    shown = text(pages.get(address))

    assert (made.status_code, taken.status_code, RotaOverride.objects.get().user.username) == (302, 302, "ben")
    assert (shown.count("rota-line"), "rota-override" in shown, "is on call now" in shown) == (4, True, True)
    assert "anna" in text(pages.get("/dashboard/on-call/"))
    pages.post(f"/dashboard/on-call/overrides/{RotaOverride.objects.get().pk}/drop/")
    assert not RotaOverride.objects.exists()


@pytest.mark.parametrize(
    ("address", "form", "words"),
    [
        ("rotas/add/", {"name": "r", "time_zone": "Mars", "layers": LAYERS}, "no time zone"),
        ("rotas/add/", {"name": "r", "time_zone": "UTC", "layers": "- {"}, "no YAML"),
        ("rotas/add/", {"name": "r", "time_zone": "UTC", "layers": "- {name: x}"}, "layers[0].participants"),
        ("rotas/add/", {"name": "", "time_zone": "UTC", "layers": LAYERS}, "required"),
        ("teams/add/", {"name": "ops", "members": "anna, nobody"}, "nobody"),
        ("policies/add/", {"name": "p", "steps": "- wait: x"}, "steps[0].wait"),
        ("policies/add/", {"name": "p", "steps": "hello"}, "1 to 50 steps"),
    ],
)
def test_what_cannot_be_planned_is_told_at_its_field(
    pages: Client, address: str, form: dict[str, str], words: str
) -> None:
    """And what was typed stays."""
    answer = pages.post(f"/dashboard/on-call/{address}", form)

    assert answer.status_code == 400
    assert words in text(answer)


def test_teams_and_policies_are_kept_and_deleted(pages: Client) -> None:
    """A team that a policy names stays."""
    pages.post("/dashboard/on-call/teams/add/", {"name": "ops", "members": "anna, ben"})
    steps = "- notify: {team: ops}\n- wait: 5m\n"
    pages.post("/dashboard/on-call/policies/add/", {"name": "rescue", "steps": steps, "enabled": "on"})
    team, policy = Team.objects.get(), EscalationPolicy.objects.get()
    shown = text(pages.get(f"/dashboard/on-call/policies/{policy.pk}/"))

    refused = text(pages.post(f"/dashboard/on-call/teams/{team.pk}/delete/", follow=True))
    pages.post(f"/dashboard/on-call/policies/{policy.pk}/", {"steps": steps + "- repeat: 2"})
    policy.refresh_from_db()
    pages.post(f"/dashboard/on-call/policies/{policy.pk}/delete/")
    pages.post(f"/dashboard/on-call/teams/{team.pk}/delete/")

    assert "team: ops" in shown
    assert "names this team" in refused
    assert (len(policy.steps), policy.enabled) == (3, False)
    assert not Team.objects.exists()
    assert not EscalationPolicy.objects.exists()


def test_escalations_are_listed_with_their_steps(pages: Client, system: System, anna: User) -> None:
    """Who was told by what, and who was not and why."""
    policy = EscalationPolicy(system=system, name="rescue")
    planning.save_policy(policy, anna, steps=[{"notify": {"user": "ben"}}, {"wait": "5m"}])
    empty = text(pages.get("/dashboard/on-call/escalations/"))
    labels = {"alertname": "Full", "severity": "critical", "escalation": "rescue"}
    reporting.receive(system, [{"labels": labels}], now=timezone.now())
    notices.turn(now=timezone.now())
    services.escalate(now=timezone.now())

    shown = text(pages.get("/dashboard/on-call/escalations/"))

    assert "Nothing has escalated" in empty
    assert all(words in shown for words in ("notify ben", "no_contact", "wait 5m", "running"))
    assert "1 escalation" in text(pages.get("/dashboard/on-call/"))


def test_how_one_is_reached_is_kept_and_tested(pages: Client, anna: User, settings: Any) -> None:
    """By whoever is logged in, a reader too."""
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    with serving() as fake:
        url = {"name": "phone", "url": f"{fake.url}/hook"}
        made = pages.post("/dashboard/me/contact/add/?kind=webhook", url)
        method = Target.objects.get()
        tested = text(pages.post(f"/dashboard/me/contact/{method.pk}/test/", follow=True))
    rules = {"critical": "0 phone", "other": "10 phone", "time_zone": "Europe/Berlin", "quiet_from": "22:00",
             "quiet_until": "07:00", "quiet_days": ["sat"]}  # fmt: skip
    kept = pages.post("/dashboard/me/contact/", rules)
    shown = text(pages.get("/dashboard/me/contact/"))

    assert (made.status_code, kept.status_code, method.owner) == (302, 302, anna)
    assert "has taken the test" in tested
    assert ContactSettings.objects.get().quiet_hours == [{"days": ["sat"], "from": "22:00", "until": "07:00"}]
    assert "10 phone" in shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"critical": "phone"}, "A step is like"),
        ({"critical": "0 pigeon"}, "You have no method"),
        ({"time_zone": "Mars"}, "no time zone"),
        ({"quiet_from": "22:00"}, "or neither"),
        ({"quiet_from": "22:00", "quiet_until": "22:00"}, "never end"),
    ],
)
def test_rules_that_cannot_be_kept_are_told_at_their_field(pages: Client, change: dict[str, str], words: str) -> None:
    """Never a 500."""
    answer = pages.post("/dashboard/me/contact/", {"time_zone": "UTC", **change})

    assert answer.status_code == 400
    assert words in text(answer)


def test_nobody_sees_or_changes_what_is_not_theirs(client: Client, system: System, anna: User) -> None:
    """Operators take shifts; readers look; strangers see nothing."""
    rota = planned(system, anna)
    mine = Target.objects.create(owner=anna, name="phone", kind="webhook", config={"url": "https://a.example.org/"})
    found = []
    for user in (make_user(role="operator"), make_user(role="viewer"), make_user(role="admin", system=make_system())):
        client.force_login(user)
        found += [
            client.get(f"/dashboard/on-call/rotas/{rota.pk}/").status_code,
            client.post(f"/dashboard/on-call/rotas/{rota.pk}/", {"save": ""}).status_code,
            client.post(f"/dashboard/on-call/rotas/{rota.pk}/delete/").status_code,
            client.get(f"/dashboard/me/contact/{mine.pk}/").status_code,
            client.post(f"/dashboard/me/contact/{mine.pk}/test/").status_code,
        ]

    assert found == [200, 403, 403, 404, 404] * 2 + [404] * 5


def test_the_pages_ask_a_bounded_number_of_times(
    pages: Client, system: System, anna: User, django_assert_max_num_queries: Any
) -> None:
    """However many rotas there are."""
    for number in range(12):
        planned(system, anna, name=f"r{number}")

    with django_assert_max_num_queries(25):
        assert pages.get("/dashboard/on-call/").status_code == 200
    assert not EscalationRun.objects.exists()
