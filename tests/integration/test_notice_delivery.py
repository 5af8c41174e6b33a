"""Sending to services: each channel against a fake that takes only what its service documents; tries and stand-ins."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from alerts.delivery import sending
from alerts.delivery.channels import CHANNELS, checked, divided
from alerts.notices import reporting, services
from alerts.notices.models import GroupTold, Notification, Target
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_user
from tests.support.services_fake import Fake, serving

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKEN = "123456:ABC-DEF-xyzxyz"
pytestmark = pytest.mark.django_db

SETTINGS: dict[str, dict[str, str]] = {
    "webhook": {"url": "{}/hook", "secret": "s3cret", "authorization": "Bearer abc"},
    "slack": {"token": "xoxb-secret", "channel": "C1", "api": "{}/slack/api"},
    "teams": {"url": "{}/teams/secret"},
    "discord": {"url": "{}/discord/webhooks/1/t"},
    "telegram": {"token": TOKEN, "chat_id": "@ops", "api": "{}"},
    "pagerduty": {"routing_key": "secret-key", "api": "{}/pagerduty"},
    "opsgenie": {"api_key": "secret-key", "api": "{}/genie"},
    "ntfy": {"url": "{}/ntfy/ops", "token": "tk_secret"},
}


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def fake(settings: Any) -> Iterator[Fake]:
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    with serving() as running:
        yield running


def make(system: System, kind: str, url: str, name: str = "ops", **fields: Any) -> Target:
    given = {key: value.format(url) for key, value in SETTINGS[kind].items()}
    return services.save_target(
        Target(system=system, name=name, kind=kind), make_user(superuser=True), settings=given, **fields
    )


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def report(system: System, name: str, seconds: float, *, over: bool = False) -> None:
    labels = {"alertname": "Test <&> *bold*", "name": name, "severity": "critical"}
    body: dict[str, Any] = {"labels": labels, "annotations": {"summary": f"{name} burns @everyone"}}
    body["endsAt"] = (at(seconds) if over else at(86_400)).isoformat()
    if not over:
        body["startsAt"] = at(seconds).isoformat()
    reporting.receive(system, [body], now=at(seconds))


def turn(seconds: float) -> int:
    services.turn(now=at(seconds))
    return sending.send_due(now=at(seconds), clock=lambda: at(seconds))


@pytest.mark.parametrize("kind", sorted(SETTINGS))
def test_a_service_is_told_that_it_fires_and_that_it_is_over(kind: str, system: System, fake: Fake) -> None:
    """Each service is asked only for what it documents; what can be changed in place is changed."""
    make(system, kind, fake.url)
    report(system, "a", 0)
    turn(1)
    report(system, "a", 100, over=True)
    turn(400)

    found = list(Notification.objects.order_by("created_at").values_list("state", "last_error"))
    assert found == [("sent", "")] * 2
    assert len(fake.requests) == 2
    if kind in ("slack", "discord", "telegram"):
        assert [method for method, *_ in fake.requests] == ["POST", "PATCH" if kind == "discord" else "POST"]
        assert GroupTold.objects.get().reference


def test_a_webhook_is_signed_and_has_alertmanagers_body(system: System, fake: Fake) -> None:
    """The receiver can prove where it comes from; whoever reads Alertmanager's body reads ours."""
    make(system, "webhook", fake.url)
    report(system, "a", 0)
    turn(1)

    (_, _, headers, body), raw = fake.requests[0], fake.raw[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
    expected = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["Authorization"] == "Bearer abc"
    assert {"version", "groupKey", "status", "receiver", "groupLabels", "commonLabels", "alerts", "truncatedAlerts",
            "commonAnnotations", "externalURL"} <= set(body)  # fmt: skip
    assert body["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


def test_a_webhooks_body_can_be_a_template(system: System, fake: Fake) -> None:
    """What is filled in is a value, never a piece of JSON."""
    template = '{"text": "{{ title }}!", "who": "{{ commonLabels.name }}", "n": "{{ firing }}", "no": "{{ what.is }}"}'
    user = make_user(superuser=True)
    wanted = {"url": f"{fake.url}/hook", "template": template}
    services.save_target(Target(system=system, name="t", kind="webhook"), user, settings=wanted)
    report(system, 'x", "who": "me', 0)
    turn(1)

    said = fake.requests[0][3]
    assert (said["who"], said["n"], said["no"]) == ('x", "who": "me', 1, None)


def test_a_test_button_says_what_the_service_said(system: System, fake: Fake) -> None:
    """A target that was never tried is one that fails at night."""
    target, user = make(system, "slack", fake.url), make_user(superuser=True)
    fine = services.test_target(target, user, now=NOON)
    fake.answers = [(200, {"ok": False, "error": "invalid_auth"})]
    wrong = services.test_target(target, user, now=NOON)

    assert (fine.state, wrong.state, wrong.last_error) == ("sent", "failed", "Slack says invalid_auth")


def test_a_failure_is_tried_again_later_and_the_thread_stays_in_order(system: System, fake: Fake) -> None:
    """At least once, and nobody hears that it is over before that it began."""
    make(system, "webhook", fake.url)
    fake.answers = [(503, ""), (500, "")]
    report(system, "a", 0)
    turn(1)
    report(system, "a", 2, over=True)
    tried = [turn(each) for each in (2, 6.5, 8, 17)]
    services.turn(now=at(301))
    turn(302)

    assert tried == [0, 1, 0, 1]
    assert [body["status"] for *_, body in fake.requests] == ["firing"] * 3 + ["resolved"]
    assert len({headers["webhook-id"] for _, _, headers, _ in fake.requests[:3]}) == 1


def test_a_second_channel_stands_in_for_one_that_fails(system: System, fake: Fake) -> None:
    """When the first does not answer, the second is told, and the first rests."""
    make(system, "slack", fake.url, name="second")
    first = make(system, "webhook", fake.url, name="first", fallback="second")
    routing = {"route": {"receiver": "r", "group_wait": "0s"}, "receivers": [{"name": "r", "targets": ["first"]}]}
    services.save_routing(system, routing, make_user(superuser=True), now=NOON)
    fake.answers = [(503, "")] * 3
    report(system, "a", 0)
    for seconds in (1, 6.5, 17, 18):
        turn(seconds)
    first.refresh_from_db()
    report(system, "b", 19)
    turn(20)  # another group's: the first rests, so the second is told at once
    services.turn(now=at(302))
    turn(303)

    said = list(Notification.objects.order_by("created_at", "pk").values_list("target_name", "state"))
    assert (first.failures, first.rests_until) == (3, at(47))
    assert said[:2] == [("first", "failed"), ("second", "sent")]
    assert ("first", "sent") in said[2:]


def test_what_was_given_up_is_told_anew(system: System, fake: Fake) -> None:
    """A mistake in the settings that is put right loses no alert."""
    make(system, "webhook", fake.url)
    fake.answers = [(401, "")]
    report(system, "a", 0)
    turn(1)
    failed = list(Notification.objects.values_list("state", "last_error"))
    turn(301)

    assert failed == [("failed", "answered with status 401")]
    assert list(Notification.objects.order_by("created_at").values_list("state", flat=True)) == ["failed", "sent"]


@pytest.mark.parametrize("kind", sorted(SETTINGS))
def test_no_request_goes_inside_unless_it_is_allowed(kind: str, system: System, fake: Fake, settings: Any) -> None:
    """A webhook must not become a hand in our own network."""
    make(system, kind, fake.url)
    settings.HTTP_ALLOW = []
    report(system, "a", 0)
    turn(1)

    found = Notification.objects.get()
    assert fake.requests == []
    assert found.last_error.startswith("refused: 127.0.0.1 is an internal address")


def test_no_redirect_is_followed(system: System, fake: Fake) -> None:
    """It would lead past the guard."""
    make(system, "webhook", fake.url)
    fake.answers = [(302, "")]
    report(system, "a", 0)
    turn(1)

    assert len(fake.requests) == 1
    assert Notification.objects.get().last_error == "answered with status 302"


def test_a_message_that_was_deleted_is_sent_anew(system: System, fake: Fake) -> None:
    """Somebody tidied the channel up; the end of the alert is told all the same."""
    make(system, "discord", fake.url)
    report(system, "a", 0)
    turn(1)
    report(system, "a", 100, over=True)
    services.turn(now=at(301))
    fake.answers = [(404, {"message": "Unknown Message"})]
    for seconds in (302, 303):
        turn(seconds)

    assert [method for method, *_ in fake.requests] == ["POST", "PATCH", "POST"]


def test_what_is_silenced_before_it_is_sent_is_not_sent(system: System, fake: Fake) -> None:
    """A worker that died with a notification in its hands must not ring a phone an hour later."""
    make(system, "webhook", fake.url)
    report(system, "a", 0)
    services.turn(now=at(1))
    services.create_silence(system, make_user(superuser=True), 'name="a"', at(600), "enough", now=at(2))
    sent = sending.send_due(now=at(3))

    assert (sent, fake.requests) == (0, [])
    assert Notification.objects.get().state == "withheld"


def test_secrets_are_sealed_kept_and_never_shown(system: System, fake: Fake) -> None:
    """Neither a dump of the database nor the API gives them away."""
    from alerts.notices.queries import target_body

    target = make(system, "slack", fake.url)
    user = make_user(superuser=True)
    services.save_target(target, user, settings={"channel": "C2", "api": f"{fake.url}/slack/api"})
    row = str(list(Target.objects.values()))

    assert "xoxb-secret" not in row + str(target_body(target))
    assert target_body(target)["secrets"] == {"token": "••••"}
    assert sending.settings_of(target)["token"] == "xoxb-secret"
    with pytest.raises(Invalid):
        services.save_target(target, user, settings={"token": ""})


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("webhook", {"url": "ftp://x"}, "url"), ("webhook", {"url": "http://a:b@x"}, "url"),
        ("webhook", {"url": "http://x/\r\nHost: y"}, "url"),
        ("webhook", {"url": "https://x", "template": "{"}, "template"),
        ("webhook", {"url": "https://x", "colour": "y"}, "colour"), ("webhook", {}, "url"), ("slack", {}, "webhook"),
        ("slack", {"token": "x"}, "channel"), ("telegram", {"token": "x", "chat_id": "y"}, "token"),
        ("ntfy", {"url": "https://ntfy.sh"}, "url"), ("email", {"to": "x", "host": "h", "sender": "a@b"}, "to"),
        ("email", {"to": "a@b\r\nBcc: c@d", "host": "h", "sender": "a@b"}, "to"),
        ("email", {"to": "a@b", "host": "h", "sender": "a@b", "security": "maybe"}, "security"),
        ("email", {"to": "a@b", "host": "h", "sender": "a@b", "security": "none", "password": "p"}, "security"),
        ("email", {"to": "a@b", "host": "h", "sender": "a@b", "port": "x"}, "port"), ("pigeon", {}, "kind"),
        ("apprise", {"url": "file:///etc/passwd"}, "url"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_by_their_field(kind: str, given: dict[str, str], field: str) -> None:
    """At the desk, not in the night."""

    def taken() -> None:
        shown, secret = divided(kind, given)
        checked(kind, {**shown, **secret})

    with pytest.raises(Invalid) as caught:
        taken()

    assert caught.value.field == field


class Mailbox:
    """Takes mails in."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refusal = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self.refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 taken"


@pytest.fixture
def mailbox(settings: Any) -> Iterator[tuple[Mailbox, int]]:
    settings.HTTP_ALLOW = ["127.0.0.0/8"]
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


def mail_target(system: System, port: int) -> Target:
    wanted = {"to": "a@example.org, b@example.org", "host": "127.0.0.1", "port": str(port), "security": "none",
              "sender": "vsm@example.org"}  # fmt: skip
    return services.save_target(
        Target(system=system, name="mail", kind="email"), make_user(superuser=True), settings=wanted
    )


def test_a_mail_arrives(system: System, mailbox: tuple[Mailbox, int]) -> None:
    """One mail to all, of one conversation per group."""
    box, port = mailbox
    mail_target(system, port)
    report(system, "a", 0)
    turn(1)

    (mail,) = box.mails
    text = mail.content.decode()
    assert mail.rcpt_tos == ["a@example.org", "b@example.org"]
    assert "Subject: [FIRING:1] a burns @everyone" in text
    assert "Auto-Submitted: auto-generated" in text


@pytest.mark.parametrize(("refusal", "state"), [("450 later", "waiting"), ("550 nobody", "failed")])
def test_a_mail_that_is_refused_is_tried_again_if_that_may_help(
    refusal: str, state: str, system: System, mailbox: tuple[Mailbox, int]
) -> None:
    """A full mailbox empties; an address that does not exist does not begin to."""
    box, port = mailbox
    box.refusal = refusal
    mail_target(system, port)
    report(system, "a", 0)
    turn(1)

    assert Notification.objects.get().state == state


def test_a_mail_server_inside_is_refused_unless_it_is_allowed(
    system: System, mailbox: tuple[Mailbox, int], settings: Any
) -> None:
    """The same guard as for addresses of the web."""
    settings.HTTP_ALLOW = []
    mail_target(system, mailbox[1])
    report(system, "a", 0)
    turn(1)

    assert Notification.objects.get().last_error.startswith("refused: 127.0.0.1")


def test_one_service_that_hangs_does_not_hold_up_the_others(system: System, fake: Fake, monkeypatch: Any) -> None:
    """Each has its own time, and the time has an end."""
    monkeypatch.setattr(sending, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        make(system, "webhook", f"http://127.0.0.1:{mute.getsockname()[1]}", name="mute")
        make(system, "webhook", fake.url, name="fine")
        report(system, "a", 0)
        started = time.monotonic()
        turn(1)

    states = dict(Notification.objects.values_list("target_name", "state"))
    assert states == {"mute": "waiting", "fine": "sent"}
    assert time.monotonic() - started < 5


def test_every_channel_is_in_the_table() -> None:
    """One file, one line."""
    assert set(CHANNELS) == {*SETTINGS, "email", "apprise"}


def test_one_target_takes_no_more_than_its_share_of_a_claim(system: System, fake: Fake) -> None:
    """Claims must end before their lease does, however many wait for a target that hangs."""
    make(system, "webhook", fake.url, name="slow")
    make(system, "webhook", fake.url, name="fine")
    document = {"route": {"receiver": "everyone", "group_by": ["name"], "group_wait": "0s"}}
    services.save_routing(system, document, make_user(superuser=True), now=NOON)
    for number in range(10):
        report(system, f"a{number}", 0)
    services.turn(now=at(1))

    claimed = [each.target_name for each in sending.claim(now=at(1))]

    assert sorted(claimed) == ["fine"] * 4 + ["slow"] * 4
    assert sending.LEASE.total_seconds() > sending.CLAIMED_PER_TARGET / sending.PER_TARGET * sending.SECONDS
