"""Units and fleets as operators and agents change them."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alerts.models import AlertRule
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import services
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Fleet, Unit
from subsystems.s1_operations.queries import broker_url, fleet_body, unit_body
from subsystems.telemetry.queries import latest
from subsystems.telemetry.samples import Sample
from tests.support.factories import make_system, make_unit, make_user

pytestmark = pytest.mark.django_db
DOWN = "redis://:s3cret-word@127.0.0.1:1/4"


@pytest.fixture(autouse=True)
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """Collect what open dashboards would be told."""
    told: list[tuple[str, str, Any]] = []
    monkeypatch.setattr(services, "push", lambda _system, kind, key, body: told.append((kind, key, body)))
    services._agents.clear()
    return told


def batch(now: Any, **values: float) -> list[Sample]:
    return [Sample(metric, now.timestamp(), value) for metric, value in values.items()]


# --- Agents -----------------------------------------------------------------------------------------------------------
def test_an_agent_appears_with_its_first_batch(pushed: list[Any]) -> None:
    """Nobody has to enter a source before it may speak."""
    now = timezone.now()

    outcome = services.receive_batch(root_system(), "billing-1", batch(now, orders=5.0, memory_ratio=0.5), now=now)

    unit = Unit.objects.get(kind="agent", name="billing-1")
    assert (outcome.accepted, unit.state, unit.last_seen_at, unit.score) == (2, Unit.State.ACTIVE, now, 1.0)
    assert latest(unit.system_id, sources=["billing-1"])["billing-1"]["orders"][1] == 5.0
    assert [(kind, key) for kind, key, _ in pushed] == [("unit", str(unit.pk)), ("samples", str(unit.pk))]


def test_a_steady_agent_costs_one_update_in_two_seconds(pushed: list[Any]) -> None:
    """200 batches a second must not be 200 writes of everything."""
    now = timezone.now()
    for seconds in (0, 1):
        services.receive_batch(root_system(), "steady", batch(now, orders=5.0), now=now + timedelta(seconds=seconds))
    pushed.clear()

    with CaptureQueriesContext(connection) as captured:
        for tenth in range(10, 30):
            moment = now + timedelta(seconds=tenth / 10)
            services.receive_batch(root_system(), "steady", batch(now, orders=5.0), now=moment)

    writes = [query["sql"] for query in captured if query["sql"].startswith("UPDATE")]
    assert len(writes) == 1
    assert {kind for kind, _, _ in pushed} == {"samples"}


@pytest.mark.parametrize("seconds", [20, 5], ids=["after a while", "and this process had heard it all the time"])
def test_a_silent_agent_that_speaks_again_is_active(seconds: int, pushed: list[Any]) -> None:
    """Its return is told as its silence was."""
    now = timezone.now()
    services.receive_batch(root_system(), "back", batch(now, orders=5.0), now=now)
    unit = Unit.objects.get(name="back")
    services.silence([unit])

    services.receive_batch(root_system(), "back", batch(now, orders=6.0), now=now + timedelta(seconds=seconds))

    unit.refresh_from_db()
    assert (unit.state, unit.score) == (Unit.State.ACTIVE, 1.0)
    assert [body["state"] for kind, _, body in pushed if kind == "unit"] == ["active", "silent", "active"]


def test_an_agent_that_was_forgotten_appears_again() -> None:
    """What this process remembers of it is not the truth."""
    now = timezone.now()
    services.receive_batch(root_system(), "again", batch(now, orders=5.0), now=now)
    services.forget_unit(Unit.objects.get(name="again"))

    services.receive_batch(root_system(), "again", batch(now, orders=5.0), now=now + timedelta(seconds=5))

    assert Unit.objects.get(name="again").state == Unit.State.ACTIVE


def test_a_paused_agent_stays_paused() -> None:
    """Its samples are kept; its state is the operator's."""
    now = timezone.now()
    services.receive_batch(root_system(), "held", batch(now, orders=5.0), now=now)
    services.pause_unit(Unit.objects.get(name="held"))

    services.receive_batch(root_system(), "held", batch(now, orders=5.0), now=now + timedelta(seconds=5))

    assert Unit.objects.get(name="held").state == Unit.State.PAUSED


def test_a_batch_of_nothing_usable_is_no_sign_of_life() -> None:
    """A wrong clock is told to the sender, with the index of each sample."""
    now = timezone.now()

    outcome = services.receive_batch(root_system(), "ahead", batch(now + timedelta(hours=2), orders=5.0), now=now)

    assert (outcome.accepted, [r.code for r in outcome.rejected]) == (0, ["future"])
    assert Unit.objects.get(name="ahead").state == Unit.State.NEW


