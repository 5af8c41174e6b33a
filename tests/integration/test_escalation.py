"""Escalation: people are told one after another until somebody says that it is theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from alerts import services as alerts
from alerts.models import Alert
from alerts.notices import reporting
from alerts.notices import services as notices
from alerts.notices.models import AlertNotice, Notification, Target
from alerts.people import duties, planning, reaching
from alerts.people import services as people
from alerts.people.models import EscalationPolicy, EscalationRun, EscalationStep, Page, Rota, Team
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import Membership, System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_user

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def system() -> System:
    return root_system()


@pytest.fixture
def boss(system: System) -> User:
    return make_user("boss", superuser=True)


@pytest.fixture
def anna(system: System) -> User:
    return reachable("anna")


@pytest.fixture
def ben(system: System) -> User:
    return reachable("ben")


def reachable(name: str) -> User:
    user = make_user(name, role="operator")
    add_method(user, "phone")
    return user


def add_method(user: User, name: str) -> Target:
    config = {"url": f"https://{user.get_username()}-{name}.example.org/hook"}
    return Target.objects.create(owner=user, name=name, kind="webhook", config=config)


def plan(system: System, by: User, *steps: Any, name: str = "rescue", **receiver: Any) -> EscalationPolicy:
    """Let the one receiver of the system name a policy of these steps."""
    policy = planning.save_policy(EscalationPolicy(system=system, name=name), by, steps=list(steps))
    receivers = [{"name": "ops", "targets": [], "escalation": name, **receiver}]
    route = {"receiver": "ops", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1m"}
    notices.save_routing(system, {"route": route, "receivers": receivers}, by, now=NOON)
    return policy


def fire(
    system: System, minutes: float = 0, *, name: str = "a", over: bool = False, severity: str = "critical",
    **labels: str,
) -> Alert:  # fmt: skip
    now = NOON + minutes * MINUTE
    ends = now if over else NOON + timedelta(days=300)
    labels = {"alertname": "Full", "name": name, "severity": severity, **labels}
    body: dict[str, Any] = {"labels": labels, "endsAt": ends.isoformat()}
    if not over:
        body["startsAt"] = now.isoformat()
    assert reporting.receive(system, [body], now=now) == (1, [])
    return Alert.objects.latest("pk")


def turn(minutes: float) -> None:
    now = NOON + minutes * MINUTE
    people.turn(now=now)
    notices.turn(now=now)
    people.escalate(now=now)


def told() -> list[tuple[float, str]]:
    """Return after how many minutes who was told that it fires."""
    rows = Notification.objects.filter(reason="escalation").order_by("created_at", "number")
    return [((each.created_at - NOON) / MINUTE, each.target_name) for each in rows]


def causes() -> list[str]:
    return list(AlertNotice.objects.filter(outcome="withheld").order_by("pk").values_list("cause", flat=True))


def states() -> list[str]:
    return list(EscalationRun.objects.order_by("pk").values_list("state", flat=True))


def notify(**whom: str) -> dict[str, Any]:
    return {"notify": whom}


# --- The road ---


def test_people_are_told_one_after_another(system: System, boss: User, anna: User, ben: User) -> None:
    """Ben hears of it when Anna did not answer for five minutes; then all is done, and once."""
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="ben"))
    fire(system)

    for half_minutes in range(40):
        turn(half_minutes / 2)

    assert told() == [(0.0, "anna: phone"), (5.0, "ben: phone")]
    assert states() == ["exhausted"]
    assert [(each.words, each.outcome) for each in EscalationStep.objects.all()] == [
        ("notify anna", "done"), ("wait 5m", "done"), ("notify ben", "done"),
    ]  # fmt: skip
    assert AlertNotice.objects.filter(outcome="paged").count() == 2


def test_an_acknowledgement_stops_it_at_once_also_what_waits(system: System, boss: User, anna: User, ben: User) -> None:
    """The phone that stops ringing when someone says "mine": also the call that was only planned, and one retried."""
    add_method(anna, "landline")
    rules = [{"after_minutes": 0, "method": "phone"}, {"after_minutes": 3, "method": "landline"}]
    reaching.save_contact(anna, critical=rules)
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="ben"))
    alert = fire(system)
    turn(0)

    alerts.acknowledge(alert, ben, now=NOON + MINUTE)
    written = Notification.objects.get(reason="escalation").state
    for minutes in range(1, 20):
        turn(minutes)

    assert (told(), states(), written) == ([(0.0, "anna: phone")], ["halted"], "withheld")
    assert list(Page.objects.values_list("state", "cause")) == [("told", ""), ("withheld", "acknowledged")]
    assert causes() == ["acknowledged"]


def test_it_goes_on_when_the_acknowledgement_runs_out(system: System, boss: User, anna: User, ben: User) -> None:
    """Whoever said "mine" and fell asleep: the next one is told."""
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="ben"))
    alert = fire(system)
    turn(0)
    alerts.acknowledge(alert, anna, timeout=10 * MINUTE, now=NOON + MINUTE)

    for minutes in range(1, 15):
        turn(minutes)

    assert told() == [(0.0, "anna: phone"), (11.0, "ben: phone")]


def test_a_new_critical_alert_goes_on_too(system: System, boss: User, anna: User, ben: User) -> None:
    """What was acknowledged was the other one."""
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="ben"))
    alert = fire(system)
    turn(0)
    alerts.acknowledge(alert, anna, now=NOON + MINUTE)
    turn(2)

    fire(system, 3, name="b")
    turn(3)
    turn(4)
    turn(6)

    assert told() == [(0.0, "anna: phone"), (6.0, "ben: phone")]
    last = Notification.objects.filter(reason="escalation").latest("created_at")
    assert [each["labels"]["name"] for each in last.body["alerts"]] == ["b"]


def test_a_snoozed_alert_does_not_escalate(system: System, boss: User, anna: User, ben: User) -> None:
    """And does again afterwards."""
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="ben"))
    alert = fire(system)
    turn(0)
    alerts.snooze(alert, anna, NOON + 30 * MINUTE, now=NOON + MINUTE)

    for minutes in range(1, 33):
        turn(minutes)

    assert told() == [(0.0, "anna: phone"), (30.0, "ben: phone")]


def test_those_who_were_called_hear_that_it_is_over(system: System, boss: User, anna: User, ben: User) -> None:
    """Each once, and nobody who never heard of it; the next occurrence begins anew."""
    plan(system, boss, notify(user="anna"), {"wait": "1m"}, {"repeat": 1}, notify(user="ben"))
    fire(system)
    for minutes in (0, 1):
        turn(minutes)
    Notification.objects.update(state="sent")

    fire(system, 1.5, over=True)
    turn(2)
    turn(3)
    fire(system, 10)
    turn(10)

    over = Notification.objects.filter(reason="escalation_over")
    assert [(each.target_name, each.body["status"]) for each in over] == [("anna: phone", "resolved")]
    assert (told()[-1], states()) == ((10.0, "anna: phone"), ["over", "running"])


def test_a_policy_repeats_and_stops(system: System, boss: User, anna: User) -> None:
    """Three rounds in all; what comes after the stop is never done."""
    plan(system, boss, notify(user="anna"), {"wait": "2m"}, {"repeat": 2}, {"stop": True}, notify(user="boss"))
    fire(system)

    for minutes in range(20):
        turn(minutes)

    assert [minutes for minutes, _ in told()] == [0.0, 2.0, 4.0]
    assert EscalationStep.objects.latest("pk").words == "stop"


def test_what_was_done_to_the_end_begins_anew_when_it_is_given_back(system: System, boss: User, anna: User) -> None:
    """Nobody answered, then somebody did, then nobody: it is not forgotten."""
    plan(system, boss, notify(user="anna"))
    alert = fire(system)
    turn(0)
    turn(1)
    alerts.acknowledge(alert, boss, timeout=5 * MINUTE, now=NOON + 2 * MINUTE)
    for minutes in range(2, 12):
        turn(minutes)
    fire(system, 12, name="milder", severity="warning")
    turn(13)
    fire(system, 14, name="b")
    turn(15)
    turn(16)

    assert [minutes for minutes, _ in told()] == [0.0, 7.0, 15.0]


# --- Whom ---


def test_teams_rotas_and_targets_are_notified(system: System, boss: User, anna: User, ben: User) -> None:
    """A team all at once, of a rota who is on call, a target as it is."""
    duties.save_team(Team(system=system, name="ops"), boss, members=["anna", "ben"])
    layer = {"name": "l", "participants": ["ben"], "starts_on": "2026-11-01", "unit": "days"}
    duties.save_rota(Rota(system=system, name="primary"), boss, layers=[layer], now=NOON)
    config = {"url": "https://pager.example.org/hook"}
    Target.objects.create(system=system, name="pager", kind="webhook", config=config)
    plan(system, boss, notify(team="ops"), notify(rota="primary"), notify(target="pager"))
    fire(system)

    turn(0)

    assert [name for _, name in told()] == ["anna: phone", "ben: phone", "ben: phone", "pager"]


def test_every_skipped_step_says_why(system: System, boss: User, anna: User) -> None:
    """Nobody on call, nobody reachable, not at this hour, not so bad: a row and a line each; the rest goes on."""
    make_user("carl", role="operator")
    layer = {"name": "l", "participants": ["anna"], "starts_on": "2027-11-01", "unit": "days"}
    duties.save_rota(Rota(system=system, name="primary"), boss, layers=[layer], now=NOON)
    night = [{"from": "22:00", "until": "06:00"}]
    plan(
        system, boss, notify(rota="primary"), notify(user="carl"),
        {**notify(user="anna"), "only_if": {"hours": night}},
        {**notify(user="anna"), "only_if": {"severity": "critical"}}, notify(user="anna"),
    )  # fmt: skip
    fire(system, severity="warning")

    turn(0)

    assert told() == [(0.0, "anna: phone")]
    assert causes() == ["nobody_on_call", "no_contact", "condition", "condition"]
    assert list(EscalationStep.objects.values_list("cause", flat=True)) == [
        "nobody_on_call", "", "condition", "condition", "",
    ]  # fmt: skip


def test_who_left_the_system_is_not_told(system: System, boss: User, anna: User, ben: User) -> None:
    """A plan outlives a membership."""
    plan(system, boss, notify(user="anna"), notify(user="ben"))
    Membership.objects.filter(user=anna).delete()
    fire(system)

    turn(0)

    assert ([name for _, name in told()], causes()) == (["ben: phone"], ["gone"])


def test_quiet_hours_hold_back_all_but_the_critical(system: System, boss: User, anna: User) -> None:
    """They are told when these are over, if it still fires."""
    reaching.save_contact(anna, quiet_hours=[{"days": [], "from": "11:00", "until": "14:00"}])
    plan(system, boss, notify(user="anna"))
    fire(system, severity="warning")
    for minutes in (0, 5, 119):
        turn(minutes)
    before = told()

    turn(120)
    turn(125)

    assert (before, told(), causes()) == ([], [(120.0, "anna: phone")], ["quiet_hours"])
    assert states() == ["exhausted"]


def test_the_critical_is_told_in_quiet_hours(system: System, boss: User, anna: User) -> None:
    """That is what it means."""
    reaching.save_contact(anna, quiet_hours=[{"days": [], "from": "11:00", "until": "14:00"}])
    plan(system, boss, notify(user="anna"))
    fire(system)

    turn(0)

    assert told() == [(0.0, "anna: phone")]


def test_contact_rules_are_followed_in_time(system: System, boss: User, anna: User) -> None:
    """A message first, then the phone; also after the policy's own steps are done."""
    add_method(anna, "chat")
    rules = [{"after_minutes": 0, "method": "chat"}, {"after_minutes": 4, "method": "phone"}]
    reaching.save_contact(anna, critical=rules, other=rules[:1])
    plan(system, boss, notify(user="anna"))
    fire(system)

    for minutes in range(10):
        turn(minutes)

    assert told() == [(0.0, "anna: chat"), (4.0, "anna: phone")]


