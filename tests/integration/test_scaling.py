"""The auto-scaler on what was seen of a fleet: it advises, acts within policy, withdraws, and feels what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.fleets.models import QueueState, WorkerState
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s2_coordination.models import Clearing, Damper
from subsystems.s3_control import permitting
from subsystems.s3_control.models import Recommendation, ScalingPolicy
from subsystems.s3_control.scaling import queries, services
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.integration.test_api_steering import make_fleet
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_samples() -> Iterator[None]:
    hot_tier().clear()
    yield
    hot_tier().clear()


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet()


def seen(fleet: Fleet, now: datetime, *, busy: int, size: int = 4, ready: float = 0.0, workers: int = 1) -> None:
    """Let the collector have seen a queue and its readers."""
    at = now.timestamp()
    WorkerState.objects.filter(fleet=fleet).delete()
    QueueState.objects.filter(fleet=fleet).delete()
    for number in range(workers):
        WorkerState.objects.create(
            fleet=fleet, name=f"w{number}@x", role="w@x", observed_at=at, progress_at=at, pool="prefork",
            pool_size=size, queues=["mail"], active_count=busy, reserved_count=0, active=[], reserved=[],
        )  # fmt: skip
    QueueState.objects.create(fleet=fleet, name="mail", observed_at=at, ready=ready, levels={}, recent=[[at, ready]])


def policy(fleet: Fleet, **fields: Any) -> ScalingPolicy:
    return services.save_policy(fleet, {"queue": "mail", **fields}, by="ann")


def test_it_advises_and_says_all_that_it_knew(fleet: Fleet, now: datetime) -> None:
    """The decision can be made again from its evidence."""
    row = policy(fleet)
    seen(fleet, now, busy=4)

    services.evaluate(row, now=now)
    services.evaluate(row, now=now)

    advice = Recommendation.objects.get()
    assert (advice.state, advice.act_kind, advice.act_target, advice.act_parameters) == (
        "proposed", "worker.grow", "w0@x", {"by": 3},
    )  # fmt: skip
    assert (advice.effect["from"], advice.effect["to"], advice.by_itself) == (4, 7, False)
    assert {driver["name"] for driver in advice.evidence["drivers"]} >= {"utilisation", "variety_load"}
    row.refresh_from_db()
    assert (row.size, row.desired) == (4, 7)


def test_advice_that_does_not_fit_any_more_is_withdrawn(fleet: Fleet, now: datetime) -> None:
    """Nobody approves this morning's load in the evening."""
    row = policy(fleet, window_seconds=5)
    seen(fleet, now, busy=4)
    services.evaluate(row, now=now)
    later = now + timedelta(seconds=20)
    seen(fleet, later, busy=2)

    services.evaluate(row, now=later)

    assert Recommendation.objects.get().state == "expired"


def test_what_is_not_seen_is_not_scaled(fleet: Fleet, now: datetime) -> None:
    """The collector stopped half a minute ago."""
    row = policy(fleet)
    seen(fleet, now, busy=4)

    found = services.evaluate(row, now=now + timedelta(seconds=31))

    assert (found.direction, Recommendation.objects.count()) == (0, 0)


def test_losing_critical_capacity_hurts_once(fleet: Fleet, now: datetime) -> None:
    """Workers that leave by themselves are not scaled in (004-33)."""
    row = policy(fleet, least=4)
    seen(fleet, now, busy=1, workers=2)
    services.evaluate(row, now=now)
    for seconds in (10, 20):
        later = now + timedelta(seconds=seconds)
        seen(fleet, later, busy=1, size=1)
        row.refresh_from_db()
        services.evaluate(row, now=later)

    signal = Signal.objects.get()
    assert (signal.severity, signal.source, signal.type) == ("high", "cluster_management", "pain")
    assert signal.description == "Critical VSM capacity lost due to node failure: shop/mail"
    assert signal.data["affected_subsystems"] == ["shop/mail"]


def test_idle_is_what_was_idle_without_a_break_and_was_seen(fleet: Fleet, now: datetime) -> None:
    """What nobody looked at may have been needed meanwhile: it counts from anew."""
    row, since = policy(fleet, window_seconds=20, in_window_seconds=20), []
    for number, busy in enumerate((1, 1, 1, 4, 1, 1, 1)):
        later = now + timedelta(seconds=20 * number)
        if number == 6:  # the platform was down
            ScalingPolicy.objects.update(looked_at=later - timedelta(seconds=61))
        seen(fleet, later, busy=busy)
        row.refresh_from_db()
        services.evaluate(row, now=later)
        row.refresh_from_db()
        since.append(None if row.idle_since is None else (row.idle_since - now).total_seconds())

    assert since == [None, 20, 20, None, None, 100, 120]


