"""Telemetry events come from where the work is done, when it is done, and only then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from subsystems.algedonic.services import raise_signal
from subsystems.kernel import telemetry_events
from subsystems.kernel import triggerable as register
from subsystems.kernel.triggerable import Arguments, triggerable
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import adapters, collection
from subsystems.s1_operations.adapters import base
from subsystems.s3_control import services
from subsystems.s5_policy.amending import amend
from tests.support.factories import make_unit, make_user

pytestmark = pytest.mark.django_db
Heard = list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Everything that is told during a test."""
    heard: Heard = []
    telemetry_events.attach("test.ear", "*", lambda *told: heard.append(told))
    yield heard
    telemetry_events.detach("test.ear")


def told(heard: Heard, **about: Any) -> list[str]:
    """Return the last words of the events whose metadata say *about*."""
    return [name.split(".")[-1] for name, _, metadata in heard if about.items() <= metadata.items()]


def test_a_triggered_task_is_a_decision_of_s3(
    heard: Heard, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """Told when it is committed."""
    with django_capture_on_commit_callbacks(execute=True):
        services.trigger("diagnostics.echo", {}, by=None)

    assert ("vsm.s3.control.decision", {"count": 1}) in [(name, numbers) for name, numbers, _ in heard]
    assert told(heard, subject="diagnostics.echo") == ["decision"]


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_was_not_decided(heard: Heard) -> None:
    """A count of what never happened would be a number made up."""
    with transaction.atomic():
        services.trigger("diagnostics.echo", {}, by=None)
        transaction.set_rollback(True)

    assert heard == []


@pytest.mark.parametrize("kind", ["pain", "pleasure"])
def test_a_signal_that_was_raised_is_told(
    heard: Heard, kind: Any, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """With the number of its severity (requirement 000-20)."""
    with django_capture_on_commit_callbacks(execute=True):
        signal = raise_signal(type=kind, source="till-1", severity="high", system_id=root_system().pk)

    assert signal is not None
    about = {"source": "till-1", "signal_id": signal.pk}
    assert [each for each in heard if "algedonic" in each[0]] == [(f"vsm.algedonic.{kind}", {"severity": 0.8}, about)]


@pytest.mark.parametrize(("task", "end"), [("diagnostics.echo", "stop"), ("test.breaks", "exception")])
def test_a_run_is_an_operation_with_start_and_end(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, task: str, end: str
) -> None:
    """Who ran what, for how long, and what it raised."""
    monkeypatch.setattr(register, "_register", dict(register._register))

    @triggerable("test.breaks")
    def breaks(arguments: Arguments) -> None:
        """Break."""
        raise KeyError("gone")

    run = services.trigger(task, {}, by=None)
    services.run(str(run.pk), worker="w1")

    assert told(heard, unit_id="w1", operation=task) == ["start", end]
    assert heard[-1][1]["duration"] >= 0
    assert heard[-1][2].get("error_type") == (None if end == "stop" else "KeyError")


class TornAdapter:
    """An adapter that breaks."""

    kind: ClassVar[str] = "torn"
    title: ClassVar[str] = "Torn"
    Config: ClassVar[type[base.Config]] = base.Config

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        raise ValueError("no such wire")


def test_each_adapter_tells_of_its_part_of_a_collection(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that breaks says so, and costs the others nothing."""
    offered = adapters.registry() | {"torn": TornAdapter()}
    monkeypatch.setattr(adapters, "registry", lambda: offered)
    make_unit("wire", kind="torn")

    collection.collect_now()

    assert told(heard, unit_id="host", operation="collect") == ["start", "stop"]
    assert told(heard, unit_id="torn", operation="collect") == ["start", "exception"]


def test_a_policy_that_a_person_changes_is_told(
    heard: Heard, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """With who did it."""
    anna = make_user("anna", superuser=True)

    with django_capture_on_commit_callbacks(execute=True):
        amend(root_system(), "alerts", {"max_alerts_per_hour": 7}, by=anna, reason="Too loud")

    assert told(heard, actor="anna", policy="alerts") == ["update"]


def test_readers_of_the_platform_see_how_often_each_event_was_told(client: Client) -> None:
    """Requirement 000-19: every event reaches the metrics."""
    telemetry_events.emit("vsm.variety.calculated", {"variety": 2.0}, {"subsystem": "s1"})
    root_system()
    client.force_login(make_user(superuser=True))

    text = client.get("/metrics").content.decode()

    assert 'vsm_telemetry_events_total{event="vsm.variety.calculated"}' in text
    assert "vsm_self_telemetry_handler_failures_total" in text