def test_what_is_silenced_meanwhile_is_not_escalated(system: System, boss: User, anna: User, ben: User) -> None:
    """It goes on when the silence is over."""
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="ben"))
    fire(system)
    turn(0)
    notices.create_silence(system, boss, 'name="a"', NOON + 20 * MINUTE, "hush", now=NOON + MINUTE)

    for minutes in range(1, 25):
        turn(minutes)

    assert told() == [(0.0, "anna: phone"), (20.0, "ben: phone")]


def test_a_step_is_taken_once_however_many_workers_look(system: System, boss: User, anna: User) -> None:
    """Two ticks at one moment."""
    plan(system, boss, notify(user="anna"), {"wait": "5m"}, notify(user="anna"))
    fire(system)

    for minutes in (0, 0, 0, 5, 5, 5):
        turn(minutes)

    assert [minutes for minutes, _ in told()] == [0.0, 5.0]


# --- Where a policy is named ---


def test_a_rule_names_a_policy_by_label(system: System, boss: User, anna: User, ben: User) -> None:
    """Before the receiver's; where no target is set up at all, too."""
    plan(system, boss, notify(user="anna"))
    planning.save_policy(EscalationPolicy(system=system, name="database"), boss, steps=[notify(user="ben")])
    fire(system, escalation="database")

    turn(0)

    assert told() == [(0.0, "ben: phone")]


