"""The pages of steering: what can be done, what was done, and that nobody does anything by looking."""

from __future__ import annotations

import pytest
from django.test import Client

from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Unit
from subsystems.s3_control import captures
from subsystems.s3_control.models import Action
from tests.integration.test_api_steering import make_captured, make_fleet, make_tasks
from tests.support.factories import make_system, make_unit, make_user

pytestmark = pytest.mark.django_db


def logged_in(role: str = "operator", **fields: object) -> Client:
    root_system()
    client = Client()
    client.force_login(make_user(role=role, **fields))
    return client


def retry(client: Client, pk: int, **fields: str) -> object:
    return client.post(f"/dashboard/fleets/{pk}/act/", {"kind": "task.retry", "state": "failure", **fields})


def test_an_act_is_rehearsed_and_then_done_from_its_page() -> None:
    """The count is seen before the button that does it."""
    client, fleet = logged_in(), make_fleet()
    captures.keep(fleet, [make_captured(each) for each in make_tasks(fleet, 3)])

    rehearsed = retry(client, fleet.pk, dry_run="1", reason="the card service is back")
    page = client.get(rehearsed["Location"]).content.decode()
    dry = Action.objects.get()
    done = client.post(f"/dashboard/actions/{dry.pk}/apply/")

    assert "3 tasks; of 3 the true arguments are known." in page
    assert "Do it now" in page
    action = Action.objects.exclude(pk=dry.pk).get()
    assert done["Location"].startswith(f"/dashboard/actions/{action.pk}/")
    assert (action.state, action.reason) == ("proposed", "the card service is back")
    assert action.parameters.items() >= {"state": "failure"}.items()


def test_the_trail_is_listed_and_filtered() -> None:
    """Somebody asks who emptied that queue last week."""
    client, fleet = logged_in(), make_fleet()
    make_tasks(fleet, 1)
    retry(client, fleet.pk, dry_run="1", reason="first one")

    everything = client.get("/dashboard/actions/").content.decode()
    none = client.get("/dashboard/actions/?kind=queue.purge").content.decode()
    found = client.get("/dashboard/actions/?q=first&kind=task.retry").content.decode()
    wrong = client.get("/dashboard/actions/?state=sideways")

    assert "first one" in everything
    assert "first one" in found
    assert "No action matches" in none
    assert wrong.status_code == 400


def test_a_broker_that_is_away_is_told_on_the_page() -> None:
    """The page comes all the same; only what could be done is unknown."""
    client, fleet = logged_in(), make_fleet()
    unit = make_unit(f"{fleet.name}/a@x", kind="celery_worker", fleet=fleet, state=Unit.State.ACTIVE)

    pages = [
        client.get(path) for path in (f"/dashboard/units/{unit.pk}/steer/", f"/dashboard/fleets/{fleet.pk}/steer/")
    ]
    acted = client.post(f"/dashboard/fleets/{fleet.pk}/act/", {"kind": "worker.drain", "target": "a@x"})

    assert [page.status_code for page in pages] == [200, 200]
    assert all("The broker does not answer" in page.content.decode() for page in pages)
    assert acted.status_code == 503
    assert not Action.objects.exists()


def test_a_mistake_is_shown_where_it_was_made() -> None:
    """With what was typed, so that it can be corrected."""
    client, fleet = logged_in(), make_fleet()

    unreadable = client.post(
        f"/dashboard/fleets/{fleet.pk}/act/", {"kind": "task.retry", "ids": "[1", "name": "shop.pay"}
    )
    refused = client.post(f"/dashboard/fleets/{fleet.pk}/act/", {"kind": "task.retry"})

    assert [unreadable.status_code, refused.status_code] == [400, 400]
    assert "Ids must be JSON" in unreadable.content.decode()
    assert "give ids, or filter" in refused.content.decode()


def test_nothing_is_done_by_looking_or_by_readers_or_by_strangers() -> None:
    """GET changes nothing, viewers have no buttons, another tenant's fleet is not there, and a form needs its token."""
    operator, fleet = logged_in(), make_fleet()
    make_tasks(fleet, 1)
    retry(operator, fleet.pk, dry_run="1")
    action = Action.objects.get()
    viewer = logged_in("viewer")
    stranger = logged_in(system=make_system())
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(make_user(role="operator"))
    act, apply = f"/dashboard/fleets/{fleet.pk}/act/", f"/dashboard/actions/{action.pk}/apply/"

    assert [operator.get(path).status_code for path in (act, apply)] == [405, 405]
    assert [viewer.post(path).status_code for path in (act, apply)] == [403, 403]
    assert "Do it now" not in viewer.get(f"/dashboard/actions/{action.pk}/").content.decode()
    assert [stranger.post(act).status_code, stranger.get(f"/dashboard/actions/{action.pk}/").status_code] == [404, 404]
    assert forged.post(apply).status_code == 403
    assert Client().get("/dashboard/actions/").status_code == 302
    assert Action.objects.count() == 1
