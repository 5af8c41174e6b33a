"""The limits at the door: which numbers hold, what a refusal leaves behind, and that critical pain always passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from subsystems.algedonic.models import Signal
from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import TransientError
from subsystems.kernel.severity import Severity
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.limiter import Bucket, Refusal
from subsystems.messaging.limits import GuardedLimiter, RateLimited
from subsystems.messaging.memory_limiter import MemoryLimiter
from subsystems.messaging.models import RateLimit
from subsystems.messaging.rejections import record_rejection
from subsystems.recursion.queries import root_system
from tests.support.factories import bearer, make_system, make_token

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def passed(
    urgency: Severity | int, *, tries: int, channel: Channel = Channel.ALGEDONIC, system_id: int | None = 1
) -> int:
    """Return how many of *tries* pass."""
    count = 0
    for _ in range(tries):
        try:
            limits.check(channel, Party.S1, urgency, system_id)
        except RateLimited:
            continue
        count += 1
    return count


def refusal(urgency: Severity = Severity.LOW, system_id: int | None = None) -> RateLimited:
    """Say so much that the limiter refuses, and return how it did."""
    passed(urgency, tries=20, system_id=system_id)
    with pytest.raises(RateLimited) as caught:
        limits.check(Channel.ALGEDONIC, Party.S1, urgency, system_id)
    return caught.value


@pytest.fixture(autouse=True)
def _fixed_clock() -> None:
    """A clock that stands still: nothing is earned while a slow machine runs a test."""
    limits.use_limiter(GuardedLimiter(MemoryLimiter(clock=lambda: 1000.0)))


@pytest.fixture(autouse=True)
def _own_limiter() -> Any:
    """The next test gets the configured one."""
    yield
    limits.use_limiter(None)


@pytest.mark.parametrize(
    ("channel", "urgency", "expected"),
    [
        pytest.param(Channel.ALGEDONIC, Severity.CRITICAL, 300, id="critical pain is never limited"),
        pytest.param(Channel.ALGEDONIC, Severity.HIGH, 10, id="high pain"),
        pytest.param(Channel.ALGEDONIC, Severity.MEDIUM, 5, id="medium pain"),
        pytest.param(Channel.ALGEDONIC, Severity.LOW, 2, id="low pain"),
        pytest.param(Channel.COORDINATION, 8, 100, id="high coordination"),
        pytest.param(Channel.COORDINATION, 5, 50, id="normal coordination"),
        pytest.param(Channel.COORDINATION, 0, 10, id="low coordination"),
        pytest.param(Channel.COMMAND, 5, 300, id="a command has only the wide layers"),
    ],
)
def test_the_documented_numbers_hold(channel: Channel, urgency: Severity | int, expected: int) -> None:
    """Requirements 004-6 and 004-7."""
    assert passed(urgency, tries=300, channel=channel) == expected


def test_each_system_has_limits_of_its_own() -> None:
    """A tenant's storm must not silence another (2-38)."""
    passed(Severity.HIGH, tries=20, system_id=1)

    assert passed(Severity.HIGH, tries=20, system_id=2) == 10


def test_a_refusal_names_the_layer_and_when_to_retry() -> None:
    """The sender must know whether to wait, and what to ask an administrator for."""
    error = refusal(Severity.LOW)

    assert (error.layer, error.code) == ("severity", "rate_limited")
    assert error.retry_after_seconds == pytest.approx(30, abs=0.01)


def test_a_row_changes_the_limit_and_off_removes_it() -> None:
    """Limits are policy: rows of the admin, for all or for one system."""
    system = make_system()
    RateLimit.objects.create(layer="severity", key="high", limit=3, period_seconds=60, burst=3)
    RateLimit.objects.create(system=system, layer="severity", key="high", limit=1, burst=1, enabled=False)

    assert passed(Severity.HIGH, tries=20, system_id=system.pk) == 20
    assert passed(Severity.HIGH, tries=20, system_id=system.pk + 1) == 3


def test_the_whole_limiter_can_be_switched_off(settings: Settings) -> None:
    """Phases of a roll-out are switchable each for itself (004-41)."""
    settings.RATE_LIMITING = False

    assert passed(Severity.LOW, tries=20) == 20


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"layer": "severity", "key": "critical"}, "key", id="critical pain"),
        pytest.param({"layer": "priority", "key": "medium"}, "key", id="a severity where priorities are"),
        pytest.param({"layer": "system", "key": "s1"}, "key", id="a part of a whole system"),
        pytest.param({"layer": "moon", "key": ""}, "layer", id="a layer that there is not"),
        pytest.param({"layer": "bargain"}, "layer", id="what only a bargain sets"),
        pytest.param({"layer": "system", "limit": 0}, "limit", id="nothing at all"),
        pytest.param({"layer": "system", "period_seconds": 10**6}, "period_seconds", id="a period beyond a day"),
        pytest.param({"layer": "system", "burst": 10**7}, "burst", id="a burst beyond a million"),
    ],
)
def test_a_row_that_cannot_hold_is_refused(fields: dict[str, Any], named: str) -> None:
    """The form names the field."""
    row = RateLimit(**{"limit": 1, "period_seconds": 60, "burst": 1, **fields})

    with pytest.raises(ValidationError) as caught:
        row.full_clean()

    assert named in caught.value.error_dict


def test_there_is_one_row_to_a_place() -> None:
    """Two rows for the same would make one of them a lie; NULL systems are the same system here."""
    RateLimit.objects.create(layer="system", limit=1, burst=1)

    with pytest.raises(IntegrityError), transaction.atomic():
        RateLimit.objects.create(layer="system", limit=2, burst=2)