def test_a_policy_above_holds_below(system: System, boss: User, anna: User) -> None:
    """As targets do."""
    child = make_system("child", parent=system)
    plan(system, boss, notify(user="anna"))
    fire(child)

    turn(0)

    assert told() == [(0.0, "anna: phone")]


def test_a_name_that_is_not_there_is_refused(system: System, boss: User, anna: User) -> None:
    """In the routing, in a rule, and as long as it is named it stays."""
    policy = plan(system, boss, notify(user="anna"))
    document = {"route": {"receiver": "r"}, "receivers": [{"name": "r", "escalation": "nothing"}]}

    with pytest.raises(Invalid) as routing:
        notices.save_routing(system, document, boss, now=NOON)
    with pytest.raises(Invalid) as rule:
        alerts.create_rule(system, boss, name="r", metric="m", threshold=1, labels={"escalation": "nothing"})
    with pytest.raises(Refused) as deleted:
        planning.delete_policy(policy, boss)

    assert (routing.value.field, rule.value.field, deleted.value.code) == ("receivers", "labels", "in_use")


def test_what_a_policy_names_cannot_be_deleted(system: System, boss: User, anna: User) -> None:
    """Or it would wait for nobody."""
    team = duties.save_team(Team(system=system, name="ops"), boss, members=["anna"])
    planning.save_policy(EscalationPolicy(system=system, name="p"), boss, steps=[notify(team="ops")])

    with pytest.raises(Refused) as caught:
        duties.delete_team(team, boss)

    assert caught.value.code == "in_use"


