"""Event patterns from the event log to a detection, its consequences, and what people say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from subsystems.algedonic.models import Signal
from subsystems.event_log import services as event_log
from subsystems.event_log.models import Event, PendingEvent
from subsystems.event_log.recorded import Recorded
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel import telemetry_events
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s3_control.models import Recommendation
from subsystems.s4_intelligence.models import Pattern, PatternCell, PatternDetection, PatternInput
from subsystems.s4_intelligence.patterns import gathering, listening, queries, rehearsing, services
from subsystems.s4_intelligence.patterns.builtin import BUILT_IN
from subsystems.s4_intelligence.patterns.language import Mistaken, read
from subsystems.variety.models import Reading
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
    assert checked.status_code == 200
    assert (saved.status_code, judged.status_code, row.verdict) == (302, 302, "true")
    for address in ("", "add/?from=cascading_failure", "add/?kind=absence&name=quiet&event=a&other=b&within=5m&count=1",
                    f"{row.pattern_id}/", "detections/", f"detections/{row.pk}/"):  # fmt: skip
        assert client.get(f"/dashboard/patterns/{address}").status_code == 200


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