class Away:
    """A shared limiter that answers only while `here`."""

    def __init__(self) -> None:
        self.here, self.asked, self.told = False, 0, {}

    def take(self, buckets: Sequence[Bucket]) -> Refusal | None:
        self.asked += 1
        if not self.here:
            raise TransientError("The rate limiter cannot be reached")
        return None

    def count(self, amounts: dict[str, int]) -> bool:
        self.told |= amounts
        return True

    def counters(self) -> dict[str, int]:
        return dict(self.told)

    def clear(self) -> None:
        self.told = {}


def test_while_the_limiter_is_away_a_part_of_each_limit_holds(caplog: pytest.LogCaptureFixture) -> None:
    """Neither open to a flood nor shut: a fourth to each process, said once."""
    shared = Away()
    limits.use_limiter(GuardedLimiter(shared, rest_seconds=3600))

    assert passed(Severity.HIGH, tries=20) == 2
    assert passed(Severity.CRITICAL, tries=20) == 20
    assert shared.asked == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_when_the_limiter_is_back_it_is_told_what_it_missed(caplog: pytest.LogCaptureFixture) -> None:
    """By itself, and without losing a count."""
    shared = Away()
    limits.use_limiter(GuardedLimiter(shared, rest_seconds=0))
    passed(Severity.HIGH, tries=20)
    shared.here = True

    assert passed(Severity.HIGH, tries=20) == 20
    assert limits.limiter().shared_answers
    assert limits.limiter().counters() == {"refused:severity:high": 18, "fallbacks": 20}


class Pain:
    """Stands where `raise_signal` of the algedonic room does."""

    def __init__(self) -> None:
        self.raised: list[dict[str, Any]] = []

    def __call__(self, **signal: Any) -> None:
        self.raised.append(signal)


def test_a_rejection_leaves_one_event_and_one_signal_per_layer_and_minute() -> None:
    """Requirements 004-3 and 004-20; a flood of rejections must not become a flood of writes."""
    pain, low, high = Pain(), refusal(Severity.LOW), refusal(Severity.HIGH)

    told = [record_rejection(low, raise_signal=pain, now=NOON + timedelta(seconds=n)) for n in (0, 10, 60)]
    record_rejection(high, raise_signal=pain, now=NOON + timedelta(seconds=20))

    assert told == [True, False, True]
    assert PendingEvent.objects.filter(stream="audit", type="rate_exceeded", actor="rate_limiter").count() == 2
    assert [(s["type"], s["severity"], s["source"]) for s in pain.raised] == [
        ("pain", Severity.MEDIUM, "rate_limiter")
    ] * 2


def test_a_signal_that_cannot_be_raised_is_tried_again_with_the_next_rejection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The answer to the caller must not depend on it."""
    pain, error = Pain(), refusal()

    def broken(**_: Any) -> None:
        raise TransientError("no lane")

    first = record_rejection(error, raise_signal=broken, now=NOON)
    second = record_rejection(error, raise_signal=pain, now=NOON)

    assert (first, second, len(pain.raised)) == (False, True, 1)
    assert "no lane" in caplog.text


@pytest.fixture
def headers(settings: Settings) -> dict[str, str]:
    settings.INGEST_RATE, settings.INGEST_BURST = 1, 2
    root_system()
    return bearer(make_token(["ingest"])[1])


def push(client: Client, headers: dict[str, str]) -> Any:
    body = {"source": "billing-1", "samples": [{"metric": "cpu", "value": 0.3}]}
    return client.post("/api/v1/ingest/", body, content_type="application/json", headers=headers)


def test_a_token_that_sends_too_much_is_told_to_wait(client: Client, headers: dict[str, str]) -> None:
    """429 with `Retry-After`, and other tokens go on."""
    answers = [push(client, headers) for _ in range(3)]
    other = push(client, bearer(make_token(["ingest"])[1]))

    assert [answer.status_code for answer in [*answers, other]] == [202, 202, 429, 202]
    body = answers[-1].json()
    assert (body["code"], body["layer"], body["retry_after"]) == ("rate_limited", "token", 1.0)
    assert answers[-1]["Retry-After"] == "1"
    assert answers[-1]["Content-Type"] == "application/problem+json"


def test_a_refused_request_is_felt_by_s3(client: Client, headers: dict[str, str]) -> None:
    """The whole way: request, refusal, event, signal (requirements 004-3)."""
    for _ in range(4):
        push(client, headers)

    felt = Signal.objects.get(source="rate_limiter")

    assert (felt.type, felt.severity, felt.data["layer"]) == ("pain", "medium", "token")
    assert PendingEvent.objects.filter(type="rate_exceeded").count() == 1


def test_refusals_are_among_the_metrics(client: Client, headers: dict[str, str]) -> None:
    """What is refused must be seen to be refused."""
    refusal(Severity.LOW)
    for _ in range(3):
        push(client, headers)

    text = client.get("/metrics", headers=bearer(make_token(["read"])[1])).content.decode()

    assert 'vsm_rate_limited_total{layer="severity",severity="low"} 19\n' in text
    assert 'vsm_rate_limited_total{layer="token",severity=""} 1\n' in text
    assert "vsm_self_rate_limiter_fallbacks_total 0\n" in text


def test_limits_are_edited_in_the_admin(admin_client: Client) -> None:
    """And a row that cannot hold comes back with its reason."""
    good = {"layer": "severity", "key": "low", "limit": 4, "period_seconds": 60, "burst": 4, "enabled": "on"}

    saved = admin_client.post("/admin/messaging/ratelimit/add/", good)
    refused = admin_client.post("/admin/messaging/ratelimit/add/", {**good, "key": "critical"})

    assert saved.status_code == 302
    assert passed(Severity.LOW, tries=10) == 4
    assert "critical pain is never limited" in refused.content.decode()