@pytest.mark.parametrize("source", ["", "x" * 201, "two\nlines"])
def test_a_source_that_cannot_be_a_name_is_refused(source: str) -> None:
    """It becomes the name of a unit and of series."""
    with pytest.raises(Invalid) as refusal:
        services.receive_batch(root_system(), source, batch(timezone.now(), orders=5.0))

    assert refusal.value.field == "source"


def test_an_agent_cannot_speak_for_a_unit_that_is_measured() -> None:
    """Two writers of one series would both be wrong."""
    make_unit("db-host", kind="host")

    with pytest.raises(Invalid):
        services.receive_batch(root_system(), "db-host", batch(timezone.now(), cpu_ratio=0.0))


def test_the_number_of_agents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source per request must not fill the database."""
    monkeypatch.setattr(services, "MAX_AGENTS", 1)
    make_unit("first")

    with pytest.raises(Refused) as refusal:
        services.receive_batch(root_system(), "second", batch(timezone.now(), orders=5.0))

    assert refusal.value.code == "too_many_agents"


# --- Units ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "name", "config", "field"),
    [
        pytest.param("tide", "t", {}, "kind", id="an unknown kind"),
        pytest.param("celery_worker", "w", {}, "kind", id="a kind that appears by itself"),
        pytest.param("host", "h", {}, "kind", id="another host, which cannot be measured from here"),
        pytest.param("http", "", {"url": "https://example.com"}, "name", id="no name"),
        pytest.param("http", "shop", {}, "config.url", id="no address"),
        pytest.param("http", "shop", {"url": "nonsense"}, "config.url", id="nonsense"),
        pytest.param("http", "shop", {"url": "http://127.0.0.1/"}, "config.url", id="an internal address"),
        pytest.param("http", "shop", {"url": "http://[::1]/"}, "config.url", id="an internal IPv6 address"),
        pytest.param("http", "shop", {"url": "http://169.254.169.254/"}, "config.url", id="a cloud's metadata"),
        pytest.param("http", "shop", ["url"], "config", id="no object"),
        pytest.param("agent", "a", {"silent_after_seconds": 0}, "config.silent_after_seconds", id="no patience"),
        pytest.param("agent", "taken", {}, "name", id="a name that is taken"),
    ],
)
def test_a_unit_that_cannot_work_is_refused_by_its_field(kind: str, name: str, config: Any, field: str) -> None:
    """The form shows the reason beside the field."""
    make_unit("taken")

    with pytest.raises(Invalid) as refusal:
        services.add_unit(root_system(), kind, name, config)

    assert refusal.value.field == field


def test_an_added_unit_is_shown_at_once(pushed: list[Any]) -> None:
    """Unknown until it is measured."""
    config = {"url": "https://shop.example/health", "expect_status": 204}

    unit = services.add_unit(root_system(), "http", " shop ", config)

    assert unit.config == config
    assert pushed == [("unit", str(unit.pk), unit_body(unit))]
    assert unit_body(unit) == {
        "id": unit.pk, "name": "shop", "kind": "http", "state": "new", "health": "unknown", "score": None, "parts": {},
        "fleet": None, "last_seen_at": None, "last_error": "",
    }  # fmt: skip


def test_a_paused_unit_can_be_resumed_and_starts_unknown() -> None:
    """What was known before the pause is old."""
    unit = make_unit("p", state="active", score=1.0, health_parts={"heard": 1.0})

    services.pause_unit(unit)
    services.resume_unit(unit)

    unit.refresh_from_db()
    assert (unit.state, unit.score, unit.health_parts) == (Unit.State.NEW, None, {})
    with pytest.raises(Refused):
        services.resume_unit(unit)


# --- Fleets -----------------------------------------------------------------------------------------------------------
def test_a_fleet_is_watched_though_its_broker_is_down() -> None:
    """And nothing that is stored in clear or shown has the password in it."""
    fleet = services.watch_fleet(root_system(), DOWN)
    usual = services.watch_fleet(root_system(), DOWN.removesuffix("4") + "0")

    assert (fleet.name, usual.name) == ("4@127.0.0.1", "127.0.0.1")
    assert fleet.last_error
    assert broker_url(fleet) == DOWN
    row = str(Fleet.objects.filter(pk=fleet.pk).values().get()) + str(fleet_body(fleet))
    assert "s3cret" not in row
    assert fleet_body(fleet)["broker"] == "redis://127.0.0.1:1/4"


def test_a_fleet_name_is_given_once() -> None:
    """It begins the names of its units."""
    services.watch_fleet(root_system(), DOWN, name="orders")

    with pytest.raises(Invalid) as refusal:
        services.watch_fleet(root_system(), DOWN, name="orders")

    assert refusal.value.field == "name"


def test_the_platforms_own_fleet_stays() -> None:
    """It is how the platform knows that it works."""
    services.ensure_own_units()
    services.ensure_own_units()
    own = Fleet.objects.get(own=True)

    with pytest.raises(Refused):
        services.forget_fleet(own)

    assert Unit.objects.filter(kind="host").count() == 1


def test_forgetting_a_fleet_forgets_its_units() -> None:
    """They would never be heard again."""
    fleet = services.watch_fleet(root_system(), DOWN, name="orders")
    make_unit("orders/w", kind="celery_worker", fleet=fleet)

    services.forget_fleet(fleet)

    assert not Unit.objects.filter(name="orders/w").exists()


def test_events_of_workers_refresh_them_and_a_goodbye_silences_them(pushed: list[Any]) -> None:
    """Between two rounds, from the worker's own mouth; names of other applications make no units."""
    fleet = Fleet.objects.create(system=root_system(), name="orders")
    unit = make_unit("orders/w@h", kind="celery_worker", fleet=fleet, state="silent", score=0.0)
    now = timezone.now()

    told = {"w@h": {"task_rate": 2.0}, "alien@h": {"task_rate": 1.0}}
    services.hear_workers(fleet, told, heard=["w@h", "alien@h"], now=now)

    unit.refresh_from_db()
    assert (unit.state, unit.last_seen_at, unit.score) == (Unit.State.ACTIVE, now, None)
    assert latest(unit.system_id, sources=[unit.name])[unit.name]["task_rate"][1] == 2.0
    assert ("samples", str(unit.pk), {"task_rate": [now.timestamp(), 2.0]}) in pushed
    assert Unit.objects.filter(fleet=fleet).count() == 1

    assert services.report_offline(fleet, ["w@h"], now=now) == 1
    unit.refresh_from_db()
    assert (unit.state, unit.score, unit.last_error) == (Unit.State.SILENT, 0.0, "said goodbye")


