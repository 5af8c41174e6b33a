"""Event patterns from the event log to a detection, its consequences, and what people say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsystems.algedonic.models import Signal
from subsystems.event_log import services as event_log
from subsystems.event_log.models import Event, PendingEvent
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel import telemetry_events
from subsystems.messaging import rejections
from subsystems.messaging import services as messaging
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.envelope import Envelope
from subsystems.messaging.pressure import ChannelFull, ChannelState
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s2_coordination import damping
from subsystems.s3_control import captures, permitting, recommending, settling
from subsystems.s3_control import services as running
from subsystems.s3_control.models import Action, Recommendation, TaskRun
from subsystems.s4_intelligence import scanning
from subsystems.s4_intelligence.models import Pattern, PatternCell, PatternDetection, PatternInput, Source
from subsystems.s4_intelligence.patterns import acting, gathering, listening, queries, rehearsing, services
from subsystems.s4_intelligence.patterns.builtin import BUILT_IN
from subsystems.s4_intelligence.patterns.language import Mistaken, read
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from subsystems.telemetry.store import hot_tier
from subsystems.variety.models import Operation, Reading
from tests.integration.test_api_steering import make_captured, make_fleet, make_tasks
from tests.integration.test_recommendations import ended
from tests.support.factories import bearer, make_system, make_token, make_user

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FAILED = """
pattern: failing_orders
description: Orders fail.
key: shop
when:
  frequency: {event: order.failed, where: {amount: {gt: 10}}, count: 3, within: 60s}
levels: {watch: 0.5}
"""


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    services.unload()
    yield
    services.unload()


@pytest.fixture
def system() -> System:
    return root_system()


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def happened(count: int, *, start: float = 0.0, type_: str = "order.failed", system: System | None = None,
             **data: Any) -> None:  # fmt: skip
    """Seal so many events, a second apart."""
    for place in range(count):
        append(
            Stream.OPERATIONS, type_, {"shop": "north", "amount": 20, **data},
            system_id=system.pk if system else None, at=later(start + place),
        )  # fmt: skip
    event_log.seal()


def sealed(after: int = 0) -> list[Recorded]:
    """Return what happened, but the first so many, and without what the platform says of itself at its own time."""
    rows = Event.objects.filter(stream=Stream.OPERATIONS).order_by("position")
    return [event_log.queries.recorded(row) for row in rows[after:]]


def hear(events: Iterable[Recorded], now: datetime | None = None) -> int:
    """Let the patterns hear events, and time go on until what they say is believed."""
    listed = list(events)
    began = services.hear(listed, now=now or later(3600))
    rows = [each._replace(position=10**9, type="nothing", at=later(3600)) for each in listed[:1]]
    return began + services.hear(rows, now=now or later(3600))


@transaction.atomic
def hear_and_die(events: Iterable[Recorded]) -> None:
    hear(events)
    raise KeyboardInterrupt


def test_a_pattern_is_detected_from_the_event_log(system: System) -> None:
    """The row says what, of whom, how surely, and which events made it."""
    services.create(system, FAILED, by=None)
    happened(4)

    began = hear(sealed())

    [row] = PatternDetection.objects.filter(level=3)
    assert (began, row.key, row.began_at, row.acted_at, row.confidence) == (1, "north", later(1), later(2), 1.0)
    assert [piece["position"] for piece in row.evidence] == [event.position for event in sealed()[:3]]
    assert row.evidence[0]["data"]["amount"] == 20
    assert row.ended_at is not None
    told = PendingEvent.objects.get(type="pattern.detected", system_id=system.pk)
    assert told.at == later(3600)  # when it was found: patterns of patterns would else find it too late


def test_events_come_by_the_logs_handler(system: System) -> None:
    """The handler is one of the log's: its checkpoint moves in the transaction of its effect."""
    event_log.project()
    services.create(system, FAILED, by=None)
    now = datetime.now(UTC)
    for _ in range(3):
        append(Stream.OPERATIONS, "order.failed", {"shop": "north", "amount": 20}, at=now)
    event_log.seal()

    event_log.project()
    began = services.tick(now=now + timedelta(seconds=10))

    assert (began, PatternDetection.objects.filter(level=3).count()) == (1, 1)


