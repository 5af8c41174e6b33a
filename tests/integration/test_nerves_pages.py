"""The pages of signals, events and messages as the server gives them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from subsystems.algedonic import lifecycle
from subsystems.algedonic.models import Signal
from subsystems.algedonic.services import raise_signal
from subsystems.event_log import services as event_log
from subsystems.event_log.models import Event
from subsystems.event_log.streams import Stream
from subsystems.messaging import receiving
from subsystems.messaging.models import DeadLetter, Delivery, Message
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s3_control import services as s3_control
from subsystems.s3_control.models import TaskRun
from tests.support.factories import make_message, make_system, make_user
from vsm_site.dashboard import journeys, queries

pytestmark = pytest.mark.django_db
LISTS = ["/dashboard/signals/", "/dashboard/events/", "/dashboard/events/dead-letters/"]
PAGES = [
    *LISTS, "/dashboard/signals/raise/", "/dashboard/signals/lane/", "/dashboard/signals/preview/?type=pain",
    "/dashboard/events/chain/",
]  # fmt: skip
PAIN = {"type": "pain", "severity": "critical", "source": "pump", "description": "It burns"}
VERBS = {
    "acknowledge": "investigating", "respond": "responding", "resolve": "resolved", "false-alarm": "false_alarm",
}  # fmt: skip


@pytest.fixture
def operator(client: Client) -> Client:
    """A browser in which an operator of the root system is logged in."""
    client.force_login(make_user("ada", role="operator"))
    return client


@pytest.fixture
def root(client: Client) -> Client:
    """A browser in which a superuser is logged in."""
    root_system()
    client.force_login(make_user(superuser=True))
    return client


def make_signal(severity: str = "critical", *, source: str = "pump", **fields: Any) -> Signal:
    fields = {"system_id": root_system().pk, **fields}
    signal = raise_signal(type=fields.pop("type", "pain"), source=source, severity=severity, **fields)
    assert signal is not None
    return signal


def make_events(count: int, type_: str = "thing.happened", **about: Any) -> None:
    about = {"system_id": root_system().pk, **about}
    event_log.append_many(
        [event_log.pending(Stream.AUDIT, type_, {"number": number}, **about) for number in range(count)]
    )
    event_log.seal()


def make_letter(system: System | None = None, *, reason: str = "failed", **fields: Any) -> DeadLetter:
    """Return the dead letter of a message that one handler could not carry out."""
    message = make_message(state=Message.State.DEAD, system=system or root_system(), type="pump.asked")
    history = [{"at": timezone.now().isoformat(), "error": "ValueError: no water", "worker": "w@test"}]
    Delivery.objects.create(message=message, handler="s1.pumps", state=Delivery.State.DEAD, history=history)
    return DeadLetter.objects.create(message=message, reason=reason, detail="no water", **fields)


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


# --- Doors -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_a_login_and_then_opens_without_data(path: str, client: Client) -> None:
    """Nothing is shown to strangers, and no page is broken while there is nothing to show."""
    stranger = client.get(path)
    client.force_login(make_user(role="viewer"))
    answer = client.get(path)

    assert stranger.status_code == 302
    assert answer.status_code == 200
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_what_others_call_things_never_becomes_markup(root: Client) -> None:
    """Sources, descriptions, details and payloads come from outside."""
    evil = "<script>alert(1)</script>"
    signal = make_signal(source=evil, description=evil, data={"note": evil})
    event_log.seal()
    letter = make_letter()
    DeadLetter.objects.filter(pk=letter.pk).update(detail=evil)
    assert letter.message is not None
    paths = [
        *LISTS,
        f"/dashboard/signals/{signal.pk}/",
        f"/dashboard/messages/{letter.message.id}/",
        "/dashboard/events/1/",
    ]

    answers = [root.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {200}
    assert not any(b"<script>alert" in answer.content for answer in answers)


def test_a_viewer_looks_and_does_nothing(client: Client) -> None:
    """Looking and acting are different rights."""
    signal, letter = make_signal(), make_letter()
    client.force_login(make_user(role="viewer"))
    verbs = [f"/dashboard/signals/{signal.pk}/{verb}/" for verb in VERBS]
    paths = [
        *verbs,
        "/dashboard/signals/raise/",
        f"/dashboard/events/dead-letters/{letter.pk}/replay/",
        "/dashboard/events/verify/",
    ]

    answers = [client.post(path, PAIN) for path in paths]

    assert {answer.status_code for answer in answers} == {403}
    assert Signal.objects.get().state == Signal.State.RECEIVED
    assert DeadLetter.objects.get().replayed_at is None
    assert not TaskRun.objects.exists()
    assert b'id="verbs"' not in client.get(f"/dashboard/signals/{signal.pk}/").content


def test_what_belongs_to_another_system_is_not_there(operator: Client) -> None:
    """A member of one tenant sees nothing of another's: no signal, event, message, dead letter or journey."""
    theirs = make_system("theirs")
    operator.force_login(make_user(role="operator", system=make_system("ours")))
    signal = make_signal(source="secret-pump", system_id=theirs.pk)
    letter = make_letter(theirs)
    make_events(1, "secret.event", system_id=theirs.pk, correlation_id="c-1")
    assert letter.message is not None

    pages = [
        operator.get(f"/dashboard/signals/{signal.pk}/"),
        operator.post(f"/dashboard/signals/{signal.pk}/resolve/"),
        operator.get(f"/dashboard/messages/{letter.message.id}/"),
        operator.post(f"/dashboard/events/dead-letters/{letter.pk}/replay/"),
        operator.get("/dashboard/events/1/"),
        operator.get("/dashboard/events/journey/?id=c-1"),
    ]
    lists = "".join(text_of(operator.get(f"{path}?of=*")) for path in LISTS)

    assert {answer.status_code for answer in pages} == {404}
    assert "secret" not in lists
    assert "pump.asked" not in lists