def own_units() -> tuple[Fleet, dict[str, Unit]]:
    fleet = Fleet.objects.create(system=root_system(), name="vsm", own=True)
    units = {
        name: make_unit(name, kind=kind, fleet=fleet if "@" in name else None, state="active")
        for name, kind in {"vsm/a@h1": "celery_worker", "vsm/b@h1": "celery_worker", "h1": "host"}.items()
    }
    return fleet, units


def states(units: dict[str, Unit]) -> dict[str, str]:
    return {name: str(Unit.objects.get(pk=unit.pk).state) for name, unit in units.items()}


def test_our_own_workers_are_gone_with_their_goodbye_and_a_host_with_its_last(pushed: list[Any]) -> None:
    """A container's names are new at each start: old ones must not be mourned for an hour."""
    fleet, units = own_units()

    services.report_offline(fleet, ["a@h1"], now=timezone.now())
    assert states(units) == {"vsm/a@h1": "gone", "vsm/b@h1": "active", "h1": "active"}

    services.report_own_offline("b@h1", now=timezone.now())
    assert states(units) == {"vsm/a@h1": "gone", "vsm/b@h1": "gone", "h1": "gone"}
    assert [body["state"] for kind, key, body in pushed if key == str(units["h1"].pk)][-1] == "gone"


def test_a_worker_that_returns_under_its_name_comes_back() -> None:
    """After a restart on the same host nobody should have to forget or resume anything."""
    fleet, units = own_units()
    services.report_offline(fleet, ["a@h1"], now=timezone.now())

    services.hear_workers(fleet, {}, heard=["a@h1"], now=timezone.now())

    assert states(units)["vsm/a@h1"] == "active"


@pytest.mark.parametrize(
    ("kind", "minutes", "goodbye", "expected"),
    [
        pytest.param("celery_worker", 9, True, "silent", id="stopped a moment ago, for people to see"),
        pytest.param("celery_worker", 11, True, "gone", id="stopped a while ago"),
        pytest.param("celery_worker", 59, False, "silent", id="vanished"),
        pytest.param("celery_worker", 61, False, "gone", id="vanished long ago"),
        pytest.param("host", 61, False, "gone", id="a host that vanished long ago"),
        pytest.param("agent", 600, False, "silent", id="an agent is expected until somebody forgets it"),
    ],
)
def test_who_stays_silent_is_let_go(kind: str, minutes: int, goodbye: bool, expected: str) -> None:
    """A death is shown longer than a departure."""
    now = timezone.now()
    left_at = now - timedelta(minutes=minutes)
    said = left_at if goodbye else left_at - timedelta(days=1)
    unit = make_unit("u", kind=kind, state="silent", last_seen_at=left_at, said_goodbye_at=said)

    services.let_go_silent([unit], now=now)

    unit.refresh_from_db()
    assert unit.state == expected


def test_silence_is_not_declared_over_somebody_who_spoke_meanwhile() -> None:
    """The collector read the row a second before the worker's heartbeat was written."""
    now = timezone.now()
    unit = make_unit("w", kind="celery_worker", state="active", last_seen_at=now)

    assert services.silence([unit], unheard_since=now - timedelta(seconds=8)) == []