# --- The API ---


def post(client: Any, address: str, body: Any, method: str = "post") -> Any:
    return getattr(client, method)(f"/api/v1/{address}", body, "application/json")


def test_the_api_keeps_policies_and_tells_of_escalations(system: System, anna: User, client: Any) -> None:
    """With names, and each step's result."""
    client.force_login(make_user("ada", role="admin"))
    steps = [notify(user="anna"), {"wait": "5m"}]
    made = post(client, "escalation-policies/", {"name": "rescue", "steps": steps})
    address = f"escalation-policies/{made.json()['id']}/"
    changed = post(client, address, {"steps": [*steps, {"repeat": 1}]}, "patch")
    listed = client.get("/api/v1/escalation-policies/").json()["results"]
    fire(system, escalation="rescue")
    turn(0)
    (run,) = client.get("/api/v1/escalations/").json()["results"]

    assert (made.status_code, made.json()["steps"], changed.status_code) == (201, steps, 200)
    assert listed[0]["steps"] == [*steps, {"repeat": 1}]
    assert (run["state"], run["policy"], run["steps"][0]["pages"][0]["user"]) == ("running", "rescue", "anna")
    assert client.delete(f"/api/v1/{address}").status_code == 204


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([], "steps"),
        ([{"notify": {"user": "nobody"}}], "steps[0].notify.user"),
        ([{"notify": {"team": "nothing"}}], "steps[0].notify.team"),
        ([{"notify": {"target": 5}}], "steps[0].notify.target"),
        ([{"notify": {"user": "anna"}}, {"wait": "x"}], "steps[1].wait"),
    ],
)
def test_a_policy_that_cannot_be_kept_names_its_place(anna: User, client: Any, steps: Any, field: str) -> None:
    """Clear errors, never a 500."""
    client.force_login(make_user(role="admin"))

    answer = post(client, "escalation-policies/", {"name": "p", "steps": steps})

    assert answer.status_code == 400, answer.content
    assert f'"{field}' in json.dumps(answer.json()["errors"])


def test_tenants_do_not_see_one_anothers_escalations(system: System, boss: User, anna: User, client: Any) -> None:
    """Nor may operators plan them."""
    policy = plan(system, boss, notify(user="anna"))
    fire(system)
    turn(0)
    client.force_login(anna)
    refused = post(client, f"escalation-policies/{policy.pk}/", {"enabled": False}, "patch").status_code
    client.force_login(make_user(role="admin", system=make_system()))

    seen = [client.get(f"/api/v1/{each}/").json()["results"] for each in ("escalation-policies", "escalations")]

    assert (refused, seen) == (403, [[], []])


def test_a_list_of_escalations_asks_as_often_as_one(
    system: System, boss: User, anna: User, client: Any, django_assert_max_num_queries: Any
) -> None:
    """Steps, pages, people and notifications come along."""
    plan(system, boss, notify(user="anna"), {"wait": "1m"}, notify(user="anna"))
    for number in range(8):
        fire(system, name=str(number), alertname=f"Full{number}")
    turn(0)
    turn(1)
    client.force_login(anna)

    with django_assert_max_num_queries(14):
        rows = client.get("/api/v1/escalations/").json()["results"]

    assert [len(each["steps"]) for each in rows] == [3] * 8