# --- Signals ---------------------------------------------------------------------------------------------------------
def test_a_signal_is_raised_by_a_person(operator: Client) -> None:
    """It goes out in the operator's name, and its page opens."""
    answer = operator.post("/dashboard/signals/raise/", PAIN)
    signal = Signal.objects.get()

    assert answer.headers["Location"] == f"/dashboard/signals/{signal.pk}/"
    assert (signal.type, signal.severity, signal.origin, signal.description) == (
        "pain",
        "critical",
        "operator",
        "It burns",
    )


def test_the_same_critical_pain_twice_is_one_signal(operator: Client) -> None:
    """Whoever raises it again is led to the one that is open."""
    answers = [operator.post("/dashboard/signals/raise/", PAIN, follow=True) for _ in range(2)]

    told = ["open already" in text_of(answer) for answer in answers]
    assert told == [False, True]
    assert Signal.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"source": ""}, "source", id="no source"),
        pytest.param({"type": "itch"}, "type", id="no such type"),
        pytest.param({"severity": "awful"}, "severity", id="no such severity"),
        pytest.param({"intensity": "2"}, "intensity", id="beyond the scale"),
        pytest.param({"intensity": "nan"}, "intensity", id="no number"),
        pytest.param({"severity": "", "intensity": "0.3"}, "intensity", id="too faint to be felt"),
        pytest.param({"source": "a\tb"}, "source", id="not printable"),
    ],
)
def test_what_cannot_be_raised_is_told_at_its_field(operator: Client, change: dict[str, str], field: str) -> None:
    """A person who believes that help is coming must not be wrong."""
    answer = operator.post("/dashboard/signals/raise/", {**PAIN, **change})

    wrong = re.findall(r'class="field wrong" id="field-(\w+)"', answer.content.decode())
    assert (answer.status_code, wrong) == (400, [field])
    assert not Signal.objects.exists()


@pytest.mark.parametrize(
    ("query", "recipients"),
    [("severity=critical", ["s5"]), ("severity=high", ["s4", "s5"]), ("intensity=0.95", ["s5"])],
)
def test_a_preview_tells_the_way_and_raises_nothing(operator: Client, query: str, recipients: list[str]) -> None:
    """Where would this go?"""
    answer = operator.get(f"/dashboard/signals/preview/?type=pain&{query}").json()

    assert answer["recipients"] == recipients
    assert not Signal.objects.exists()


