"""Messages over the API: sent once, refused with a reason, followed to their end, and never another tenant's."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from subsystems.event_log.models import PendingEvent
from subsystems.messaging.models import DeadLetter, Message
from subsystems.messaging.receiving import receive
from subsystems.recursion.queries import root_system
from tests.support.factories import bearer, make_message, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
WORD: dict[str, Any] = {"channel": "coordination", "from": "s2", "to": "system1", "type": "test.said"}


@pytest.fixture
def operator() -> dict[str, str]:
    root_system()
    return bearer(make_token(["read", "operate"])[1])


def send(client: Client, headers: dict[str, str], **fields: Any) -> Any:
    return client.post("/api/v1/messages/", {**WORD, **fields}, content_type="application/json", headers=headers)


def test_a_message_is_accepted_and_followed_to_its_end(client: Client, operator: dict[str, str]) -> None:
    """202 means recorded; the journey tells what became of it, here that nobody listens."""
    sent = send(client, operator, payload={"n": 1})
    receive([Message.objects.get().number], worker="w@test")

    found = client.get(f"/api/v1/messages/{sent.json()['id']}/", headers=operator).json()

    assert (sent.status_code, sent.json()["to"], found["state"]) == (202, "s1", "dead")
    assert [step["step"] for step in found["journey"]] == ["accepted", "dead"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        pytest.param({"channel": "command", "from": "s5"}, 409, "flow_refused", id="S5 to S1"),
        pytest.param({"channel": "platform", "from": "platform", "to": "platform"}, 409, "flow_refused", id="inside"),
        pytest.param({"channel": "algedonic", "from": "s1", "to": "s5"}, 409, "flow_refused", id="pain has its door"),
        pytest.param({"channel": "gossip"}, 400, "invalid", id="no such channel"),
        pytest.param({"type": "no spaces"}, 400, "invalid", id="type"),
        pytest.param({"severity": "urgent"}, 400, "invalid", id="severity"),
        pytest.param({"payload": {"x": "y" * 1_100_000}}, 400, "too_large", id="too large"),
        pytest.param({"payload": [1]}, 400, "invalid", id="payload"),
    ],
)
def test_what_may_not_travel_is_refused(
    client: Client, operator: dict[str, str], fields: dict[str, Any], status: int, code: str
) -> None:
    """A program is told what is wrong, and nothing is half sent."""
    answer = send(client, operator, **fields)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Message.objects.exists()


def test_a_refused_flow_is_in_the_event_log(client: Client, operator: dict[str, str]) -> None:
    """Who tried what should be found later."""
    send(client, operator, channel="command", **{"from": "s5"})

    assert PendingEvent.objects.get().type == "message.refused"


def test_sending_twice_with_one_id_acts_once(client: Client, operator: dict[str, str]) -> None:
    """A program that got no answer asks again."""
    answers = [send(client, operator, id="order-1").status_code for _ in range(2)]

    assert (answers, Message.objects.count()) == ([202, 409], 1)


def test_reading_is_not_sending(client: Client) -> None:
    """A token of a dashboard must not command."""
    root_system()

    assert send(client, bearer(make_token(["read"])[1])).status_code == 403


def test_messages_of_another_system_do_not_exist(client: Client) -> None:
    """Tenants never see one another; nor what belongs to no system."""
    mine, other = make_system(), make_system()
    user = make_user(role="operator", system=mine)
    headers = bearer(make_token(["read", "operate"], user=user)[1])
    foreign = [make_message(system=other), make_message()]
    DeadLetter.objects.create(message=foreign[0], reason="failed")
    make_message(system=mine, id="mine")

    listed = client.get("/api/v1/messages/", headers=headers).json()["results"]
    opened = [client.get(f"/api/v1/messages/{each.id}/", headers=headers).status_code for each in foreign]
    letters = client.get("/api/v1/dead-letters/", headers=headers).json()["results"]

    assert ([each["id"] for each in listed], opened, letters) == (["mine"], [404, 404], [])


def test_a_dead_letter_is_replayed_once(client: Client, operator: dict[str, str]) -> None:
    """The second click of two is told that it came too late."""
    send(client, operator)
    receive([Message.objects.get().number], worker="w@test")
    address = f"/api/v1/dead-letters/{DeadLetter.objects.get().pk}/replay/"

    answers = [client.post(address, headers=operator).status_code for _ in range(2)]

    assert (answers, Message.objects.get().state) == ([200, 409], "waiting")


def test_the_channels_tell_their_flows_and_how_full_they_are(client: Client, operator: dict[str, str]) -> None:
    """What the table permits must be found without reading code."""
    make_message()

    channels = {each["channel"]: each for each in client.get("/api/v1/channels/", headers=operator).json()}

    assert set(channels) == {"command", "coordination", "audit", "resource_bargain", "algedonic", "homeostat"}
    assert channels["coordination"]["backlog"] == 1
    assert {"sender": "s5", "recipient": "s3", "only_as_reply": False} in channels["command"]["flows"]
