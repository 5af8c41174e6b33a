"""Teams and rotas: who may say who is on call, and what is told of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from alerts.models import Rota, RotaOverride, Team
from alerts.people import duties, queries
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.recursion.queries import people_in, root_system
from tests.support.factories import make_system, make_user

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def anna(system: System) -> User:
    return make_user("anna", role="admin")


@pytest.fixture
def ben(system: System) -> User:
    return make_user("ben", role="operator")


def layer(*participants: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "week", "participants": list(participants), "turn": 1, "unit": "weeks", "handover": "09:00",
        "weekday": "mon", "starts_on": "2026-11-23", **fields,
    }  # fmt: skip


def rota(system: System, by: User, *layers: dict[str, Any], name: str = "primary", **fields: Any) -> Rota:
    made = Rota(system=system, name=name)
    return duties.save_rota(made, by, layers=list(layers), now=NOON, **fields)


def test_people_of_a_system_hold_the_scope_there_or_above() -> None:
    """A page must reach somebody who can do something about it."""
    top, child = make_system("top"), None
    child = make_system("child", parent=top)
    above = make_user("above", role="operator", system=top)
    make_user("reader", role="viewer", system=child)
    make_user("elsewhere", role="admin", system=make_system())
    boss = make_user("boss", superuser=True)
    make_user("left", role="admin", system=child, is_active=False)

    assert set(people_in(child.pk)) == {above, boss}


def test_a_rota_tells_who_is_on_call_and_who_is_next(system: System, anna: User, ben: User) -> None:
    """With the time zone: nine o'clock in Berlin is eight in winter."""
    made = rota(system, anna, layer("anna", "ben"), time_zone="Europe/Berlin")

    body = queries.rota_bodies([made], now=NOON)[0]

    assert (body["on_call"], body["next"], body["handover_at"]) == ("anna", "ben", "2026-11-30T08:00:00Z")
    assert body["layers"][0]["participants"] == ["anna", "ben"]


def test_taking_a_shift_is_an_override_and_once(system: System, anna: User, ben: User) -> None:
    """A form that is sent twice."""
    made = rota(system, anna, layer("anna"))
    for _ in range(2):
        duties.take_shift(made, ben, ben, NOON + HOUR, NOON + 3 * HOUR, now=NOON)

    shifts = queries.shift_bodies(made, NOON, NOON + DAY)

    assert [(each["user"], each["override"]) for each in shifts] == [("anna", False), ("ben", True), ("anna", False)]
    duties.drop_override(RotaOverride.objects.get(), ben)
    assert [each["user"] for each in queries.shift_bodies(made, NOON, NOON + DAY)] == ["anna"]


@pytest.mark.parametrize(
    ("starts", "ends", "field"),
    [
        pytest.param(NOON + HOUR, NOON + HOUR, "ends_at", id="no time at all"),
        pytest.param(NOON - DAY, NOON - HOUR, "ends_at", id="in the past"),
        pytest.param(NOON, NOON + 100 * DAY, "ends_at", id="for too long"),
        pytest.param(NOON + 400 * DAY, NOON + 401 * DAY, "ends_at", id="too far away"),
    ],
)
def test_a_shift_that_cannot_be_taken(system: System, anna: User, starts: datetime, ends: datetime, field: str) -> None:
    """Named by its field."""
    with pytest.raises(Invalid) as caught:
        duties.take_shift(rota(system, anna, layer("anna")), anna, anna, starts, ends, now=NOON)

    assert caught.value.field == field


@pytest.mark.parametrize("names", [["nobody"], ["anna\0"], [3], ["outsider"]])
def test_nobody_else_is_put_on_call(system: System, anna: User, names: list[Any]) -> None:
    """Neither strangers, nor people of another tenant."""
    make_user("outsider", role="admin", system=make_system())

    with pytest.raises(Invalid) as in_rota:
        rota(system, anna, layer(*names))
    with pytest.raises(Invalid) as in_team:
        duties.save_team(Team(system=system, name="ops"), anna, members=names)

    assert (in_rota.value.field, in_team.value.field) == ("layers[0].participants", "members")


# --- The API ---


def post(client: Any, address: str, body: Any, method: str = "post") -> Any:
    return getattr(client, method)(f"/api/v1/{address}", body, "application/json")


