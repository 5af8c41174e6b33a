"""Acts that somebody outside carries out: told under one id, signed, never inside, undone where declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Invalid, Refused
from subsystems.s1_operations.adapters.http_calls import signature
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import carrying, steering
from subsystems.s3_control.hooks import services
from subsystems.s3_control.hooks.carrying import TRIES
from subsystems.s3_control.models import Action, Webhook
from tests.integration.test_api_steering import make_fleet
from tests.integration.test_inbox_pages import logged_in
from tests.support.factories import bearer, make_system, make_token, make_user
from tests.support.services_fake import Fake, serving

pytestmark = pytest.mark.django_db
SECRET = "hunter2"


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet()


@pytest.fixture
def fake(settings: Any) -> Iterator[Fake]:
    settings.HTTP_ALLOW = ["127.0.0.1"]
    with serving() as found:
        yield found


@pytest.fixture
def hook(fleet: Fleet, fake: Fake) -> Webhook:
    given = {
        "name": "scale",
        "url": f"{fake.url}/hook/up?key=k3y",
        "undo_url": f"{fake.url}/hook/down",
        "secret": SECRET,
    }
    return services.save(fleet, given, by="ann")


def called(fleet: Fleet, payload: Any = None, kind: str = "webhook.call", **fields: Any) -> Action:
    asked = steering.Request(fleet, kind, "scale", {"payload": payload or {}}, **fields)
    return steering.propose(asked, by=make_user(role="operator"))


def carried(action: Action) -> Action:
    """Carry *action* out to its end, the clock being ahead of every pause."""
    now = timezone.now()
    carrying.carry_out(str(action.pk), now=now)
    for minute in range(1, 10):
        carrying.carry_on(now=now + timedelta(minutes=minute))
    action.refresh_from_db()
    return action


def test_an_act_is_told_under_one_id_until_it_is_answered_and_undone_at_the_second_address(
    hook: Webhook, fake: Fake
) -> None:
    """Whoever hears it twice can tell by the id; the signature is that of notifications."""
    fake.answers = [(503, {})]

    done = carried(called(hook.fleet, {"replicas": 3}, reason="peak"))
    undone = carried(steering.undo(done, by=make_user(role="operator")))

    (_, path, first, body), (_, _, second, again), (_, back, _, taken) = fake.requests
    assert (done.state, undone.state, done.after) == ("verified", "verified", {"status": 200, "tries": 2})
    assert (path, back) == ("/hook/up?key=k3y", "/hook/down")
    assert body == again
    assert body.items() >= {"id": str(done.pk), "payload": {"replicas": 3}, "reason": "peak"}.items()
    assert first["webhook-id"] == second["webhook-id"] == str(done.pk) == first["Idempotency-Key"].strip('"')
    made = signature(SECRET, first["webhook-id"], int(first["webhook-timestamp"]), fake.raw[0])
    assert first["webhook-signature"] == made
    assert taken["payload"] == {"replicas": 3}


@pytest.mark.parametrize(
    ("answers", "tries", "words"),
    [
        pytest.param([(403, {})], 1, "status 403", id="a no is not asked again"),
        pytest.param([(302, {})], 1, "status 302", id="a redirect is not followed"),
        pytest.param([(500, {})] * 9, TRIES, "5 times", id="and not for ever"),
    ],
)
def test_what_is_refused_has_failed(hook: Webhook, fake: Fake, answers: Any, tries: int, words: str) -> None:
    """And says by what."""
    fake.answers = list(answers)

    action = carried(called(hook.fleet))

    assert (action.state, len(fake.requests)) == ("failed", tries)
    assert words in action.detail


def test_a_dry_run_shows_the_request_and_sends_nothing(hook: Webhook, fake: Fake) -> None:
    """With what is in it, without the key of its address; and it says whether it could be undone."""
    rehearsed = called(hook.fleet, {"replicas": 3}, dry_run=True)
    services.save(hook.fleet, {"undo_url": ""}, by="ann", webhook=hook)
    for_good = called(hook.fleet, dry_run=True)
    done = carried(called(hook.fleet))

    assert rehearsed.before["request"]["body"]["payload"] == {"replicas": 3}
    assert "cannot be undone" not in rehearsed.detail
    assert "cannot be undone" in for_good.detail
    assert "k3y" not in json.dumps([rehearsed.before, rehearsed.detail])
    assert len(fake.requests) == 1
    with pytest.raises(Refused, match="Nothing undoes"):
        steering.undo(done, by=make_user(role="operator"))


def test_no_act_is_sent_inside(fleet: Fleet, hook: Webhook, fake: Fake, settings: Any) -> None:
    """Neither by its address when it is written down, nor by what a name means when it is called."""
    settings.HTTP_ALLOW = []
    for url in ("http://127.0.0.1/x", "http://169.254.169.254/latest", "ftp://h/x", "https://u:p@h/"):
        with pytest.raises(Invalid) as refused:
            services.save(fleet, {"name": "b", "url": url}, by="ann")
        assert refused.value.field == "url"

    action = carried(called(hook.fleet))

    assert (action.state, fake.requests) == ("failed", [])
    assert "VSM_HTTP_ALLOW" in action.detail


def test_webhooks_are_written_by_administrators_and_their_secrets_are_shown_to_nobody(
    client: Client, fleet: Fleet, fake: Fake
) -> None:
    """Over the API and on the page; operators call them, strangers do not see them."""
    admin = bearer(make_token(["read", "operate", "admin"], user=make_user(role="admin"))[1])
    operator = bearer(make_token(["read", "operate"], user=make_user(role="operator"))[1])
    stranger = bearer(make_token(["read", "admin"], user=make_user(role="admin", system=make_system()))[1])

    def send(verb: str, path: str, headers: Any, body: Any = None) -> Any:
        return getattr(client, verb)(f"/api/v1/{path}", body, content_type="application/json", headers=headers)

    body = {"fleet": "shop", "name": "scale", "url": f"{fake.url}/hook?key=k3y", "secret": SECRET}
    refused = send("post", "webhooks/", operator, body)
    made = send("post", "webhooks/", admin, body)
    twice = send("post", "webhooks/", admin, body)
    path = f"webhooks/{made.json()['id']}/"
    changed = send("patch", path, admin, {"enabled": False})
    off = send("post", "actions/", operator, {"kind": "webhook.call", "fleet": "shop", "target": "scale"})
    pages = logged_in("operator").get("/dashboard/webhooks/"), logged_in("admin").get(f"/dashboard/{path}")
    told = json.dumps(list(PendingEvent.objects.values_list("data", flat=True)), default=str)

    assert [refused.status_code, made.status_code, twice.status_code] == [403, 201, 400]
    assert (changed.json()["signed"], changed.json()["enabled"], off.status_code) == (True, False, 409)
    assert send("get", path, stranger).status_code == 404
    assert all(SECRET not in each for each in (made.content.decode(), told, *(page.content.decode() for page in pages)))
    assert "k3y" not in made.content.decode() + told + pages[0].content.decode()


def test_it_is_called_from_its_page(hook: Webhook, fake: Fake) -> None:
    """What is no JSON is said at its field; a reader calls nothing."""
    operator, path = logged_in("operator"), f"/dashboard/webhooks/{hook.pk}/"

    wrong = operator.post(f"{path}call/", {"payload": "[1"})
    called_ = operator.post(f"{path}call/", {"payload": '{"a": 1}', "reason": "now"})
    changed = operator.post(path, {"name": "x", "url": "https://example.org/"})

    assert (wrong.status_code, "no JSON" in wrong.content.decode()) == (400, True)
    assert (called_.status_code, Action.objects.get().parameters) == (302, {"payload": {"a": 1}})
    assert (changed.status_code, logged_in("viewer").post(f"{path}call/", {}).status_code) == (403, 403)
    assert logged_in("admin").post("/dashboard/webhooks/", {"name": "", "url": "x"}).status_code == 400
