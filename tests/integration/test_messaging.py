"""Facts leave on commit, once per receiver, and survive a broker that is away."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from subsystems.messaging import services
from subsystems.messaging.models import InboxMessage, OutboxMessage


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[tuple[str, dict[str, Any]]]:
    """Collect what would leave for the broker."""
    settings.MESSAGE_ROUTES = {"unit.silent": ["test.hear"]}
    letters: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(Celery, "send_task", lambda _app, name, kwargs, **_: letters.append((name, kwargs)))
    return letters


@pytest.fixture
def broken_broker(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.MESSAGE_ROUTES = {"unit.silent": ["test.hear"]}

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Celery, "send_task", refuse)


@pytest.mark.django_db(transaction=True)
def test_a_fact_leaves_only_when_its_transaction_commits(sent: list[Any]) -> None:
    """A message about something that was rolled back would be a lie."""
    with transaction.atomic():
        services.publish("unit.silent", {"unit": 1})
        transaction.set_rollback(True)

    with transaction.atomic():
        message = services.publish("unit.silent", {"unit": 2})

    assert sent == [("test.hear", {"payload": {"unit": 2}, "message_id": str(message.id)})]


@pytest.mark.django_db(transaction=True)
def test_a_fact_outlives_a_broker_that_is_down(broken_broker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is the truth: the sweeper sends it when the broker is back, and only once."""
    message = services.publish("unit.silent", {"unit": 3})
    later = timezone.now() + timedelta(minutes=1)
    still_down = services.sweep(now=later)
    letters: list[str] = []
    monkeypatch.setattr(Celery, "send_task", lambda _app, name, **_: letters.append(name))

    swept = [services.sweep(now=later), services.sweep(now=later)]

    assert (still_down, swept, letters) == (0, [1, 0], ["test.hear"])
    assert OutboxMessage.objects.get(pk=message.pk).sent_at is not None


@pytest.mark.django_db
def test_an_announcement_nobody_can_hear_never_fails_its_sender(broken_broker: None) -> None:
    """Collection must not stop because the broker did."""
    services.announce("unit.silent", {"unit": 4})

    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db
def test_a_receiver_hears_a_message_once() -> None:
    """Brokers deliver at least once; the inbox makes it exactly once in effect."""
    message_id = str(uuid.uuid4())

    heard = [services.first_time(message_id, "alerts"), services.first_time(message_id, "alerts")]
    other = services.first_time(message_id, "s5")

    assert (heard, other, InboxMessage.objects.count()) == ([True, False], True, 2)