def test_a_preview_names_what_is_wrong(operator: Client) -> None:
    """The page shows the sentence as it is."""
    answers = [
        operator.get(f"/dashboard/signals/preview/?type=pain&{query}") for query in ("intensity=x", "severity=x")
    ]

    assert [(answer.status_code, answer.json()["field"]) for answer in answers] == [
        (400, "intensity"),
        (400, "severity"),
    ]


@pytest.mark.parametrize(("verb", "state"), VERBS.items())
def test_each_answer_to_a_signal_is_kept_with_its_comment(operator: Client, verb: str, state: str) -> None:
    """Who did what and why is what the next shift reads."""
    signal = make_signal()

    body = operator.post(f"/dashboard/signals/{signal.pk}/{verb}/", {"comment": "I am on it"}).json()
    page = text_of(operator.get(f"/dashboard/signals/{signal.pk}/"))

    assert (body["state"], body["acknowledged_by"]) == (state, "ada")
    assert "I am on it" in page


def test_an_answer_that_comes_too_late_or_says_too_much_is_refused(operator: Client) -> None:
    """Two people pressed the button: one is told who was first."""
    signal = make_signal()
    lifecycle.acknowledge(signal, make_user("bob"))

    late = operator.post(f"/dashboard/signals/{signal.pk}/acknowledge/")
    long = operator.post(f"/dashboard/signals/{signal.pk}/resolve/", {"comment": "x" * 501})

    assert (late.status_code, long.status_code) == (409, 400)
    assert "bob" in late.json()["detail"]


def test_signals_are_found_by_state_severity_type_source_and_time(operator: Client) -> None:
    """Each filter leaves what it says."""
    make_signal("critical", source="pump-1")
    lifecycle.resolve(make_signal("high", source="valve-1"), None)
    make_signal("medium", source="oven-1", type="pleasure", at=timezone.now() - timedelta(days=2))
    wanted = {
        "state=open": {"pump-1", "oven-1"}, "state=resolved": {"valve-1"}, "severity=high": {"valve-1"},
        "type=pleasure": {"oven-1"}, "q=PUMP": {"pump-1"}, "range=24h": {"pump-1", "valve-1"},
        "state=open&type=pain": {"pump-1"}, "q=nothing": set(),
    }  # fmt: skip

    found = {query: listed(operator, query) for query in wanted}

    assert found == wanted


def listed(client: Client, query: str) -> set[str]:
    page = client.get(f"/dashboard/signals/?{query}").content.decode()
    return set(re.findall(r'<strong class="breakable">([^<]+)</strong>', page))


def test_a_filter_that_makes_no_sense_is_named(operator: Client) -> None:
    """An empty list would say that there are none."""
    answers = [operator.get(path) for path in ("/dashboard/signals/?state=odd", "/dashboard/events/?from=yesterday")]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert [name in text_of(answer) for name, answer in zip(("State:", "From (UTC):"), answers, strict=True)] == [
        True,
        True,
    ]


def test_signals_of_all_my_systems_are_listed_together(client: Client) -> None:
    """Whoever answers for a tree needs one list."""
    parent = make_system("works")
    child = make_system("mill", parent=parent)
    make_signal(source="in-works", system_id=parent.pk)
    make_signal(source="in-mill", system_id=child.pk)
    client.force_login(make_user(role="viewer", system=parent))

    found = [listed(client, f"system=works&of={of}") for of in ("", "*", "mill")]

    assert found == [{"in-works"}, {"in-works", "in-mill"}, {"in-mill"}]