def test_a_kill_between_detection_and_checkpoint_loses_and_doubles_nothing(system: System) -> None:
    """What was detected, what is remembered and the checkpoint are one transaction."""
    services.create(system, FAILED, by=None)
    happened(2)
    hear(sealed(), now=later(3))
    happened(2, start=2)
    rest = sealed(after=2)

    with pytest.raises(KeyboardInterrupt):
        hear_and_die(rest)
    undone = PatternDetection.objects.filter(level=3).count()
    began = hear(rest)

    assert (undone, began) == (0, 1)
    assert PatternDetection.objects.filter(level=3).count() == 1


def test_a_restart_between_two_events_is_not_noticed(system: System) -> None:
    """Another process, or the same one started again, goes on from what is stored."""
    services.create(system, FAILED, by=None)
    happened(2)
    hear(sealed(), now=later(3))
    happened(1, start=2)
    services.unload()

    assert hear(sealed(after=2)) == 1
    assert PatternCell.objects.count() == 0  # an hour later nothing of it matters any more


def test_a_system_hears_its_own_events_alone(system: System) -> None:
    """Two tenants may have patterns of one name; neither learns what happens at the other's."""
    north, south = make_system("north"), make_system("south")
    for each in (north, south):
        services.create(each, FAILED, by=None)
    happened(4, system=north)

    hear(sealed())

    assert {row.system for row in PatternDetection.objects.all()} == {north}


def test_a_changed_pattern_begins_with_an_empty_memory(system: System) -> None:
    """Half of what an earlier version had seen is nothing to the next one."""
    pattern = services.create(system, FAILED, by=None)
    happened(2)
    hear(sealed(), now=later(30))

    services.update(pattern, FAILED.replace("gt: 10", "gt: 15"), by=None, now=NOON)
    happened(2, start=31)

    assert hear(sealed(after=2)) == 0
    assert Pattern.objects.get().version == 2


def test_a_pattern_at_rest_hears_nothing(system: System) -> None:
    """Switched off means off."""
    pattern = services.create(system, FAILED, by=None)
    services.switch(pattern, enabled=False, by=None, now=NOON)
    happened(4)

    assert hear(sealed()) == 0


def test_time_goes_on_without_events(system: System) -> None:
    """What does not happen is noticed by the clock, once the log's handler has heard everything."""
    text = "pattern: silent\nwhen: {absence: {event: pong, after: {event: ping}, within: 30s}}"
    services.create(system, text, by=None)
    event_log.project()
    PatternInput.objects.create(system=system, at=later(0).timestamp(), type="ping", data="{}")

    early = services.tick(now=later(34))
    PendingEvent.objects.all().delete()
    told = [services.tick(now=later(34)), services.tick(now=later(36))]

    assert early == 0
    assert told == [0, 1]


def test_what_follows_a_detection(system: System) -> None:
    """Pain is raised and S3 is advised; nothing is done (004-22)."""
    actions = "actions:\n  - signal: {severity: high}\n  - recommend: {act: auto_scale}\n"
    services.create(system, FAILED + actions, by=None)
    happened(3)

    hear(sealed())

    [signal], [advice] = Signal.objects.all(), Recommendation.objects.all()
    [row] = PatternDetection.objects.filter(level=3)
    assert (signal.source, signal.severity) == ("pattern:failing_orders", "high")
    assert (advice.source, advice.kind, advice.subject, advice.act_kind) == ("pattern", "resource", "north", "")
    assert [each["id"] for each in row.consequences] == [signal.pk, str(advice.pk)]


def test_a_detection_about_a_queue_carries_an_act(system: System) -> None:
    """AutoScale (004-22): S3 advises the act itself, which S5 permits or a person approves; elsewhere it is words."""
    scale = "actions:\n  - recommend: {act: auto_scale}\n"
    services.create(system, FAILED + scale, by=None)
    fleet = Fleet.objects.create(system=system, name="shop")
    unit = Unit.objects.create(system=system, fleet=fleet, kind="celery_queue", name="north", state="active")
    advice = Recommendation(system=system, subject="shop/north", act_kind="worker.grow", title="Grow till by 2")
    happened(3)

    with patch.object(acting.advising, "suggest", return_value=advice) as suggest:
        hear(sealed())

    [row] = PatternDetection.objects.filter(level=3)
    assert suggest.call_args.args[0] == unit
    assert suggest.call_args.kwargs["key"] == f"pattern:{row.pk}:auto_scale"
    assert row.consequences == [{"kind": "recommendation", "id": str(advice.pk), "act": "worker.grow"}]


