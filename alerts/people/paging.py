"""Reaching people: each page is a row that is due at its time, and becomes a notification like all others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Case, IntegerField, Max, Q, Value, When

from alerts.limits import RANK
from alerts.models import Alert
from alerts.notices import payload
from alerts.notices.flushing import DUE, HELD, told_of
from alerts.notices.models import AlertNotice, Group, GroupMember, Notification, Target
from alerts.notices.queries import FIRING_STATES, READ_AT_ONCE, Mutes, Tree, policies
from alerts.notices.silencing import Cause
from alerts.people.contacts import Contact
from alerts.people.models import EscalationRun, EscalationStep, Page
from alerts.people.reaching import contacts_of, methods_by_user
from subsystems.messaging.services import announce

UNATTENDED = Q(
    firing=True, alert__state__in=FIRING_STATES, alert__acknowledged_at=None, alert__snoozed_until=None
)  # fmt: skip
_WORST_FIRST = Case(
    When(alert__severity="critical", then=Value(0)), When(alert__severity="warning", then=Value(1)), default=Value(2),
    output_field=IntegerField(),
)  # fmt: skip


@dataclass(frozen=True)
class Left:
    """What of a group nobody looks after: how many alerts, and those of them that may be told of, the worst first."""

    count: int
    audible: tuple[int, ...]
    severity: str = ""

    @classmethod
    def of(cls, group: Group, now: datetime) -> Left:
        rows = GroupMember.objects.filter(UNATTENDED, group=group).order_by(_WORST_FIRST, "-version")
        fields = ("alert_id", "alert__severity", "alert__labels", "alert__unit_id", "alert__suppressed", "cause")
        found = list(rows.values_list(*fields)[:READ_AT_ONCE])
        if not found:
            return cls(0, ())
        tree = Tree.read()
        policy = policies(tree, [group.system_id])[group.system_id]
        mutes = Mutes.read(tree, group.system_id, policy, now)
        audible = [
            (pk, severity) for pk, severity, labels, unit, suppressed, cause in found
            if mutes.mute(labels, tree.place(group.system_id, unit), firing=True) is None
            and not (severity != "critical" and (suppressed in HELD or cause == Cause.FLAPPING))
        ]  # fmt: skip
        worst = max((severity for _, severity in audible), key=RANK.__getitem__, default="")
        return cls(len(found), tuple(pk for pk, _ in audible), worst)


def plan_pages(step: EscalationStep, users: Sequence[int], *, severity: str, now: datetime) -> list[Page]:
    """Write by what each of these people is reached and when; who has no method gets a row that says so."""
    contacts, methods = contacts_of(users), methods_by_user(users)
    pages: list[Page] = []
    for user in users:
        steps = contacts.get(user, Contact()).steps(severity, [each.pk for each in methods[user]])
        for position, each in enumerate(steps):
            pages.append(_page(step, user, each.method, now + each.after, position))
        if not steps:
            pages.append(_page(step, user, None, now, 0))
            pages[-1].state, pages[-1].cause, pages[-1].at = Page.State.WITHHELD, Cause.NO_CONTACT, now
    return Page.objects.bulk_create(pages)


def plan_target(step: EscalationStep, target: Target, *, now: datetime) -> Page:
    """Write that a target of the system is told now."""
    page = _page(step, None, target.pk, now, 0)
    page.save()
    return page


def _page(step: EscalationStep, user: int | None, method: int | None, due_at: datetime, position: int) -> Page:
    return Page(step=step, run_id=step.run_id, user_id=user, method_id=method, due_at=due_at, position=position)


def send_pages(run: EscalationRun, group: Group, left: Left, *, now: datetime) -> int:
    """Write a notification for each page of *run* that is due; the caller holds the group. Return how many."""
    free = run.pages.filter(state=Page.State.WAITING, due_at__lte=now)
    due = list(free.select_related("user", "method", "step").order_by("due_at", "pk"))
    contacts = contacts_of({page.user_id for page in due if page.user_id})
    sent = 0
    for page in due:
        quiet = contacts.get(page.user_id or 0, Contact()).quiet_until(left.severity, now)
        if quiet is not None:
            _put_off(page, quiet, left, now)
        elif page.method is None or not page.method.enabled:
            withhold([page], Cause.GONE, now)
        else:
            _tell(page, page.method, run, group, left, now)
            sent += 1
    if sent:
        transaction.on_commit(lambda: announce(DUE, {}), robust=True)
    return sent


def _put_off(page: Page, until: datetime, left: Left, now: datetime) -> None:
    log(left.audible, Cause.QUIET_HOURS, f"{page.user} until {until:%Y-%m-%d %H:%M} UTC", now)
    Page.objects.filter(pk=page.pk).update(due_at=until, cause=Cause.QUIET_HOURS)


def _tell(page: Page, method: Target, run: EscalationRun, group: Group, left: Left, now: datetime) -> None:
    shown = _alerts(left.audible)
    told = [told_of(alert, firing=True) for alert in shown]
    notification = _write(run, group, method, page, told, reason="escalation", severity=left.severity,
                          firing=len(left.audible), resolved=0, now=now)  # fmt: skip
    _log_told(shown, notification, AlertNotice.Outcome.PAGED, now)
    Page.objects.filter(pk=page.pk).update(state=Page.State.TOLD, at=now, notification=notification, cause="")
    EscalationRun.objects.filter(pk=run.pk).update(title=notification.title)


def tell_over(run: EscalationRun, *, now: datetime) -> int:
    """Tell those who were paged that all of it is over; not in their quiet hours, unless it was critical."""
    told = run.pages.filter(state=Page.State.TOLD, notification__state=Notification.State.SENT)
    pages = list(told.select_related("user", "method", "notification").order_by("pk"))
    lines = AlertNotice.objects.filter(notification__pages__run=run, outcome=AlertNotice.Outcome.PAGED)
    shown = _alerts(list(lines.values_list("alert_id", flat=True).distinct()[: payload.MAX_ALERTS]))
    if not pages or not shown:
        return 0
    worst = max((str(alert.severity) for alert in shown), key=RANK.__getitem__)
    contacts = contacts_of({page.user_id for page in pages if page.user_id})
    bodies = [told_of(alert, firing=False) for alert in shown]
    heard: set[int] = set()
    for page in pages:
        quiet = contacts.get(page.user_id or 0, Contact()).quiet_until(worst, now)
        if page.method is None or page.method.pk in heard or quiet is not None:
            continue
        heard.add(page.method.pk)
        notification = _write(run, run.group, page.method, page, bodies, reason="escalation_over", severity=worst,
                              firing=0, resolved=len(shown), now=now)  # fmt: skip
        _log_told(shown, notification, AlertNotice.Outcome.OVER, now)
    transaction.on_commit(lambda: announce(DUE, {}), robust=True)
    return len(heard)


def _write(
    run: EscalationRun, group: Group | None, method: Target, page: Page, alerts: Sequence[payload.Told], *, reason: str,
    severity: str, firing: int, resolved: int, now: datetime,
) -> Notification:  # fmt: skip
    key, labels = (group.key, group.labels) if group else (f"escalation {run.pk}", {"alertname": run.title})
    body = payload.body_of(
        alerts, group_key=key, group_labels=labels, receiver=run.policy_name, firing=firing, resolved=resolved,
        reason=reason, external_url=settings.EXTERNAL_URL,
    )  # fmt: skip
    numbers = Notification.objects.filter(group=group).aggregate(last=Max("number")) if group else {"last": 0}
    return Notification.objects.create(
        system_id=run.system_id, group=group, target=method, kind=method.kind, receiver=run.policy_name, reason=reason,
        target_name=f"{page.user}: {method.name}"[:120] if page.user else method.name, severity=severity,
        title=payload.title_of(body), body=body, firing_count=firing, resolved_count=resolved, created_at=now,
        due_at=now, number=(numbers["last"] or 0) + 1,
    )  # fmt: skip


def withhold(pages: Iterable[Page], cause: str, now: datetime) -> int:
    """Let these pages never be sent."""
    chosen = Page.objects.filter(pk__in=[page.pk for page in pages], state=Page.State.WAITING)
    return chosen.update(state=Page.State.WITHHELD, cause=cause, at=now)


def stop_pages(run: EscalationRun, cause: str, *, now: datetime) -> int:
    """Withhold what of *run* is not sent yet, also what waits to be tried again; return how much that was."""
    stopped = run.pages.filter(state=Page.State.WAITING).update(state=Page.State.WITHHELD, cause=cause, at=now)
    unsent = Notification.objects.filter(pages__run=run, reason="escalation", state=Notification.State.WAITING)
    free = list(unsent.filter(Q(claimed_until=None) | Q(claimed_until__lte=now)).values_list("pk", flat=True))
    waiting = Notification.objects.filter(pk__in=free, state=Notification.State.WAITING)
    words = {"last_error": f"{cause} before it was sent", "claimed_until": None}
    return stopped + waiting.update(state=Notification.State.WITHHELD, **words)


def log(alert_ids: Collection[int], cause: str, detail: str, now: datetime) -> None:
    """Write a line for each alert that somebody is not told of by an escalation, and why."""
    alerts = Alert.objects.filter(pk__in=list(alert_ids)[: payload.MAX_ALERTS]).values_list("pk", "fingerprint")
    AlertNotice.objects.bulk_create(
        AlertNotice(
            alert_id=pk, outcome=AlertNotice.Outcome.WITHHELD, cause=cause, detail=detail[:200], fingerprint=key, at=now
        )
        for pk, key in alerts
    )  # fmt: skip


def _log_told(alerts: Sequence[Alert], notification: Notification, outcome: str, now: datetime) -> None:
    AlertNotice.objects.bulk_create(
        AlertNotice(alert=each, notification=notification, outcome=outcome, fingerprint=each.fingerprint, at=now)
        for each in alerts
    )


def _alerts(ids: Sequence[int]) -> list[Alert]:
    """Return these alerts in their order, as many as there is room for."""
    chosen = ids[: payload.MAX_ALERTS]
    found = Alert.objects.select_related("system", "external").in_bulk(chosen)
    return [found[pk] for pk in chosen if pk in found]


LOOK_AGAIN = timedelta(minutes=1)  # at what is silenced just now