def test_signals_are_paged_in_as_many_queries_for_many_as_for_few(
    operator: Client, settings: Any, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """The record grows."""
    settings.RATE_LIMITING = False
    for number in range(51):
        make_signal("high", source=f"pump-{number}")

    with django_assert_max_num_queries(20):
        first = listed(operator, "severity=high")
    second = listed(operator, "severity=high&page=2")

    assert (len(first), len(second)) == (50, 1)


def test_a_signals_page_shows_who_heard_it_and_all_that_belongs_to_it(
    operator: Client,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """Route, history, messages and events in one place, sealed or not yet."""
    signal = make_signal("high")
    with django_capture_on_commit_callbacks(execute=True):
        receiving.receive(list(Message.objects.values_list("number", flat=True)), worker="w@test")
    event_log.seal()
    lifecycle.acknowledge(signal, make_user("bob"), "on my way")

    with django_assert_max_num_queries(25):
        page = text_of(operator.get(f"/dashboard/signals/{signal.pk}/"))

    assert page.count("s5.signals") == page.count("s4.signals") == 1
    assert "not yet" not in page
    assert "on my way" in page
    assert page.index("AlgedonicSignalEmitted") < page.index("AlgedonicSignalAcknowledged")
    assert "not sealed yet" in page


def test_the_snapshot_holds_the_open_signals_worst_first(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """Every open dashboard starts from it."""
    for severity in ("low", "medium", "high", "critical"):
        make_signal(severity, source=severity)
    lifecycle.resolve(make_signal("critical", source="over"), None)

    with django_assert_max_num_queries(14):
        body = queries.snapshot(root_system())

    assert [signal["source"] for signal in body["signals"]] == ["critical", "high", "medium", "low"]
    assert not any("data" in signal for signal in body["signals"])


def test_the_lane_and_the_channels_are_told(operator: Client) -> None:
    """Channels of the model; the platform's own housekeeping is none."""
    make_message(channel="coordination")

    body = operator.get("/dashboard/signals/lane/").json()

    backlogs = {one["channel"]: one["backlog"] for one in body["channels"]}
    assert backlogs["coordination"] == 1
    assert "platform" not in backlogs
    assert body["lane"]["lost_total"] == 0


# --- Events ----------------------------------------------------------------------------------------------------------
def positions(client: Client, query: str = "") -> list[int]:
    page = client.get(f"/dashboard/events/?{query}").content.decode()
    return [int(position) for position in re.findall(r"/dashboard/events/(\d+)/", page)]


def test_events_are_found_by_each_filter(operator: Client) -> None:
    """Together they narrow the search."""
    make_events(1, "pump.started", correlation_id="c-1", message_id="m-1", at=timezone.now() - timedelta(hours=3))
    make_events(1, "pump.stopped", actor="ada.lovelace")
    make_signal()
    event_log.seal()
    hour_ago = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    emitted = Event.objects.get(type="AlgedonicSignalEmitted").position
    wanted = {
        "type=pump.started": [1], "correlation_id=c-1": [1], "message_id=m-1": [1], f"to={hour_ago}": [1],
        "q=LOVELACE": [2], "q=pump.st&stream=audit": [2, 1], f"type=pump.stopped&from={hour_ago}": [2],
        "stream=vsm-algedonic-signals&type=AlgedonicSignalEmitted": [emitted], "type=pump": [],
    }  # fmt: skip

    assert {query: positions(operator, query) for query in wanted} == wanted


def test_a_search_for_text_says_where_it_looked_and_goes_on(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No index holds text: a page reads so many events, and says so, instead of the whole log."""
    monkeypatch.setattr("subsystems.event_log.queries.SEARCHED", 5)
    make_events(12)

    page = operator.get("/dashboard/events/?q=thing").content.decode()

    assert "looked for in events 8 to 12" in page
    assert "before=8" in page
    assert positions(operator, "q=thing&before=8") == [7, 6, 5, 4, 3]


def test_events_are_paged_by_position(operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """A page deep in the log costs what the first does, and new events do not move what is being read."""
    make_events(51)

    with django_assert_max_num_queries(18):
        first = positions(operator, "type=thing.happened")
    link = re.search(
        r'rel="next" href="\?([^"]+)"', operator.get("/dashboard/events/?type=thing.happened").content.decode()
    )
    assert link is not None
    make_events(5)
    second = positions(operator, unescape(link[1]))

    assert (first, second) == (list(range(51, 1, -1)), [1])


def test_what_is_of_no_system_is_shown_to_superusers_alone(client: Client) -> None:
    """The platform's own events are nobody's tenant."""
    make_events(1, system_id=None)
    make_events(1, system_id=4711)  # of a system that is gone
    seen = []
    for user in (make_user(superuser=True), make_user(role="admin")):
        client.force_login(user)
        seen += [positions(client), positions(client, "of=*")]
    client.force_login(make_user(superuser=True))
    make_system("second")

    assert seen[0] == [1]
    assert seen[2:] == [[], []]
    assert positions(client, "of=*") == [2, 1]


def test_an_event_shows_all_of_its_data_and_leads_on(operator: Client) -> None:
    """A list cuts what is long; the event's own page does not."""
    long = "x" * 20_000
    event_log.append(Stream.AUDIT, "thing.said", {"text": long}, system_id=root_system().pk, correlation_id="a/b?c")
    event_log.seal()

    listing, page = text_of(operator.get("/dashboard/events/")), text_of(operator.get("/dashboard/events/1/"))

    assert long not in listing
    assert "more characters" in listing
    assert long in page
    assert "/dashboard/events/journey/?id=a%2Fb%3Fc" in page


@pytest.mark.parametrize("asked", ["", "?id=", "?id=%00"])
def test_the_journey_of_nothing_leads_to_all_events(operator: Client, asked: str) -> None:
    assert operator.get(f"/dashboard/events/journey/{asked}").headers["Location"] == "/dashboard/events/"


def test_a_journey_that_is_cut_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes the first steps for all of them looks in the wrong place."""
    monkeypatch.setattr(journeys, "MOST", 2)
    for _ in range(3):
        make_message(correlation_id="c-9", system=root_system())

    page = text_of(operator.get("/dashboard/events/journey/?id=c-9"))

    assert "the first 2 messages" in page


def test_a_journey_is_one_line_of_time_in_few_queries(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Messages, what their handlers made of them, and events, with the time between."""
    start = timezone.now() - timedelta(minutes=5)
    for number in range(10):
        at = start + timedelta(seconds=number)
        message = make_message(
            correlation_id="c-9", created_at=at, system=root_system(), state=Message.State.HANDLED,
            handled_at=at + timedelta(milliseconds=250),
        )  # fmt: skip
        Delivery.objects.create(message=message, handler="s1.pumps", state=Delivery.State.HANDLED, at=at)
        make_events(1, correlation_id="c-9", at=at + timedelta(milliseconds=100))

    with django_assert_max_num_queries(16):
        page = text_of(operator.get("/dashboard/events/journey/?id=c-9"))

    assert "10 messages, 40 steps" in page
    assert [*map(page.index, ("+0 ms", "+100 ms", "+250 ms", "+9.25 s"))] == sorted(
        map(page.index, ("+0 ms", "+100 ms", "+250 ms", "+9.25 s"))
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 ms"), (0.0123, "12 ms"), (2.5, "2.50 s"), (75.24, "1 min 15.2 s"), (7262, "2 h 1 min 2 s")],
)
def test_a_lapse_is_told_in_words(seconds: float, words: str) -> None:
    assert journeys.lapse(seconds) == words


def test_the_chain_is_verified_on_a_worker_at_an_administrators_word(client: Client) -> None:
    """What it found stays on the page."""
    client.force_login(make_user("root", superuser=True))
    make_events(3)

    before = client.get("/dashboard/events/chain/").json()
    client.post("/dashboard/events/verify/")
    during = client.get("/dashboard/events/chain/").json()
    s3_control.run(str(TaskRun.objects.get().pk), worker="w@test")
    after = client.get("/dashboard/events/chain/").json()
    client.force_login(make_user(role="viewer"))
    told_others = client.get("/dashboard/events/chain/").json()["last"]

    assert (before["last"], before["head"], before["verifying"]) == (None, 3, False)
    assert (during["verifying"], after["verifying"]) == (True, False)
    assert (after["last"]["ok"], after["last"]["by"], after["last"]["error"]) == (True, "root", "")
    assert (told_others["ok"], told_others["by"]) == (True, None)


def test_only_administrators_of_the_root_system_verify(client: Client) -> None:
    """It walks along every tenant's events."""
    client.force_login(make_user(role="admin", system=make_system("theirs")))

    answer = client.post("/dashboard/events/verify/")

    assert answer.status_code == 403
    assert b'id="verify"' not in client.get("/dashboard/events/").content


# --- Messages and dead letters ---------------------------------------------------------------------------------------
def test_a_message_tells_its_story(operator: Client) -> None:
    """Payload, attempts, death, and the way to what belongs to it."""
    letter = make_letter()
    assert letter.message is not None
    Message.objects.update(payload={"valve": 7}, last_error="ValueError: no water")

    page = text_of(operator.get(f"/dashboard/messages/{letter.message.id}/"))

    assert json.dumps({"valve": 7}, indent=2) in page
    assert "s1.pumps: ValueError: no water" in page
    assert "failed: no water" in page
    assert f"/dashboard/events/journey/?id={letter.message.id}" in page


@pytest.mark.parametrize("name", ["a/b", "a?b#c", "ü 1", "100%"])
def test_a_message_whose_id_is_odd_has_a_page(operator: Client, name: str) -> None:
    """Programs choose ids; any text of 64 characters is one."""
    message = make_message(id=name, system=root_system())

    assert operator.get(journeys.message_link(message.id)).status_code == 200


def test_a_dead_letter_is_replayed_once(operator: Client) -> None:
    """And whoever comes second is told."""
    letter = make_letter()

    first = operator.post(f"/dashboard/events/dead-letters/{letter.pk}/replay/", follow=True)
    second = operator.post(f"/dashboard/events/dead-letters/{letter.pk}/replay/", follow=True)
    letter.refresh_from_db()

    assert "sent again, with three new tries" in text_of(first)
    assert "Somebody has sent it again before" in text_of(second)
    assert letter.replayed_by == "ada"
    assert Message.objects.get().state != Message.State.DEAD


def test_what_was_never_a_message_of_ours_is_kept_and_cannot_be_replayed(root: Client) -> None:
    """A superuser sees it as it came."""
    letter = DeadLetter.objects.create(
        reason="unreadable", detail="No JSON", queue="vsm.inbound.v1", body=b"\xff{nonsense"
    )

    page = text_of(root.get("/dashboard/events/dead-letters/"))
    answer = root.post(f"/dashboard/events/dead-letters/{letter.pk}/replay/", follow=True)

    assert "nonsense" in page
    assert "/replay/" not in page
    assert "cannot be sent again" in text_of(answer)


def test_a_replay_leads_back_to_this_site_alone(operator: Client) -> None:
    """A form could be made to send people elsewhere."""
    paths = [f"/dashboard/events/dead-letters/{make_letter().pk}/replay/" for _ in range(2)]

    away = operator.post(paths[0], {"back": "https://evil.example/"})
    back = operator.post(paths[1], {"back": "/dashboard/events/dead-letters/?reason=failed"})

    assert away.headers["Location"] == "/dashboard/events/dead-letters/"
    assert back.headers["Location"] == "/dashboard/events/dead-letters/?reason=failed"


def test_dead_letters_are_filtered_in_few_queries(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Which still wait, and why they died."""
    for _ in range(30):
        make_letter()
    make_letter(reason="worker_lost")
    make_letter(replayed_at=timezone.now(), replayed_by="bob")
    wanted = {"": 32, "reason=worker_lost": 1, "replayed=no": 31, "replayed=yes": 1, "q=WATER": 32, "q=nothing": 0}

    with django_assert_max_num_queries(16):
        found = {"": letters(operator, "")}
    found |= {query: letters(operator, query) for query in wanted}

    assert found == wanted


def letters(client: Client, query: str) -> int:
    return client.get(f"/dashboard/events/dead-letters/?{query}").content.count(b"data-letter=")