ADJUST = """
actions:
  - recommend:
      act: coordination_adjustment
      do: {fleet: shop, kind: task.retry, parameters: {state: failure}}
      expect: {metric: failing, to: 0, unit: tasks}
"""


@pytest.fixture
def shop(system: System) -> Iterator[Fleet]:
    """A fleet with tasks that can be sent again: an act that needs no broker to be looked at."""
    hot_tier().clear()
    fleet = make_fleet()
    captures.keep(fleet, [make_captured(each) for each in make_tasks(fleet, 2)])
    yield fleet
    hot_tier().clear()


def failing(system: System, value: float, at: datetime) -> None:
    record({"shop/north": [Sample("failing", at.timestamp(), value, {})]}, system_id=system.pk, now=at.timestamp())


def adjusted(system: System, at: datetime) -> Recommendation:
    """Let the pattern that names an act be detected, and return what S3 is advised."""
    services.create(system, FAILED + ADJUST, by=None)
    happened(3)
    hear(sealed(), now=at)
    return Recommendation.objects.get()


def test_an_adjustment_that_names_an_act_is_done_and_judged(system: System, shop: Fleet) -> None:
    """CoordinationAdjustment (004-22) on the one road: a person approves, the act is S3's, its effect is measured."""
    now = timezone.now()
    failing(system, 20.0, now)
    row = adjusted(system, now)

    recommending.approve(row, by=make_user(role="operator"), reason="now", now=now)
    ended(row, "verified", now)
    failing(system, 4.0, now + timedelta(seconds=row.settle_seconds))
    settling.tend(now=now + timedelta(seconds=row.settle_seconds))
    row.refresh_from_db()

    assert (row.source, row.subject, row.act_kind, row.act_target) == ("pattern", "shop/north", "task.retry", "")
    assert row.action is not None
    assert row.action.parameters == {"state": "failure"}
    assert (row.state, row.met, row.score) == ("verified", True, pytest.approx(0.8))
    [detection] = PatternDetection.objects.filter(level=3)
    assert detection.consequences == [{"kind": "recommendation", "id": str(row.pk), "act": "task.retry"}]


def test_an_adjustment_keeps_to_the_brakes(system: System, shop: Fleet) -> None:
    """Nothing by itself without S5, nothing while somebody else acts on the same, and then once."""
    now = timezone.now()
    failing(system, 20.0, now)
    row = adjusted(system, now)

    settling.tend(now=now)
    waits = Action.objects.count()
    permitting.set_permission(system.pk, "task.retry", "auto", {}, by="policy", now=now)
    other = damping.clear(system.pk, row.subject, 1, now, writer="somebody")
    settling.tend(now=now)
    row.refresh_from_db()
    held = (Action.objects.count(), row.waits_for)
    damping.note(system.pk, row.subject, 1, now, token=other.token, done=False, writer="somebody")
    for seconds in (70, 90):  # after the lease that was asked about
        failing(system, 20.0, now + timedelta(seconds=seconds))
        settling.tend(now=now + timedelta(seconds=seconds))

    assert (waits, held[0], held[1][:3]) == (0, 0, "S2:")
    assert [(each.kind, each.actor) for each in Action.objects.all()] == [("task.retry", "the platform")]


@pytest.mark.parametrize("known", ["nothing", "stale", "no fleet"])
def test_an_adjustment_that_cannot_be_judged_is_left_to_people(system: System, shop: Fleet, known: str) -> None:
    """No act on what is not measured now; the advice stays, and says why it has none."""
    now = timezone.now()
    if known != "nothing":
        failing(system, 20.0, now - timedelta(minutes=10 if known == "stale" else 0))
    if known == "no fleet":
        shop.delete()

    row = adjusted(system, now)

    assert (row.act_kind, row.effect, row.source) == ("", {}, "pattern")
    assert row.evidence["no_act"]


