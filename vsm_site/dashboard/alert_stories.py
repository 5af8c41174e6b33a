"""What is told of one alert: its picture, its story, its neighbours in time, and when it was like this before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, Q
from django.urls import reverse

from alerts import looking, wording
from alerts.evaluation import COMPARISONS, base_metric
from alerts.models import Alert, AlertNotice
from alerts.notices.queries import Tree
from alerts.notices.silencing import Cause
from subsystems.event_log import queries as event_log
from subsystems.event_log.models import Event, PendingEvent
from subsystems.event_log.queries import Wanted
from subsystems.recursion.models import Membership
from vsm_site.dashboard import zones
from vsm_site.dashboard.journeys import Step, data_of, lapse, pretty, timed, visible_events
from vsm_site.dashboard.reach import Reach

AROUND = timedelta(minutes=10)  # whatever began so near is a neighbour
MARGIN = timedelta(minutes=15)  # of the picture, before and after
STEPS = (5, 15, 60, 300, 900, 3600)  # seconds between points
MOST_POINTS = 360
OPERATING = (Membership.Role.OPERATOR, Membership.Role.ADMIN)
MOST_HANDS = 200
MOST_STEPS, MOST_NEIGHBOURS, MOST_SIMILAR = 300, 30, 10
WITHOUT_PICTURE = ("health", "viability", "signals", "events")
COMPARED = ("threshold",)  # kinds whose number is the metric itself, so that the threshold belongs beside it


# --- Its picture ---


def picture(alert: Alert, *, now: datetime) -> dict[str, Any] | None:
    """Return what is drawn of *alert*, as JSON: a metric, a range, thresholds and marks. None where nothing can be."""
    data, rule = alert.data, alert.rule
    metric = base_metric(data.get("metric") or "")
    if not metric or (rule is not None and rule.kind in WITHOUT_PICTURE) or alert.type != "rule":
        return None
    source = data.get("source", "")
    start, end = alert.pending_at, alert.resolved_at or now
    room = max(MARGIN, (end - start) / 4)
    first, last = (start - room).timestamp(), min((end + room).timestamp(), now.timestamp())
    step = next((each for each in STEPS if (last - first) / each <= MOST_POINTS), STEPS[-1])
    return {
        "metric": metric, "source": source if source not in ("", "*", "!") else "", "from": first, "to": last,
        "step": step, "labels": wording.labels_of(data.get("series") or ""), "limits": _limits(alert),
        "marks": [[moment.timestamp(), word] for moment, word in _marks(alert) if moment],
        "follows": alert.open,
    }  # fmt: skip


def _limits(alert: Alert) -> list[tuple[str, float]]:
    """Return the thresholds that may stand beside the metric's own values."""
    rule, data = alert.rule, alert.data
    if (rule is not None and rule.kind not in COMPARED) or data.get("threshold") is None:
        return []
    limits = [("fires at", float(data["threshold"]))]
    if rule is not None and rule.recover_threshold is not None:
        limits.append(("recovers at", rule.recover_threshold))
    return limits


def _marks(alert: Alert) -> list[tuple[datetime | None, str]]:
    return [
        (alert.pending_at, "began"), (alert.fired_at, "fired"), (alert.acknowledged_at, "acknowledged"),
        (alert.resolved_at, "resolved"),
    ]  # fmt: skip


# --- Its story ---


def steps(alert: Alert, within: Reach) -> list[Step]:
    """Return what became of *alert* and who was told, oldest first, in three queries."""
    return timed([*_events(alert, within), *_notices(alert)])


def _events(alert: Alert, within: Reach) -> Iterator[Step]:
    wanted = Wanted(correlation_id=alert.fingerprint, since=alert.pending_at)
    sealed = event_log.search(wanted, within=visible_events(within)).order_by("position")[:MOST_STEPS]
    waiting = PendingEvent.objects.filter(within.condition(), correlation_id=alert.fingerprint)
    found: list[Event | PendingEvent] = [
        *sealed,
        *waiting.filter(at__gte=alert.pending_at).order_by("number")[:MOST_STEPS],
    ]
    for event in found:
        data = data_of(event) if isinstance(event, Event) else _said(event)
        if data.get("alert") == alert.pk:
            yield _step(event, data)


def _step(event: Event | PendingEvent, data: dict[str, Any]) -> Step:
    name = event.type.removeprefix("alert.").replace("_", " ")
    link = reverse("dashboard:event", args=[event.position]) if isinstance(event, Event) else ""
    inputs = data.get("inputs") or {}
    by = event.actor or inputs.get("by", "")
    words = _decided_from(inputs) + (f" by {by}" if by else "")
    shown = "" if by else pretty(inputs)  # what people did is told in words
    return Step(event.at, "event", name.capitalize(), words.strip(), link, shown)