def test_the_api_keeps_teams_and_rotas(anna: User, ben: User, client: Any) -> None:
    """Programs plan, too."""
    client.force_login(anna)
    team = post(client, "teams/", {"name": "ops", "members": ["ben", "anna"]})
    made = post(client, "rotas/", {"name": "primary", "layers": [layer("anna", "ben")], "time_zone": "UTC"})
    address = f"rotas/{made.json()['id']}/"
    changed = post(client, address, {"name": "second", "tell_handover": True}, "patch")
    on_call = client.get(f"/api/v1/{address}on-call/?at=2026-12-01T00:00:00Z").json()
    shifts = client.get(f"/api/v1/{address}shifts/?start=2026-11-23T09:00:00Z&end=2026-12-14T09:00:00Z").json()

    assert (team.status_code, team.json()["members"]) == (201, ["anna", "ben"])
    assert (made.status_code, changed.status_code, changed.json()["name"]) == (201, 200, "second")
    assert (on_call["user"], on_call["next"]) == ("ben", "anna")
    assert [each["user"] for each in shifts] == ["anna", "ben", "anna"]
    assert client.delete(f"/api/v1/{address}").status_code == 204
    assert client.delete(f"/api/v1/teams/{team.json()['id']}/").status_code == 204


def test_operators_take_shifts_and_plan_nothing(system: System, anna: User, ben: User, client: Any) -> None:
    """Whoever is on call may swap; who is told is for those who administer."""
    made = rota(system, anna, layer("anna"))
    starts = datetime.now(UTC) + HOUR
    client.force_login(ben)

    times = {"starts_at": starts.isoformat(), "ends_at": (starts + HOUR).isoformat()}
    taken = post(client, f"rotas/{made.pk}/overrides/", times)
    listed = client.get(f"/api/v1/rotas/{made.pk}/overrides/").json()
    planned = post(client, "rotas/", {"name": "x", "layers": [layer("ben")]})
    dropped = client.delete(f"/api/v1/rotas/{made.pk}/overrides/{taken.json()['id']}/")

    assert (taken.status_code, taken.json()["user"], len(listed)) == (201, "ben", 1)
    assert (planned.status_code, dropped.status_code) == (403, 204)


@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("teams/", {"name": "", "members": []}, "name"),
        ("teams/", {"name": "ops", "members": ["nobody"]}, "members"),
        ("rotas/", {"name": "r", "layers": []}, "layers"),
        ("rotas/", {"name": "r", "layers": [5]}, "layers"),
        ("rotas/", {"name": "r", "layers": [{"name": "l"}]}, "layers[0].participants"),
        ("rotas/", {"name": "r", "layers": [layer("anna")], "time_zone": "Mars/Olympus"}, "time_zone"),
        ("rotas/", {"name": "r", "layers": [layer("anna", turn=10**6)]}, "layers[0].turn"),
        ("rotas/", {"name": "r", "layers": [layer({"a": 1})]}, "layers[0].participants"),
        ("rotas/", {"name": "r", "layers": [layer("anna", hours="x")]}, "layers[0].hours"),
    ],
)
def test_what_cannot_be_planned_names_its_place(
    anna: User, client: Any, address: str, body: dict[str, Any], field: str
) -> None:
    """Clear errors, never a 500."""
    client.force_login(anna)

    answer = post(client, address, body)

    assert answer.status_code == 400, answer.content
    assert f'"{field}' in json.dumps(answer.json()["errors"])


def test_tenants_do_not_see_one_anothers_rotas(system: System, anna: User, client: Any) -> None:
    """Nor their names."""
    made = rota(system, anna, layer("anna"))
    team = duties.save_team(Team(system=system, name="ops"), anna, members=["anna"])
    client.force_login(make_user(role="admin", system=make_system()))

    addresses = [f"rotas/{made.pk}/", f"rotas/{made.pk}/shifts/", f"rotas/{made.pk}/overrides/", f"teams/{team.pk}/"]
    found = [client.get(f"/api/v1/{each}").status_code for each in addresses]

    assert found == [404] * 4
    assert client.get("/api/v1/rotas/").json()["results"] == []


def test_a_list_of_rotas_asks_a_bounded_number_of_times(
    system: System, anna: User, client: Any, django_assert_max_num_queries: Any
) -> None:
    """Whoever has many teams has many rotas."""
    for number in range(12):
        rota(system, anna, layer("anna", starts_on="2026-01-05"), name=f"r{number}")
    client.force_login(anna)

    with django_assert_max_num_queries(14):
        rows = client.get("/api/v1/rotas/").json()["results"]

    assert [each["on_call"] for each in rows] == ["anna"] * 12
