"""The closed loop as far as no broker is needed: who may decide, what holds it back, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Forbidden, Invalid, Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control import captures, carrying, permitting, queries, recommending, settling
from subsystems.s3_control.models import Action, Hold, Recommendation
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from tests.integration.test_api_steering import make_captured, make_fleet, make_tasks
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
EFFECT = {"metric": "ready", "source": "shop/mail", "from": 100.0, "to": 0.0, "unit": "messages"}
ACT = {"kind": "task.retry", "parameters": {"state": "failure"}}


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
    """A fleet with an act that needs no broker to be looked at: tasks that can be sent again."""
    found = make_fleet()
    captures.keep(found, [make_captured(each) for each in make_tasks(found, 2)])
    return found


def measure(value: float, now: datetime) -> None:
    told = {"shop/mail": [Sample("ready", now.timestamp(), value, {})]}
    record(told, system_id=root_system().pk, now=now.timestamp())


def advise(of: Fleet | None, now: datetime, **fields: Any) -> Recommendation:
    told: dict[str, Any] = {
        "system_id": root_system().pk, "kind": "resource", "source": "s3", "subject": "shop/mail",
        "title": "Send again", "fleet": of, "act": ACT, "expected_effect": EFFECT, "measured_at": now,
        "now": now, **fields,
    }  # fmt: skip
    return recommending.recommend(**told)


def permit(fleet: Fleet, mode: str = "auto", **limits: Any) -> None:
    permitting.set_permission(fleet.system_id, "task.retry", mode, limits, by="policy")


def ended(row: Recommendation, state: str, now: datetime) -> None:
    """Let the action of *row* end, as carrying it out would."""
    row.refresh_from_db()
    assert row.action is not None
    Action.objects.filter(pk=row.action_id).update(state=state, finished_at=now)
    recommending.follow(Action.objects.get(pk=row.action_id), now=now)


def settle(row: Recommendation, value: float, now: datetime) -> datetime:
    """Let the action succeed and the metric show *value* when the effect is due."""
    ended(row, "verified", now)
    later = now + timedelta(seconds=row.settle_seconds)
    measure(value, later)
    settling.tend(now=later)
    row.refresh_from_db()
    return later


# --- The loop --------------------------------------------------------------------------------------------------------
def test_what_a_person_approves_is_done_and_judged_by_its_effect(fleet: Fleet, now: datetime) -> None:
    """Signal to effect, each step on record; the score is the share of what was promised."""
    measure(100.0, now)
    row = advise(fleet, now)

    recommending.approve(row, by=make_user("ann", role="operator"), reason="the card service is back", now=now)
    settle(row, 30.0, now)

    assert (row.state, row.score, row.met, row.automatic) == ("verified", pytest.approx(0.7), True, False)
    assert row.outcome.items() >= {"before": 100.0, "after": 30.0, "predicted": -100.0, "realised": -70.0}.items()
    assert queries.optimisation_score(fleet.system_id, since=now - timedelta(days=1)) == (pytest.approx(0.7), 1)
    told = PendingEvent.objects.filter(correlation_id=str(row.pk)).order_by("pk").values_list("type", flat=True)
    assert list(told) == [f"Recommendation{word}" for word in ("Proposed", "Approved", "Applied", "Verified")]


def test_the_default_is_to_advise(fleet: Fleet, now: datetime) -> None:
    """Without a word of S5 nothing is ever done by itself."""
    measure(100.0, now)
    row = advise(fleet, now)

    settling.tend(now=now + timedelta(hours=1))

    row.refresh_from_db()
    assert (row.state, Action.objects.count()) == ("proposed", 0)


def test_within_limits_it_is_done_by_itself(fleet: Fleet, now: datetime) -> None:
    """And the action says that nobody else did it."""
    permit(fleet)
    measure(100.0, now)
    row = advise(fleet, now)

    settling.tend(now=now)

    row.refresh_from_db()
    assert (row.state, row.automatic, row.decided_by) == ("approved", True, "the platform")
    assert Action.objects.get().actor == "the platform"


def test_what_waits_is_done_when_policy_changes(fleet: Fleet, now: datetime) -> None:
    """S5 speaks while it lies in the inbox."""
    measure(100.0, now)
    row = advise(fleet, now)
    permit(fleet)

    settling.tend(now=timezone.now())

    row.refresh_from_db()
    assert row.state == "approved"


# --- Each brake is tried ---------------------------------------------------------------------------------------------
def test_nothing_is_advised_on_stale_or_missing_data(fleet: Fleet, now: datetime) -> None:
    """At the proposal."""
    for measured_at in (None, now - timedelta(seconds=61)):
        with pytest.raises(Refused) as refused:
            advise(fleet, now, measured_at=measured_at)
        assert refused.value.code == "stale"
    assert not Recommendation.objects.exists()


@pytest.mark.parametrize("measured", [True, False], ids=["stale", "missing"])
def test_nothing_is_approved_on_stale_or_missing_data(fleet: Fleet, now: datetime, measured: bool) -> None:
    """An hour later the queue may be empty: neither a person nor the platform acts on what was."""
    if measured:
        measure(100.0, now - timedelta(seconds=90))
    row = advise(fleet, now)

    with pytest.raises(Refused) as refused:
        recommending.approve(row, by=make_user(role="operator"), now=now)
    permit(fleet)
    settling.tend(now=timezone.now())

    row.refresh_from_db()
    assert refused.value.code == "stale"
    assert (row.state, Action.objects.count()) == ("proposed", 0)
    assert "measured" in row.waits_for


def test_nothing_begins_on_data_that_became_stale_meanwhile(fleet: Fleet, now: datetime) -> None:
    """Between approval and carrying out the broker was away for two minutes."""
    measure(100.0, now)
    row = advise(fleet, now)
    recommending.approve(row, by=make_user(role="operator"), now=now)

    carrying.carry_on(now=now + timedelta(minutes=2))

    row.refresh_from_db()
    action = Action.objects.get()
    assert (action.state, row.state) == ("failed", "failed")
    assert action.detail.startswith("Not done:")


def test_the_same_is_advised_and_approved_once(fleet: Fleet, now: datetime) -> None:
    """A redelivered alert, two clocks, two people with the same page open."""
    measure(100.0, now)
    first, again = advise(fleet, now, key="alert 7"), advise(fleet, now, key="alert 7")
    stale_page = Recommendation.objects.get(pk=first.pk)
    ann = make_user(role="operator")

    recommending.approve(first, by=ann, now=now)
    with pytest.raises(Refused) as refused:
        recommending.approve(stale_page, by=ann, now=now)

    assert (first.pk, refused.value.code) == (again.pk, "decided")
    assert Action.objects.count() == 1


def test_two_corrections_of_one_subject_are_not_made_at_once(fleet: Fleet, now: datetime) -> None:
    """Each alone is right; together they overshoot, and nobody can tell which one helped."""
    measure(100.0, now)
    one, other = advise(fleet, now), advise(fleet, now, title="Another")
    ann = make_user(role="operator")
    recommending.approve(one, by=ann, now=now)

    with pytest.raises(Refused) as refused:
        recommending.approve(other, by=ann, now=now)
    with pytest.raises(Refused):  # and where two look at the same moment, the database decides
        recommending._claim(other, {"state": "approved"})

    assert refused.value.code == "busy"
    settle(one, 0.0, now)
    later = now + timedelta(minutes=3)
    measure(90.0, later)
    recommending.approve(other, by=ann, now=later)


def test_nothing_is_done_against_policy(fleet: Fleet, now: datetime) -> None:
    """`never` binds people, too; and what was approved before does not begin after."""
    measure(100.0, now)
    row, ann = advise(fleet, now), make_user(role="operator")
    permit(fleet, "never")

    with pytest.raises(Forbidden):
        recommending.approve(row, by=ann, now=now)
    permit(fleet, "manual")
    recommending.approve(row, by=ann, now=now)
    permit(fleet, "never")
    carrying.carry_on(now=now + timedelta(seconds=31))

    assert "policy has changed" in Action.objects.get().detail


def test_after_failures_it_stops_undoes_hurts_and_holds(fleet: Fleet, now: datetime) -> None:
    """A loop that goes on pushing what does not move breaks something else."""
    permit(fleet, stop_after=2, cooldown_seconds=0)
    for _ in range(2):
        measure(100.0, now)
        row = advise(fleet, now)
        settling.tend(now=now)
        now = settle(row, 100.0, now) + timedelta(seconds=10)

    hold, signal = Hold.objects.get(), Signal.objects.get()
    assert (hold.failures, hold.subject, hold.signal_id) == (2, "shop/mail", signal.pk)
    assert (signal.type, signal.severity, signal.origin) == ("pain", "high", "s3")
    assert "could not be undone: Nothing undoes task.retry" in hold.detail
    measure(100.0, now)
    third = advise(fleet, now)
    settling.tend(now=now)
    third.refresh_from_db()
    assert (third.state, third.waits_for) == ("proposed", "It is held: corrections failed again and again.")
    ann = make_user(role="operator")
    with pytest.raises(Refused, match="Release the hold"):
        recommending.approve(third, by=ann, now=now)
    assert recommending.release(hold, by=ann, now=now)
    assert not recommending.release(hold, by=ann, now=now)
    settling.tend(now=now)
    third.refresh_from_db()
    assert third.state == "approved"


def test_an_outcome_that_cannot_be_measured_stays_unknown(fleet: Fleet, now: datetime) -> None:
    """It is neither a success nor a failure, and the subject is free again."""
    measure(100.0, now)
    row = advise(fleet, now)
    recommending.approve(row, by=make_user(role="operator"), now=now)
    ended(row, "verified", now)

    settling.tend(now=now + timedelta(minutes=2))
    settling.tend(now=now + timedelta(minutes=8))

    row.refresh_from_db()
    assert (row.state, row.score, row.met) == ("applied", None, None)
    assert row.settled_at is not None
    assert "ago" in row.outcome["why"]


def test_what_nobody_decides_expires_and_what_is_deferred_comes_back(fleet: Fleet, now: datetime) -> None:
    """Advice of yesterday is no advice."""
    old, later = advise(fleet, now, expires_at=now + timedelta(minutes=5)), advise(fleet, now)
    recommending.defer(later, by=make_user(role="operator"), until=now + timedelta(minutes=6), now=now)

    settling.tend(now=now + timedelta(minutes=7))

    old.refresh_from_db()
    later.refresh_from_db()
    assert (old.state, later.state) == ("expired", "proposed")


def test_nobody_is_asked_about_a_fleet_that_is_forgotten(fleet: Fleet, now: datetime) -> None:
    """It would stay in the inbox, and every approval would be refused."""
    asked, put_off = advise(fleet, now), advise(fleet, now)
    recommending.defer(put_off, by=make_user(role="operator"), until=now + timedelta(minutes=6), now=now)
    fleet.delete()

    assert settling.is_tending_due(now=now)
    settling.tend(now=now)

    found = Recommendation.objects.values_list("state", "waits_for")
    assert set(found) == {("expired", "Its fleet is not watched any more.")}
    assert not settling.is_tending_due(now=now)
    assert asked.pk != put_off.pk


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"kind": "magic"}, "kind", id="kind"),
        pytest.param({"source": "s1"}, "source", id="source"),
        pytest.param({"subject": " "}, "subject", id="subject"),
        pytest.param({"title": "a\tb"}, "title", id="title"),
        pytest.param({"act": {"kind": "worker.explode"}}, "act.kind", id="act"),
        pytest.param({"act": {"target": "x"}}, "act.kind", id="act without a kind"),
        pytest.param({"fleet": None}, "fleet", id="an act without a fleet"),
        pytest.param({"expected_effect": {**EFFECT, "to": 100.0}}, "expected_effect", id="an effect that is none"),
        pytest.param({"expected_effect": {**EFFECT, "to": float("nan")}}, "expected_effect.to", id="no number"),
    ],
)
def test_bad_advice_is_refused_by_its_field(fleet: Fleet, now: datetime, fields: dict[str, Any], field: str) -> None:
    """And nothing is written."""
    with pytest.raises(Invalid) as refused:
        advise(fleet, now, **fields)

    assert refused.value.field == field
    assert not Recommendation.objects.exists()


# --- Over HTTP -------------------------------------------------------------------------------------------------------
def test_people_decide_over_the_api(client: Client, fleet: Fleet, now: datetime) -> None:
    """Advise, defer, refuse with a reason, see what is permitted."""
    headers = bearer(make_token(["read", "operate"], user=make_user("ann", role="operator"))[1])
    permit(fleet, "never")
    asked = {"kind": "optimisation", "subject": "shop/mail", "title": "Read it twice", "key": "k"}

    def post(path: str, body: dict[str, Any]) -> Any:
        return client.post(f"/api/v1/{path}", body, content_type="application/json", headers=headers)

    made, again = post("recommendations/", asked), post("recommendations/", asked)
    where = f"recommendations/{made.json()['id']}/"
    silent, wrong = post(f"{where}refuse/", {}), post(f"{where}defer/", {"until": "2020-01-01T00:00:00Z"})
    refused = post(f"{where}refuse/", {"reason": "not now"})
    twice = post(f"{where}approve/", {})

    assert (made.status_code, again.json()["id"]) == (201, made.json()["id"])
    assert (silent.status_code, wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, 400, "until")
    assert (refused.json()["state"], refused.json()["decided_by"]) == ("refused", "ann")
    assert (twice.status_code, twice.json()["code"]) == (409, "decided")
    waiting = client.get("/api/v1/recommendations/?waiting=true", headers=headers).json()
    policies = client.get("/api/v1/action-policies/", headers=headers).json()
    assert waiting["results"] == []
    assert [(row["kind"], row["mode"]) for row in policies["results"]] == [("task.retry", "never")]


def test_strangers_and_readers_decide_nothing(client: Client, fleet: Fleet, now: datetime) -> None:
    """Another tenant's advice is not there; who may only read may only read."""
    row = advise(fleet, now)
    reader = bearer(make_token(["read"], user=make_user(role="viewer"))[1])
    stranger = bearer(make_token(["read", "operate"], user=make_user(role="operator", system=make_system()))[1])
    path = f"/api/v1/recommendations/{row.pk}/"

    def approve(headers: dict[str, str]) -> int:
        return client.post(f"{path}approve/", {}, content_type="application/json", headers=headers).status_code

    assert client.get(path).status_code == 401
    assert (client.get(path, headers=reader).status_code, approve(reader)) == (200, 403)
    assert (client.get(path, headers=stranger).status_code, approve(stranger)) == (404, 404)
    assert client.get("/api/v1/recommendations/", headers=stranger).json()["results"] == []