@pytest.mark.parametrize(
    ("busy_before", "wait"),
    [pytest.param(2.0, 1500, id="what comes again is waited for"), pytest.param(0.33, 300, id="unless it is too dear")],
)
def test_s2_hears_since_when_it_is_idle_and_what_that_costs(
    fleet: Fleet, now: datetime, busy_before: float, wait: int
) -> None:
    """Capacity was wanted back after 1000 s once; 4 slots of which half are used are worth waiting, a twelfth not."""
    for kind in ("worker.grow", "worker.shrink"):
        permitting.set_permission(fleet.system_id, kind, "auto", {}, by="ann")
    row = policy(fleet, mode="auto", least=1, in_window_seconds=5)
    past = {"direction": 1, "acted_at": now - timedelta(hours=1), "unrest_at": now, "returns_seconds": 1000.0}
    Damper.objects.create(system=fleet.system, subject=row.subject, **past)
    end = now.timestamp()
    lately = [end - 60.0 * minutes for minutes in range(50, 0, -1)] + [end - 4.9]
    told = {"slots": [Sample("slots", at, 4.0, {}) for at in lately]}
    told["busy"] = [Sample("busy_slots", at, busy_before, {}) for at in lately[:-1]]
    told["busy"].append(Sample("busy_slots", end - 4.9, 0.0, {}))
    record({row.subject: told["slots"] + told["busy"]}, system_id=fleet.system_id, now=end)
    seen(fleet, now, busy=0)

    services.evaluate(row, now=now)

    row.refresh_from_db()
    refused = Clearing.objects.get()
    assert (refused.code, refused.direction, row.idle_since) == ("reversal", -1, now)
    assert refused.retry_at == now + timedelta(seconds=wait)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"least": 9, "most": 3}, "least", id="bounds that cross"),
        pytest.param({"in_at": 0.9}, "in_at", id="no hysteresis"),
        pytest.param({"window_seconds": 0}, "window_seconds", id="no window"),
        pytest.param({"mode": "magic"}, "mode", id="mode"),
    ],
)
def test_a_policy_that_would_swing_is_refused(fleet: Fleet, fields: dict[str, Any], field: str) -> None:
    """By the name of its field."""
    with pytest.raises(Invalid) as refused:
        policy(fleet, **fields)

    assert refused.value.field == field


def test_a_policy_is_tried_on_the_load_on_record(fleet: Fleet, now: datetime) -> None:
    """Before it is switched on; the same load, with S2 and without."""
    row = policy(fleet, enabled=False)
    end = now.timestamp()
    rates = [Sample("published_rate", end - 30 * place, 1.0 + place % 7, {}) for place in range(60, 0, -1)]
    counts = [Sample("processed_total", end - back, 100.0 - back, {}) for back in (50.0, 5.0)]
    record({"shop/mail": rates, "shop/w0@x": counts}, system_id=root_system().pk, now=end)
    seen(fleet, now, busy=2)

    damped, bare, fixed = queries.trial(row, hours=0.5, now=now)

    assert (len(damped.sizes), len(bare.sizes)) == (60, 60)
    assert max(damped.arrivals) == 7.0
    assert set(fixed.sizes) == {20}


def test_policies_are_kept_over_the_api(client: Client, fleet: Fleet, now: datetime) -> None:
    """Made, changed, read by KEDA, dropped; strangers see nothing."""
    headers = bearer(make_token(["read", "operate"], user=make_user(role="operator"))[1])
    stranger = bearer(make_token(["read", "operate"], user=make_user(role="operator", system=make_system()))[1])

    def send(verb: str, path: str, body: dict[str, Any]) -> Any:
        return getattr(client, verb)(
            f"/api/v1/scaling-policies/{path}", body, content_type="application/json", headers=headers
        )

    made = send("post", "", {"fleet": "shop", "queue": "mail", "most": 8})
    twice = send("post", "", {"fleet": "shop", "queue": "mail"})
    wrong = send("post", "", {"fleet": "shop", "queue": "b", "least": -1})
    path = f"{made.json()['id']}/"
    changed = send("patch", path, {"most": 10})
    blind = client.get(f"/api/v1/scaling-policies/{path}keda/", headers=headers)
    seen(fleet, now, busy=4)
    services.evaluate(ScalingPolicy.objects.get(), now=timezone.now())
    keda = client.get(f"/api/v1/scaling-policies/{path}keda/", headers=headers)

    assert (made.status_code, made.json()["mode"], twice.status_code, wrong.status_code) == (201, "advise", 400, 400)
    assert (changed.json()["most"], blind.status_code, blind.json()["code"]) == (10, 409, "stale")
    assert keda.json()["desired"] == 7
    assert client.get(f"/api/v1/scaling-policies/{path}", headers=stranger).status_code == 404
    assert send("post", f"{path}rehearse/", {}).json()["code"] == "unknown"
    columns = {"at": [0, 60, 120], "arrivals": [60, 600, 60], "service_seconds": [1, None, None]}
    tried = send("post", f"{path}rehearse/", {"columns": columns})
    same = send("post", f"{path}rehearse/", {"text": "at,arrivals,service_seconds\n0,60,1\n60,600,\n120,60,"})
    holed = send("post", f"{path}rehearse/", {"columns": {**columns, "at": [0, 60, 180]}})
    both = send("post", f"{path}rehearse/", {"columns": columns, "text": "at"})
    empty = send("post", f"{path}rehearse/", {"columns": {"at": []}})
    assert (tried.status_code, tried.json()) == (200, same.json())
    assert tried.json()["at_the_most"]["slot_seconds"] == 3 * 60 * 10
    assert (holed.status_code, holed.json()["code"], "Row 3, at" in holed.content.decode()) == (400, "invalid", True)
    assert ([both.status_code, empty.status_code], "arrivals" in empty.content.decode()) == ([400, 400], True)
    assert send("delete", path, {}).status_code == 204
