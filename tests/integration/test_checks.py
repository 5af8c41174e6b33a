"""Dead man's switches: what jobs say, what becomes of silence, and a door for strangers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts.checks import queries, services
from alerts.checks.models import Check, Ping
from alerts.checks.services import Said
from alerts.checks.timing import Heard
from alerts.models import Alert
from alerts.notices.models import Incoming
from subsystems.kernel.errors import Invalid
from subsystems.messaging.limits import limiter
from subsystems.messaging.models import Message
from subsystems.recursion.queries import root_system
from subsystems.s5_policy.models import Decision
from tests.support.factories import bearer, make_system, make_token, make_user
from vsm_site.ping_door import MAX_BODY, PER_CHECK, PingDoor

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _room() -> None:
    limiter().clear()


def make_check(name: str = "Backup", **fields: Any) -> Check:
    given = {"every_seconds": 3600, "grace_seconds": 300, **fields}
    check = Check(system=given.pop("system", None) or root_system())
    return services.save_check(check, make_user(superuser=True), now=NOON, name=name, **given)


def say(check: Check, heard: Heard = Heard.SUCCESS, *, now: datetime = NOON, **said: Any) -> str:
    """Say something, and return what people then see."""
    assert services.take(check.address, Said(heard, **said), now=now)
    check.refresh_from_db()
    return str(queries.shown_as(check, now=now))


def look(check: Check, now: datetime) -> str:
    """Let a tick pass, and return what people see."""
    services.turn(now=now)
    check.refresh_from_db()
    return str(queries.shown_as(check, now=now))


def open_alert() -> Alert | None:
    return Alert.objects.filter(type="ping").exclude(state="resolved").first()


def test_a_check_goes_up_late_down_and_up_again(transactional_db: None) -> None:
    """Silence within the grace is late, after it an alert; the next success ends it."""
    check = make_check(tags=["nightly", "team=db"])
    states = [look(check, NOON + timedelta(days=9)), say(check)]
    states += [look(check, NOON + at * MINUTE) for at in (59, 61, 66, 67)]
    alert = open_alert()
    assert alert is not None
    states.append(say(check, now=NOON + 70 * MINUTE))
    states.append(look(check, NOON + 70 * MINUTE))
    alert.refresh_from_db()

    assert states == ["new", "up", "up", "late", "down", "down", "up", "up"]
    assert alert.title == "Backup: nothing was heard in time"
    assert alert.labels == {
        "alertname": "Backup", "severity": "critical", "system": "main", "check": "Backup", "unit": "", "unit_kind": "",
        "tags": "nightly", "team": "db",
    }  # fmt: skip
    assert alert.state == "resolved"
    assert Alert.objects.count() == 1
    assert Incoming.objects.filter(alert=alert).count() == 2  # people are told of both
    assert [ping.kind for ping in check.history.order_by("pk")] == ["success", "missed", "success"]
    assert not Decision.objects.filter(answered_at=None).exists()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param({"heard": Heard.FAIL}, "it said that it failed", id="fail"),
        pytest.param({"heard": Heard.FAIL, "exit_code": 3}, "exit code 3", id="exit code"),
    ],
)
def test_what_says_that_it_failed_is_down_at_once(said: dict[str, Any], reason: str) -> None:
    """Nobody waits for a grace."""
    check = make_check()
    services.take(check.address, Said(**said), now=NOON)

    assert look(check, NOON + MINUTE) == "down"
    assert check.reason == reason
    assert open_alert() is not None


def test_a_run_that_starts_and_does_not_finish_is_down(transactional_db: None) -> None:
    """Though the next one is due only much later; and a run that finishes tells how long it took."""
    check = make_check()
    say(check)
    say(check, Heard.START, now=NOON + MINUTE)
    going = look(check, NOON + 4 * MINUTE)
    hung = look(check, NOON + 7 * MINUTE)
    say(check, Heard.START, now=NOON + 8 * MINUTE)
    say(check, now=NOON + 10 * MINUTE)

    assert (going, hung) == ("up", "down")
    assert Alert.objects.get().title.endswith("it started and did not finish in time")
    assert check.duration_seconds == 120


def test_a_crontab_is_of_its_time_zone() -> None:
    """Half past two in Berlin, in winter."""
    check = make_check(every_seconds=None, crontab="30 2 * * *", time_zone="Europe/Berlin")

    say(check)

    assert check.expected_at == datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
    assert check.down_at == check.expected_at + timedelta(seconds=300)


def test_a_log_line_changes_nothing_and_its_secrets_are_hidden() -> None:
    """It is kept for who looks after the job."""
    check = make_check()
    before = say(check)
    after = say(check, Heard.LOG, now=NOON + MINUTE, body=b"password=hunter2 \xff\x00 done" + b"x" * 20_000)

    kept = Ping.objects.get(kind="log").body
    assert (before, after) == ("up", "up")
    assert "hunter2" not in kept
    assert "done" in kept
    assert len(kept) <= MAX_BODY


def test_a_paused_check_raises_nothing_and_its_alert_ends() -> None:
    """Resumed, it waits for its first ping anew."""
    check = make_check()
    say(check, Heard.FAIL)
    look(check, NOON)
    services.save_check(check, make_user(superuser=True), now=NOON, enabled=False)
    paused = look(check, NOON + timedelta(days=1))
    services.save_check(check, make_user(superuser=True), now=NOON, enabled=True)

    assert paused == "paused"
    assert open_alert() is None
    assert look(check, NOON + timedelta(days=2)) == "new"


def test_people_hear_of_a_flickering_check_once_in_five_minutes() -> None:
    """The cooldown holds for checks as for rules; critical ones are told each time, and to S5 as well."""
    for severity, told in (("warning", ["", "cooldown", ""]), ("critical", ["", "", ""])):
        check = make_check(severity, severity=severity)
        for minute in (0, 2, 6):
            say(check, Heard.FAIL, now=NOON + minute * MINUTE)
            look(check, NOON + minute * MINUTE)
            say(check, now=NOON + (minute + 1) * MINUTE)
            look(check, NOON + (minute + 1) * MINUTE)

        alerts = Alert.objects.filter(type="ping", severity=severity).order_by("fired_at")
        assert list(alerts.values_list("suppressed", flat=True)) == told
    assert Message.objects.filter(type="alert.critical").count() == 3


def test_the_cap_of_the_hour_holds_for_checks() -> None:
    """Of thirty that fall silent together people hear of twenty; the others are there to be seen."""
    for number in range(30):
        say(make_check(f"job {number}", severity="warning"), Heard.FAIL)
    services.turn(now=NOON)

    held = Alert.objects.filter(type="ping", suppressed="hourly_limit").count()
    assert (held, Alert.objects.filter(type="ping").count()) == (10, 30)


def test_two_ticks_at_once_raise_one_alert() -> None:
    """And one that died between going down and telling so is finished by the next."""
    check = make_check()
    say(check)
    late = NOON + 66 * MINUTE
    services._take_down(late)  # then the worker dies
    nobody = open_alert()
    found = [services.turn(now=late), services.turn(now=late)]

    assert nobody is None
    assert found == [0, 0]
    assert Alert.objects.filter(type="ping").count() == 1


def test_a_thousand_checks_cost_a_tick_no_more_than_ten(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    """Neither while all is well, nor when all of them fall silent at once."""
    system = root_system()
    rows = [
        Check(system=system, name=f"job {n}", every_seconds=60, grace_seconds=60, status="up",
              expected_at=NOON + MINUTE, down_at=NOON + 2 * MINUTE) for n in range(1000)
    ]  # fmt: skip
    Check.objects.bulk_create(rows)

    with django_assert_max_num_queries(8):
        services.turn(now=NOON)
    with django_assert_max_num_queries(125):
        services.turn(now=NOON + 3 * MINUTE)

    assert Alert.objects.filter(type="ping", state="firing").count() == 1000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"every_seconds": None}, "every_seconds"),
        ({"crontab": "* * * * *"}, "every_seconds"),
        ({"every_seconds": None, "crontab": "61 * * * *"}, "crontab"),
        ({"every_seconds": None, "crontab": "0 0 30 2 *"}, "crontab"),
        ({"every_seconds": None, "crontab": "0 0 * * *", "time_zone": "Moon"}, "time_zone"),
        ({"grace_seconds": 1}, "grace_seconds"),
        ({"tags": ["system=other"]}, "tags"),
        ({"tags": "x"}, "tags"),
        ({"severity": "bad"}, "severity"),
        ({"name": " "}, "name"),
    ],
)
def test_what_cannot_work_is_refused_at_its_field(fields: dict[str, Any], field: str) -> None:
    """Before anybody relies on it."""
    with pytest.raises(Invalid) as refused:
        make_check(**fields)

    assert refused.value.field == field


def test_old_pings_are_forgotten_and_of_busy_checks_the_older_ones() -> None:
    """Thirty days, and a thousand."""
    check = make_check()
    row = {"of": check, "kind": "success"}
    Ping.objects.bulk_create([Ping(number=n, at=NOON, **row) for n in (1, 5, 1200)])
    Ping.objects.create(number=1201, at=NOON - timedelta(days=31), **row)
    Check.objects.filter(pk=check.pk).update(pings=1201)

    services.forget_pings(now=NOON)

    assert list(check.history.values_list("number", flat=True)) == [1200]


# --- The door ---


@pytest.mark.parametrize(
    ("method", "end", "kind", "code"),
    [
        ("get", "", "success", None), ("head", "", "success", None), ("post", "", "success", None),
        ("get", "/", "success", None), ("post", "/start", "start", None), ("get", "/fail", "fail", None),
        ("post", "/0", "success", 0), ("post", "/137", "fail", 137), ("post", "/log", "log", None),
    ],
)  # fmt: skip
def test_a_stranger_with_the_address_may_say_so(client: Client, method: str, end: str, kind: str, code: Any) -> None:
    """As healthchecks.io has it, so that their clients work here."""
    check = make_check()

    answer = getattr(client, method)(f"/ping/{check.address}{end}")

    ping = Ping.objects.get()
    assert answer.status_code == 200
    assert answer.content == (b"" if method == "head" else b"OK")
    assert (ping.kind, ping.exit_code) == (kind, code)


@pytest.mark.parametrize(
    "path",
    ["/ping/2d29bf46-cd80-4bd7-a7b0-e27bb126cb63", "/ping/x", "/ping/", "/ping/<script>alert(1)</script>", "/ping/%00",
     "/ping/{}/999", "/ping/{}/pause", "/ping/{}/start/more", "/ping/{}/٣"],
)  # fmt: skip
def test_what_is_no_address_is_unknown_and_nothing_is_reflected(client: Client, path: str) -> None:
    """Neither what was asked, nor whether something like it exists."""
    answer = client.post(path.format(make_check().address), data=b"x" * 100, content_type="text/html")

    assert answer.status_code == 404
    assert answer.content == b"not found"
    assert not Ping.objects.exists()


@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    """A ping is a GET, a HEAD or a POST."""
    assert getattr(client, method)(f"/ping/{make_check().address}").status_code == 405


def test_who_says_too_much_is_told_to_wait(client: Client) -> None:
    """A job gone wild must not fill the history."""
    check = make_check()

    codes = [client.get(f"/ping/{check.address}").status_code for _ in range(int(PER_CHECK.burst) + 5)]

    assert codes[0] == 200
    assert codes[-1] == 429


@pytest.mark.django_db(transaction=True)
def test_past_the_framework_the_door_says_the_same_and_holds_ten_kilobytes() -> None:
    """However much is sent, and however slowly it is asked."""
    check = make_check()

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=PingDoor(elsewhere))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [
                await client.post(f"/ping/{check.address}/1", content=b"y" * 300_000),
                await client.head(f"/ping/{check.address}"),
                await client.get("/ping/nobody"),
                await client.get("/elsewhere"),
            ]

    answers = asyncio.run(ask())

    assert [each.status_code for each in answers] == [200, 200, 404, 418]
    assert [each.text for each in answers[:3]] == ["OK", "", "not found"]
    assert len(Ping.objects.get(kind="fail").body) == MAX_BODY


# --- The API and the pages ---


def test_a_check_lives_through_the_api(client: Client) -> None:
    """Made, pinged, changed, deleted; a reader is not told the address."""
    root_system()
    headers = bearer(make_token(("read", "operate"))[1])
    made = client.post("/api/v1/checks/", {"name": "Backup", "every_seconds": 60}, "application/json", headers=headers)
    path = f"/api/v1/checks/{made.json()['id']}/"
    client.get("/" + made.json()["ping_url"].split("/", 3)[3])
    seen = client.get(path, headers=headers).json()
    changed = client.patch(path, {"enabled": False}, "application/json", headers=headers).json()
    reader = client.get("/api/v1/checks/", headers=bearer(make_token(("read",))[1])).json()["results"][0]
    pings = client.get(f"{path}pings/", headers=headers).json()
    wrong = client.patch(path, {"crontab": "x"}, "application/json", headers=headers)
    gone = client.delete(path, headers=headers)

    assert made.status_code == 201
    assert (seen["status"], changed["status"], reader["ping_url"]) == ("up", "paused", None)
    assert [ping["kind"] for ping in pings] == ["success"]
    assert wrong.status_code == 400
    assert gone.status_code == 204


def test_the_pages_of_checks(client: Client, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    """Added by form, listed with their last states, changed, paused, deleted; tenants are apart."""
    client.force_login(make_user(role="operator"))
    form = {"name": "Backup", "every_seconds": "1h30m", "grace_seconds": "5m", "severity": "warning", "tags": "db, a=b"}
    wrong = client.post("/dashboard/checks/", {**form, "grace_seconds": "soon"})
    client.post("/dashboard/checks/", form)
    check = Check.objects.get()
    services.take(check.address, Said(Heard.FAIL, body=b"<script>alert(1)</script>"), now=timezone.now())
    for n in range(30):
        make_check(f"other {n}")
    with django_assert_max_num_queries(14):
        listed = client.get("/dashboard/checks/").content.decode()
    shown = client.get(f"/dashboard/checks/{check.pk}/").content.decode()
    client.post(f"/dashboard/checks/{check.pk}/", {**form, "every_seconds": "2h"})
    check.refresh_from_db()
    client.post(f"/dashboard/checks/{check.pk}/pause/", {"enabled": "0"})
    strange = make_check("Strange", system=make_system("other"))

    assert wrong.status_code == 400
    assert listed.index("Backup") < listed.index("other 0")  # trouble first
    assert str(check.address) in shown
    assert "<script>alert" not in shown
    assert check.every_seconds == 7200
    assert client.get(f"/dashboard/checks/{strange.pk}/").status_code == 404
    assert client.post(f"/dashboard/checks/{check.pk}/delete/").status_code == 302
    client.force_login(make_user(role="viewer"))
    assert client.post("/dashboard/checks/", form).status_code == 403