def test_the_metrics_of_a_pattern_say_how_far_it_has_come(client: Client, system: System) -> None:
    """docs/metrics.md: the level now, detections of a day, confirmed of judged, what was heard and lost."""
    services.create(system, FAILED, by=None)
    services.create(system, FAILED.replace("failing_orders", "deaf").replace("order.failed", "never"), by=None)
    at = timezone.now() - timedelta(seconds=120)
    for place in range(4):
        append(
            Stream.OPERATIONS, "order.failed", {"shop": "north", "amount": 20}, system_id=system.pk,
            at=at + timedelta(seconds=place),
        )  # fmt: skip
    event_log.seal()
    events = sealed()
    believed = [events[0]._replace(position=10**9, type="nothing", at=at + timedelta(seconds=30))]
    for each in (events, believed):
        services.hear(each, now=at + timedelta(seconds=30))
    row = PatternDetection.objects.get(level=3)
    services.judge(row, "true", by=None, comment="", now=timezone.now())

    text = client.get("/metrics", headers=bearer(make_token(["read"])[1])).content.decode()

    told = {}
    for line in text.splitlines():
        if line.startswith("vsm_system4_pattern_") and "pattern=" in line:
            name, value = line.rsplit(" ", 1)
            told[name.removeprefix("vsm_system4_pattern_").split("{")[0], "deaf" in name] = float(value)
    ours = {name: value for (name, deaf), value in told.items() if not deaf}
    assert ours == {
        "level": 3, "detections": 1, "confirmed_ratio": 1, "events_total": 4, "events_lost_total": 0,
    }  # fmt: skip
    assert {name for name, deaf in told if deaf} == {"detections", "events_total", "events_lost_total"}


def test_people_say_whether_it_was_so(system: System) -> None:
    """Precision is what was confirmed of what was judged; unjudged is unknown."""
    pattern = services.create(system, FAILED, by=None)
    for minute in range(4):
        happened(3, start=1000 * minute)
    hear(sealed(), now=later(9000))
    before = queries.statistics([pattern], now=later(3600))[pattern.pk]

    for row, verdict in zip(PatternDetection.objects.filter(level=3), ("true", "true", "false"), strict=False):
        services.judge(row, verdict, by=None, comment="", now=NOON)
    after = queries.statistics([pattern], now=later(3600))[pattern.pk]

    assert (before["precision"], before["detections"]) == (None, 4)
    assert after["precision"] == pytest.approx(2 / 3, abs=1e-4)


@pytest.mark.parametrize("ready", BUILT_IN.values(), ids=lambda each: each.name)
def test_every_ready_made_pattern_is_one(ready: Any) -> None:
    """People begin with these: each must be what the language allows."""
    assert read(ready.text).pattern == ready.name


def test_ready_made_patterns_are_added_once(system: System) -> None:
    """Adding them again leaves what somebody has changed since."""
    first = services.install(system, None, by=None)
    again = services.install(system, None, by=None)

    assert (len(first), again) == (len(BUILT_IN), [])
    assert len(first) >= 13