def _said(event: PendingEvent) -> dict[str, Any]:
    found = json.loads(event.data)
    return found if isinstance(found, dict) else {}


def _decided_from(inputs: dict[str, Any]) -> str:
    if inputs.get("value") is not None and inputs.get("threshold") is not None:
        return f"at {inputs['value']:.6g}, limit {inputs['threshold']:g}"
    if "from" in inputs and "to" in inputs:
        return f"from {inputs['from']} to {inputs['to']}"
    words = [f"“{text}”"] if (text := inputs.get("text") or inputs.get("comment")) else []
    words += [f"to {inputs['to'] or 'nobody'}"] if "to" in inputs else []
    words += [f"until {zones.told(inputs['until'], 'minute zone')}"] if inputs.get("until") else []
    words += [f"({why})"] if (why := inputs.get("why")) and why != "hand" else []
    return " ".join(words)


def _notices(alert: Alert) -> Iterator[Step]:
    lines = AlertNotice.objects.filter(alert=alert).select_related("notification").order_by("at", "pk")
    for line in lines[:MOST_STEPS]:
        sent = line.notification
        if sent is not None:
            what = "Told that it is over" if line.outcome == AlertNotice.Outcome.OVER else "Told"
            link = reverse("dashboard:notification", args=[sent.pk])
            yield Step(line.at, "message", what, f"{sent.target_name} ({sent.kind}): {sent.get_state_display()}", link)
        else:
            cause = line.cause.replace("_", " ")
            yield Step(line.at, "message", "Withheld", f"{cause}: {line.detail}".rstrip(": "), _cause_link(line))


def _cause_link(line: AlertNotice) -> str:
    if line.cause_id is None:
        return ""
    if line.cause == Cause.MAINTENANCE:
        return reverse("dashboard:maintenance-window", args=[line.cause_id])
    if line.cause in (Cause.INHIBITED, Cause.PARENT):
        return reverse("dashboard:alert", args=[line.cause_id])
    return reverse("dashboard:silences") if line.cause == Cause.SILENCE else ""


# --- Why ---


def explanations(alert: Alert, *, now: datetime) -> list[dict[str, Any]]:
    """Return why an open alert of a rule is as it is, in sentences."""
    if alert.rule is None or not alert.open or alert.data.get("comparison") not in COMPARISONS:
        return []
    return looking.explanations(alert.rule, now=now, subject=alert.subject)


# --- Who ---


def hands(alert: Alert) -> list[str]:
    """Return the names of those who may operate the system of *alert*: it can be assigned to them."""
    above = list(Tree.read().upwards(alert.system_id))
    members = Q(pk__in=Membership.objects.filter(system__in=above, role__in=OPERATING).values("user"))
    people = User.objects.filter(members | Q(is_superuser=True), is_active=True).order_by("username")
    return list(people.values_list("username", flat=True)[:MOST_HANDS])


# --- What else ---


@dataclass(frozen=True)
class Similar:
    """Earlier alerts of the same subject and rule within what is kept."""

    count: int
    rows: list[Alert]
    usual: str  # how long they lasted, the median in words; empty where none is over


def neighbours(alert: Alert) -> list[Alert]:
    """Return alerts of the same system that began within ten minutes of this one."""
    moment = alert.pending_at
    near = Alert.objects.filter(system=alert.system_id, pending_at__range=(moment - AROUND, moment + AROUND))
    rows = (
        near.exclude(pk=alert.pk)
        .order_by("pending_at", "pk")
        .only("title", "subject", "severity", "state", "pending_at")
    )
    return list(rows[:MOST_NEIGHBOURS])


def similar(alert: Alert) -> Similar:
    """Return what is known of earlier alerts with the same fingerprint, in two queries."""
    before = Alert.objects.filter(fingerprint=alert.fingerprint, pending_at__lt=alert.pending_at).exclude(pk=alert.pk)
    lasted = list(
        before.filter(fired_at__isnull=False, resolved_at__isnull=False)
        .order_by("-pending_at").values_list(F("fired_at"), F("resolved_at"))[:200]
    )  # fmt: skip
    usual = lapse(median((end - start).total_seconds() for start, end in lasted)) if lasted else ""
    rows = list(before.select_related("acknowledged_by").order_by("-pending_at", "-pk")[: MOST_SIMILAR + 1])
    count = len(rows) if len(rows) <= MOST_SIMILAR else before.count()
    return Similar(count, rows[:MOST_SIMILAR], usual)
