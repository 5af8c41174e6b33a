"""Alerts about viability itself, through messages that may come twice or late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.models import Alert
from alerts.receiver import receive_viability
from alerts.services import acknowledge, resolve
from subsystems.health.models import Assessment
from subsystems.messaging.receiving import receive
from subsystems.messaging.services import fact, publish
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s5_policy.models import Decision
from tests.support.factories import make_user

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SCORES = {"normal": 0.9, "warning": 0.6, "critical": 0.3, "unknown": None}
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    return root_system()


def assessed(system: System, status: str, number: int = 0, **subsystems: str) -> Assessment:
    vitals = {name: {"status": word, "score": 0.1, "reason": "Measured."} for name, word in subsystems.items()}
    return Assessment.objects.create(
        system=system, slot=number * 30, assessed_at=NOON, score=SCORES[status], status=status, subsystems=vitals
    )


def hear(assessment: Assessment, now: datetime = NOON) -> bool:
    return receive_viability({"assessment_id": assessment.pk}, now=now)


def live_through(system: System, *statuses: str, start: int = 0) -> list[tuple[str, str]]:
    """Let assessments come one after another; return state and severity of the last alert after each."""
    seen = []
    for number, status in enumerate(statuses, start):
        hear(assessed(system, status, number), now=NOON + timedelta(seconds=30 * number))
        last = Alert.objects.order_by("pk").last()
        seen.append((last.state, last.severity) if last else ("", ""))
    return seen


def test_one_alert_follows_the_score_down_and_up(system: System) -> None:
    """Warning, escalation, improvement and recovery are one story, told by one alert (002-33, 2-33)."""
    seen = live_through(system, "normal", "warning", "critical", "unknown", "warning", "normal")

    assert seen == [
        ("", ""), ("firing", "warning"), ("firing", "critical"), ("firing", "critical"), ("firing", "warning"),
        ("resolved", "warning"),
    ]  # fmt: skip
    assert Alert.objects.count() == 1


def test_a_message_that_comes_twice_counts_once(system: System) -> None:
    """Brokers deliver at least once."""
    message = publish(fact("viability.assessed", {"assessment_id": assessed(system, "critical").pk}))

    handled = [receive([message.number], worker="w@test") for _ in range(2)]

    assert (handled, Alert.objects.count(), Decision.objects.count()) == ([1, 0], 1, 1)


def test_old_news_changes_nothing(system: System) -> None:
    """A message that was resent after an outage must not bring back what has passed."""
    old = assessed(system, "critical", 1)
    hear(assessed(system, "normal", 2))

    assert hear(old) is False
    assert not Alert.objects.exists()


def test_an_assessment_that_was_deleted_is_no_news(system: System) -> None:
    """Its system may be gone by the time the message comes."""
    assert receive_viability({"assessment_id": 404}, now=NOON) is False


def test_an_escalation_asks_again(system: System) -> None:
    """Who acknowledged a warning has not answered for the emergency; the cooldown does not hide it."""
    live_through(system, "warning")
    acknowledge(Alert.objects.get(), make_user())
    live_through(system, "critical", start=1)

    alert = Alert.objects.get()
    assert (alert.acknowledged_at, alert.suppressed, alert.escalation_level) == (None, "", 1)
    assert Decision.objects.filter(answered_at=None).count() == 1


def test_resolved_by_hand_it_waits_for_recovery_or_worse(system: System) -> None:
    """The same state is no news; a worse one and a new fall are."""
    live_through(system, "warning")
    resolve(Alert.objects.get(), make_user())

    same = live_through(system, "warning", start=1)
    worse = live_through(system, "critical", start=2)

    assert (same, worse) == ([("resolved", "warning")], [("firing", "critical")])


def test_after_recovery_a_new_fall_is_a_new_alert(system: System) -> None:
    """Also when the last one was resolved by hand."""
    live_through(system, "warning")
    resolve(Alert.objects.get(), make_user())

    seen = live_through(system, "normal", "warning", start=1)

    assert seen == [("resolved", "warning"), ("firing", "warning")]
    assert Alert.objects.count() == 2


def test_the_loss_of_one_function_warns_whatever_the_score(system: System) -> None:
    """With four healthy functions the score stays above 0.7 when the fifth is dead (3.3)."""
    hear(assessed(system, "normal", 1, s3="unhealthy", s4="unknown"))
    raised = Alert.objects.get()
    hear(assessed(system, "normal", 2, s3="unknown"))
    kept = Alert.objects.get()
    hear(assessed(system, "normal", 3, s3="degraded"))
    over = Alert.objects.get()

    assert (raised.type, raised.severity, raised.state) == ("function", "warning", "firing")
    assert raised.title == "S3 Control is unhealthy: Measured."
    assert (kept.state, over.state) == ("firing", "resolved")


def test_the_number_of_a_lost_function_goes_on(system: System) -> None:
    """One that stands still for hours looks like one that nobody measures."""
    hear(assessed(system, "normal", 1, s3="unhealthy"))
    worse = assessed(system, "normal", 2, s3="unhealthy")
    worse.subsystems["s3"]["score"] = 0.02
    worse.save()
    hear(worse)
    followed = Alert.objects.get().value
    resolve(Alert.objects.get(), make_user())
    hear(assessed(system, "normal", 3, s3="unhealthy"))

    assert (followed, Alert.objects.get().value) == (0.02, 0.02)


def test_the_alert_says_how_viable_the_system_is(system: System) -> None:
    """The number and the threshold it fell below."""
    live_through(system, "critical")

    alert = Alert.objects.get()
    assert (alert.value, alert.data["threshold"], alert.subject) == (0.3, 0.5, "main")
    assert alert.title == "Viability of Main is critical: 0.30"
