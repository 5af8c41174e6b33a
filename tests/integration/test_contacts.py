"""Contact methods and rules: one's own, sealed, tested, and nobody else's to see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from alerts.models import Notification, Target
from alerts.people import reaching
from subsystems.recursion.queries import root_system
from tests.support.factories import bearer, make_token, make_user
from tests.support.services_fake import Fake, serving

pytestmark = pytest.mark.django_db
WEBHOOK = {"url": "https://anna.example.org/hook", "secret": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="}


@pytest.fixture
def anna() -> User:
    return make_user("anna", role="operator")


@pytest.fixture
def fake(settings: Any) -> Iterator[Fake]:
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    with serving() as running:
        yield running


def method(owner: User, name: str = "phone", **settings: str) -> Target:
    return reaching.save_method(Target(owner=owner), owner, name=name, kind="webhook", settings=settings or WEBHOOK)


def send(client: Any, verb: str, address: str, body: Any = None) -> Any:
    return getattr(client, verb)(f"/api/v1/{address}", body, "application/json")


def test_a_secret_goes_in_and_never_comes_out(anna: User, client: Any) -> None:
    """Sealed as those of a system's targets are."""
    client.force_login(anna)

    made = send(client, "post", "contact-methods/", {"name": "phone", "kind": "webhook", "settings": WEBHOOK})

    row = Target.objects.get()
    assert (made.status_code, made.json()["secrets"], row.owner, row.system) == (201, {"secret": "••••"}, anna, None)
    assert "whsec" not in json.dumps(client.get("/api/v1/contact-methods/").json()) + row.secrets_sealed


def test_a_method_is_tested(anna: User, client: Any, fake: Fake) -> None:
    """Whoever is called at night wants to know beforehand that it rings."""
    client.force_login(anna)
    mine = method(anna, url=f"{fake.url}/hook")

    body = send(client, "post", f"contact-methods/{mine.pk}/test/").json()

    assert (body["state"], body["reason"], len(fake.requests)) == ("sent", "test", 1)


def test_methods_are_ones_own(anna: User, client: Any) -> None:
    """An administrator of the same system is no exception, and a token is nobody in person."""
    mine = method(anna)
    client.force_login(make_user(role="admin"))

    found = [client.get(f"/api/v1/contact-methods/{mine.pk}/").status_code]
    found += [send(client, verb, f"contact-methods/{mine.pk}/", {}).status_code for verb in ("patch", "delete")]
    client.logout()
    token = bearer(make_token(["read", "operate"], user=anna)[1])
    refused = client.get("/api/v1/contact-methods/", headers=token).status_code

    assert (found, refused) == ([404] * 3, 403)


def test_no_system_lists_the_methods_of_people(anna: User, client: Any) -> None:
    """They are in no log of targets, in no routing, and of either a system or a person."""
    method(anna)
    client.force_login(make_user(superuser=True))

    assert client.get("/api/v1/notification-targets/").json()["results"] == []
    for homes in ({}, {"system": root_system(), "owner": anna}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Target.objects.create(name="neither", kind="webhook", **homes)


def test_rules_name_methods_by_their_names(anna: User, client: Any) -> None:
    """What was kept is what is told."""
    method(anna)
    client.force_login(anna)
    rules = {
        "time_zone": "Europe/Berlin", "quiet_hours": [{"days": ["sat"], "from": "22:00", "until": "07:00"}],
        "critical": [{"after_minutes": 0, "method": "phone"}], "other": [{"after_minutes": 10, "method": "phone"}],
    }  # fmt: skip

    kept = send(client, "put", "contact-rules/", rules)
    deleted = client.delete(f"/api/v1/contact-methods/{Target.objects.get().pk}/")

    assert (kept.status_code, kept.json()) == (200, rules)
    assert client.get("/api/v1/contact-rules/").json() == rules
    assert (deleted.status_code, deleted.json()["code"]) == (409, "in_use")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time_zone": "Mars"}, "time_zone"),
        ({"quiet_hours": [{"from": "9", "until": "10:00"}]}, "quiet_hours[0].from"),
        ({"critical": [{"method": "nothing"}]}, "critical[0].method"),
        ({"critical": [{"method": "phone", "after_minutes": 5000}]}, "critical[0].after_minutes"),
        ({"other": 5}, "other"),
    ],
)
def test_rules_that_cannot_be_kept_name_the_place(anna: User, client: Any, change: Any, field: str) -> None:
    """Clear errors, never a 500."""
    method(anna)
    client.force_login(anna)
    whole = {"time_zone": "UTC", "quiet_hours": [], "critical": [], "other": []}

    answer = send(client, "put", "contact-rules/", {**whole, **change})

    assert answer.status_code == 400, answer.content
    assert f'"{field}' in json.dumps(answer.json()["errors"])


def test_a_new_colleague_has_rules_that_work(anna: User, client: Any) -> None:
    """Nothing is written yet."""
    client.force_login(anna)

    assert client.get("/api/v1/contact-rules/").json() == {
        "time_zone": "UTC", "quiet_hours": [], "critical": [], "other": [],
    }  # fmt: skip
    assert not Notification.objects.exists()