def test_the_command_watches_a_fleet_and_hides_its_password() -> None:
    """Also in what it prints about a broker that is down."""
    out, err = io.StringIO(), io.StringIO()

    call_command("watch_fleet", DOWN, name="orders", stdout=out, stderr=err)

    assert out.getvalue() == "Watching orders on redis://127.0.0.1:1/4.\n"
    assert "does not answer yet" in err.getvalue()
    assert "s3cret" not in out.getvalue() + err.getvalue()


@pytest.mark.parametrize("arguments", [["vsm://"], ["http://h"], ["redis://h", "--system", "nowhere"]])
def test_the_command_refuses_what_cannot_work(arguments: list[str]) -> None:
    """With a message, and without a traceback."""
    with pytest.raises(CommandError):
        call_command("watch_fleet", *arguments)


# --- Admin ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["unit", "fleet", "collectionfailure", "collectioncycle"])
def test_the_admin_lists_and_shows_every_row(client: Client, model: str) -> None:
    """Searchable, and history without an add button."""
    client.force_login(make_user(superuser=True))
    fleet = Fleet.objects.create(system=root_system(), name="orders", broker_url_sealed="sealed-text")
    unit = make_unit("orders/w", kind="celery_worker", fleet=fleet)
    failure = CollectionFailure.objects.create(unit=unit, slot=5, details="no answer")
    cycle = CollectionCycle.objects.create(slot=5, started_at=timezone.now())
    pk = {"unit": unit.pk, "fleet": fleet.pk, "collectionfailure": failure.pk, "collectioncycle": cycle.pk}[model]
    base = f"/admin/s1_operations/{model}/"

    assert client.get(base, {"q": "o"} if model != "collectioncycle" else {}).status_code == 200
    page = client.get(f"{base}{pk}/change/")
    assert page.status_code == 200
    assert b"sealed-text" not in page.content
    assert client.get(f"{base}add/").status_code == 403


def test_what_is_forgotten_in_the_admin_leaves_open_dashboards(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ghost among the units would stay until somebody reloads."""
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(services, "push", lambda _system, kind, _key, body: told.append((kind, body)))
    client.force_login(make_user(superuser=True))
    units = [make_unit(), make_unit()]
    fleet = Fleet.objects.create(system=root_system(), name="shop")

    for path, rows in (("unit", units), ("fleet", [fleet])):
        chosen = {"action": "forget", "_selected_action": [row.pk for row in rows], "confirmed": "yes"}
        client.post(f"/admin/s1_operations/{path}/", chosen)

    assert told == [("unit", None), ("unit", None), ("fleet", None)]


def test_units_are_paused_from_the_admin(client: Client) -> None:
    """Several at once."""
    client.force_login(make_user(superuser=True))
    units = [make_unit(), make_unit()]
    form = {"action": "pause", "_selected_action": [unit.pk for unit in units]}

    client.post("/admin/s1_operations/unit/", form)

    assert {unit.state for unit in Unit.objects.all()} == {Unit.State.PAUSED}


def test_fleets_whose_units_could_be_called_alike_are_refused() -> None:
    """The queue b/c of a fleet a, and the queue c of a fleet a/b: two things of one name."""
    system = make_system()
    Fleet.objects.create(system=system, name="a")
    Fleet.objects.create(system=system, name="x/y")

    for name in ("a/b", "x"):
        with pytest.raises(Invalid) as refused:
            services.watch_fleet(system, "redis://127.0.0.1:1/0", name=name)
        assert refused.value.field == "name"


def test_a_unit_with_rules_of_its_own_is_not_deleted() -> None:
    """The rules would go with it, and nobody would know that nothing is watched any more."""
    system = make_system()
    fleet = Fleet.objects.create(system=system, name="shop")
    unit = make_unit("shop/emails", kind="celery_queue", system=system, fleet=fleet)
    AlertRule.objects.create(system=system, name="Mails wait", metric="ready", threshold=9, unit=unit)

    for forget, what in ((services.forget_unit, unit), (services.forget_fleet, fleet)):
        with pytest.raises(Refused, match="“Mails wait”") as refused:
            forget(what)
        assert refused.value.code == "in_use"

    assert Unit.objects.filter(pk=unit.pk).exists()
    AlertRule.objects.all().delete()
    services.forget_fleet(fleet)
    assert not Unit.objects.filter(pk=unit.pk).exists()


def test_a_system_goes_with_its_rules() -> None:
    """Whoever deletes all of it means all of it."""
    system = make_system()
    unit = make_unit(system=system)
    AlertRule.objects.create(system=system, name="r", metric="m", threshold=9, unit=unit)

    system.delete()

    assert not AlertRule.objects.exists()