DOCUMENTED = [
    pytest.param("variety_imbalance", [
        ("vsm_core.variety.calculated", 30 * n, {"input_variety": 8.5, "output_variety": 1.5, "input_samples": 2000})
        for n in range(3)
    ], id="variety_imbalance (004-24)"),
    pytest.param("coordination_oscillation", [
        ("vsm_core.system2.coordination", 15 * n, {"action": "adjust", "adjustment_magnitude": n}) for n in range(12)
    ], id="coordination_oscillation (004-25)"),
    pytest.param("opportunity_emergence", [
        *(("vsm_core.performance", 60 * n, {"performance_score": 0.5 + n / 50}) for n in range(12)),
        ("vsm_core.system4.scan", 650, {"market_sentiment": "positive"}),
        ("vsm_core.system3.resources", 660, {"utilization": 0.4}),
    ], id="opportunity_emergence (004-26)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "told"), DOCUMENTED)
def test_the_documented_patterns_are_detected(system: System, name: str, told: list[tuple[str, int, Any]]) -> None:
    """Under the names of the documents, from events as the documents name them (2-14)."""
    services.install(system, [name], by=None)
    for type_, at, data in sorted(told, key=lambda each: each[1]):
        append(Stream.OPERATIONS, type_, {"payload": data}, at=later(at))
    event_log.seal()

    assert hear(sealed()) == 1


def test_patterns_go_from_one_system_to_another_as_one_file(client: Client, system: System) -> None:
    """What leaves one system comes into another as it was; what cannot be read is named and hinders nothing."""
    services.install(system, None, by=None)
    there = make_system("there")
    services.create(there, BUILT_IN["policy_churn"].text.replace("gt: 5", "gt: 9"), by=None)
    token = bearer(make_token(["operate", "read"])[1])
    text = client.get("/api/v1/patterns/export/?system=main", headers=token).json()["text"]
    body = {"system": "there", "text": f"{text}---\npattern: broken\n", "dry_run": True}

    tried = client.post("/api/v1/patterns/import/", body, content_type="application/json", headers=token).json()
    before = Pattern.objects.filter(system=there).count()
    done = client.post("/api/v1/patterns/import/", {**body, "dry_run": False}, content_type="application/json",
                       headers=token).json()  # fmt: skip
    again = client.post("/api/v1/patterns/import/", body, content_type="application/json", headers=token).json()

    assert (tried, before, len(done["added"]), done["changed"]) == (done, 1, len(BUILT_IN) - 1, ["policy_churn"])
    assert "when" in done["refused"][0]["reason"]
    assert (len(again["unchanged"]), again["added"]) == (len(BUILT_IN), [])
    assert client.get("/api/v1/patterns/export/?system=there", headers=token).json()["text"] == text


def test_a_pattern_that_is_none_is_refused(system: System) -> None:
    """Nothing half-written: no row, and the line where it is wrong."""
    with pytest.raises(Mistaken) as caught:
        services.create(system, FAILED.replace("count: 3", "count: some"), by=None)

    assert [mistake.line for mistake in caught.value.mistakes] == [6]
    assert not Pattern.objects.exists()


def test_a_name_is_given_once(system: System) -> None:
    """Two patterns of one name could not be told apart."""
    services.create(system, FAILED, by=None)

    with pytest.raises(Mistaken, match="already"):
        services.create(system, FAILED, by=None)


def test_telemetry_is_heard_where_a_pattern_asks_for_it(system: System) -> None:
    """What nobody asks for costs no row."""
    text = "pattern: slow\nkey: unit_id\nwhen: {recent: {event: vsm.s1.operation.stop, where: {duration: {gt: 10}}}}"
    services.create(system, text, by=None)
    listener = listening.Listener()
    heard = telemetry_events.Bus()
    heard.attach("test", "*", listener.hear)
    heard.emit("vsm.s1.operation.stop", {"duration": 12.5}, {"unit_id": "u1", "error": ValueError("no text")})
    heard.emit("vsm.s2.coordination.stop", {"duration": 1.0}, {"action": "adjust"})

    written = listener.flush(now=1.0)
    [row] = PatternInput.objects.all()
    services.hear([], now=later(0))

    assert (written, row.type, row.data) == (1, "vsm.s1.operation.stop", '{"unit_id": "u1", "duration": 12.5}')
    assert PatternInput.objects.filter(taken=True).count() == 1


def test_facts_are_gathered_where_a_pattern_asks_for_them(system: System) -> None:
    """A reading of variety is heard once, with what it rests on."""
    services.install(system, ["variety_imbalance"], by=None)
    figures = {"environment": 8.5, "operation": 1.5, "samples": 2000, "ratio": 0.2}
    Reading.objects.create(system=system, slot=1, at=NOON.timestamp() - 10, figures=figures)

    written = [gathering.gather(now=NOON), gathering.gather(now=NOON)]

    assert written == [1, 0]
    assert PatternInput.objects.get().type == "vsm.variety.calculated"


def test_what_is_old_is_forgotten(system: System) -> None:
    """Detections for 90 days, what telemetry told for one."""
    services.create(system, FAILED, by=None)
    happened(3)
    hear(sealed())

    kept = services.forget(now=later(80 * 86_400))
    gone = services.forget(now=later(100 * 86_400))

    assert (kept, gone) == (0, 1)


# --- Pages and addresses ----------------------------------------------------------------------------------------------
def test_a_pattern_is_written_rehearsed_and_judged_on_pages(client: Client, system: System) -> None:
    """The whole road of a person: check, see when it would have been, save, look at a detection, say what it was."""
    user = make_user(role="operator")
    client.force_login(user)
    happened(4)

    wrong = client.post("/dashboard/patterns/add/", {"text": FAILED.replace("60s", "soon"), "save": "1"})
    hours = str((datetime.now(UTC) - NOON).total_seconds() / 3600 + 1)
    told = rehearsing.rehearse(system, FAILED, hours=float(hours), now=datetime.now(UTC))
    checked = client.post("/dashboard/patterns/add/", {"text": FAILED, "rehearse": "1", "hours": "24"})
    saved = client.post("/dashboard/patterns/add/", {"text": FAILED, "save": "1"})
    hear(sealed())
    row = PatternDetection.objects.get(level=3)
    judged = client.post(f"/dashboard/patterns/detections/{row.pk}/", {"verdict": "true"})
    row.refresh_from_db()

    assert (wrong.status_code, b"Line 6" in wrong.content) == (400, True)
    assert (told["fired"], told["complete"], told["detections"][0]["key"]) == (1, True, "north")
    assert checked.status_code == 302
    assert (saved.status_code, judged.status_code, row.verdict) == (302, 302, "true")
    for address in ("", "add/?from=cascading_failure", "add/?kind=absence&name=quiet&event=a&other=b&within=5m&count=1",
                    f"{row.pattern_id}/", "detections/", f"detections/{row.pk}/"):  # fmt: skip
        assert client.get(f"/dashboard/patterns/{address}").status_code == 200


def test_patterns_leave_and_come_in_as_a_file_on_the_page(client: Client, system: System) -> None:
    """What was tried is not kept, what is refused is named, and a reader only takes the file."""
    client.force_login(make_user(role="operator"))
    services.create(system, FAILED, by=None)
    file = client.get("/dashboard/patterns/export/")
    Pattern.objects.all().delete()
    given = {"text": file.content.decode() + "---\npattern: broken\n"}

    tried = client.post("/dashboard/patterns/import/", {**given, "try": "1"}, follow=True).content.decode()
    kept_by_trying = Pattern.objects.count()
    taken = client.post("/dashboard/patterns/import/", given, follow=True).content.decode()
    client.force_login(make_user(role="viewer"))
    reader = client.get("/dashboard/patterns/").content.decode()

    assert file["Content-Disposition"] == 'attachment; filename="patterns-main.yaml"'
    assert ("1 added" in tried, "pattern 2: " in tried, kept_by_trying) == (True, True, 0)
    assert ("1 added" in taken, Pattern.objects.get().name) == (True, "failing_orders")
    assert ("/dashboard/patterns/export/" in reader, "/dashboard/patterns/import/" in reader) == (True, False)
    assert client.post("/dashboard/patterns/import/", given).status_code == 403


def test_a_rehearsal_runs_on_a_worker_and_can_be_cancelled(client: Client, system: System) -> None:
    """A long history takes its time: it is followed, may be cancelled, and what came of it is kept."""
    user = make_user(role="operator")
    client.force_login(user)
    happened(4)
    hours = (datetime.now(UTC) - NOON).total_seconds() / 3600 + 1
    body = {"text": FAILED, "hours": hours}
    api = bearer(make_token(["operate", "read"], user=user)[1])

    first = client.post("/api/v1/patterns/rehearse/", body, content_type="application/json", headers=api)
    begun = client.post("/dashboard/patterns/add/", {"text": FAILED, "rehearse": "1", "hours": "168"})["Location"]
    waiting = client.get(begun).content
    one, other = TaskRun.objects.order_by("requested_at")
    running.run(str(other.pk), worker="w")
    shown = client.get(begun).content
    keeper = TaskRun.objects.create(
        name=rehearsing.TASK, arguments={**other.arguments, "hours": hours}, requested_by=user
    )
    running.cancel(keeper, now=NOON)
    late = client.post(f"/api/v1/tasks/runs/{keeper.pk}/cancel/", headers=api)
    cut = rehearsing.rehearse(system, FAILED, hours=hours, now=datetime.now(UTC), seconds=-1)

    other.refresh_from_db()
    assert (first.status_code, first["Location"], one.state) == (202, f"/api/v1/tasks/runs/{one.pk}/", "cancelled")
    assert b"waits for a worker" in waiting
    assert b"Cancel the rehearsal" in waiting
    assert (other.state, b"data-busy" in shown, other.done == other.total) == ("succeeded", False, True)
    assert late.status_code == 409
    assert (cut["complete"], cut["fired"]) == (True, 1)  # one part is always heard, and here it is all


def test_a_run_that_was_cancelled_ends_where_it_tells_its_progress(system: System) -> None:
    """The function that runs need not know of it, and its result does not count."""
    happened(4)
    row = TaskRun.objects.create(name=rehearsing.TASK, arguments={"system": "main", "text": FAILED, "hours": 2000.0})
    with patch.object(running, "monotonic", side_effect=lambda: running.cancel(row, now=NOON) or 9e9):
        running.run(str(row.pk), worker="w")

    row.refresh_from_db()
    assert (row.state, row.result) == ("cancelled", None)


def test_a_reader_looks_and_changes_nothing(client: Client, system: System) -> None:
    """Whoever may only look finds no button and no other way."""
    pattern = services.create(system, FAILED, by=None)
    client.force_login(make_user("reader", role="viewer"))

    answers = [
        client.post("/dashboard/patterns/add/", {"text": FAILED, "save": "1"}),
        client.post(f"/dashboard/patterns/{pattern.pk}/delete/"),
        client.post("/dashboard/patterns/install/"),
    ]

    assert [each.status_code for each in answers] == [403, 403, 403]


def test_the_list_of_patterns_costs_the_same_for_many(client: Client, system: System) -> None:
    """No query for each pattern."""
    client.force_login(make_user(role="operator"))
    services.install(system, ["policy_churn"], by=None)
    with CaptureQueriesContext(connection) as few:
        client.get("/dashboard/patterns/")
    services.install(system, None, by=None)
    with CaptureQueriesContext(connection) as many:
        client.get("/dashboard/patterns/")

    assert len(many) == len(few)


def test_patterns_by_the_api(client: Client, system: System) -> None:
    """Everything that the pages do, programs do too; another tenant's patterns do not exist."""
    north = make_system("north")
    services.create(north, FAILED, by=None)
    mine = bearer(make_token(["read", "operate"], user=make_user(role="operator"))[1])

    def send(path: str, body: Any = None) -> Any:
        return client.post(f"/api/v1/patterns/{path}", body or {}, content_type="application/json", headers=mine)

    refused = send("", {"text": FAILED.replace("count: 3", "count: x")})
    checked = send("validate/", {"text": FAILED.replace("count: 3", "count: x")}).json()
    made = send("", {"text": FAILED})
    pk = made.json()["id"]
    happened(3)
    hear(sealed())
    [row] = client.get(f"/api/v1/patterns/detections/?pattern={pk}&level=3", headers=mine).json()["results"]
    judged = send(f"detections/{row['id']}/judge/", {"verdict": "false"}).json()
    listed = client.get("/api/v1/patterns/", headers=mine).json()["results"]
    rested = send(f"{pk}/disable/").json()
    gone = client.delete(f"/api/v1/patterns/{pk}/", headers=mine)

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "text")
    assert (checked["valid"], checked["mistakes"][0]["line"]) == (False, 6)
    assert (made.status_code, row["key"], judged["verdict"]) == (201, "north", "false")
    assert [each["statistics"]["precision"] for each in listed] == [0.0]
    assert (rested["enabled"], gone.status_code) == (False, 204)
    assert client.get(f"/api/v1/patterns/{Pattern.objects.get().pk}/", headers=mine).status_code == 404


# --- Ready-made patterns, from their real causes ----------------------------------------------------------------------
def everything(*, until: datetime) -> int:
    """Seal what was said, let the patterns hear all of it, and time go on until *until*."""
    event_log.seal()
    # Without what the platform says of itself at its own time.
    events = [event_log.queries.recorded(row) for row in Event.objects.filter(at__lte=until).order_by("position")]
    began = services.hear(events, now=until)
    rest = events[0]._replace(position=10**9, type="nothing", at=until)
    return began + services.hear([rest], now=until)


def test_ready_made_patterns_are_at_work_from_the_start(system: System) -> None:
    """In each system once; what somebody drops stays dropped, and a tenant that comes later has them as well."""
    due = queries.is_tick_due(now=NOON)
    first = services.seed()
    services.delete(Pattern.objects.get(system=system, name="policy_churn"), by=None)
    tenant = make_system("tenant")

    second, third = services.seed(), services.seed()

    assert (due, first, second, third) == (True, len(BUILT_IN), len(BUILT_IN), 0)
    assert Pattern.objects.filter(system=system, enabled=True).count() == len(BUILT_IN) - 1
    assert Pattern.objects.filter(system=tenant, enabled=True).count() == len(BUILT_IN)
    assert {read(row.text).sensitivity for row in Pattern.objects.all()} == {None}  # that of the platform: 0.8


def test_acts_that_grow_in_size_are_an_oscillation_of_coordination(system: System) -> None:
    """004-25: S2 tells of each act that it cleared, with how far it went."""
    services.install(system, ["coordination_oscillation"], by=None)
    for number in range(14):
        cleared = damping.clear(system.pk, f"queue {number}", 1, later(20 * number), writer="scaler")
        told = {"token": cleared.token, "writer": "scaler", "magnitude": number + 1}
        damping.note(system.pk, f"queue {number}", 1, later(20 * number), **told)

    assert everything(until=later(400)) == 1
    [row] = PatternDetection.objects.filter(level=3)
    assert row.evidence[0]["data"]["adjustment_magnitude"] == 1.0


def test_a_channel_that_fills_up_is_a_load_increase(
    system: System, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    """004-20, 004-22: senders that are slowed down and refused say so as back-pressure, once a minute."""
    services.install(system, ["load_increase"], by=None)
    crowded = [ChannelState(90, 10.0, 100), ChannelState(90, 10.0, 100), ChannelState(120, 10.0, 100)]
    monkeypatch.setattr(messaging.queries, "channel_state", lambda channel: crowded.pop(0))
    monkeypatch.setattr(messaging.time, "sleep", lambda seconds: None)
    said = {"sender": Party.S2, "recipient": Party.S1, "type": "turns.changed", "payload": {}}

    for minute in range(3):
        monkeypatch.setattr(rejections.timezone, "now", lambda minute=minute: later(60 * minute))
        envelope = Envelope(channel=Channel.COORDINATION, **said)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                messaging.send(envelope, system_id=system.pk)
        except ChannelFull as error:
            rejections.record_rejection(error)
    monkeypatch.undo()

    assert everything(until=later(400)) == 1
    answers = [each["data"]["answer"] for each in PatternDetection.objects.get(level=3).evidence]
    assert answers == ["slowed", "slowed", "refused"]


def test_an_outside_that_looks_well_is_an_opportunity(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """004-26: what S4 scanned gives the sentiment; S1 does better and better, and there is room."""
    hot_tier().clear()
    services.install(system, ["opportunity_emergence"], by=None)
    listener = listening.Listener()
    telemetry_events.bus.attach("test", "vsm.s4.scan.complete", listener.hear)
    common = {"kind": "metric", "metric": "index", "every_seconds": 60, "better": "higher"}
    scanning.save_source(Source(system=system), make_user(), now=NOON, name="index", **common)
    Operation.objects.create(system=system, unit="till", name="order", recorder=b"", last_at=0.0)

    for minute in range(12):
        at = later(60 * minute)
        told = [Sample("index", at.timestamp(), 100.0 + 5 * minute), Sample("cpu_ratio", at.timestamp(), 0.4)]
        record({"host": told}, system_id=system.pk, now=at.timestamp())
        Operation.objects.update(count=100 * (minute + 1), success=50 * minute + 2 * minute**2)
        gathering.gather(now=at)
        monkeypatch.setattr(listening.time, "time", at.timestamp)
        scanning.scan(now=at)
    telemetry_events.bus.detach("test")
    listener.flush(now=1.0)

    append(Stream.OPERATIONS, "nothing", {}, at=later(690))
    began = everything(until=later(700))
    words = [json.loads(row.data).get("market_sentiment") for row in PatternInput.objects.filter(type__contains="scan")]
    assert words == ["positive"] * 11  # of the first scan nothing is known to compare with
    assert began == 1
