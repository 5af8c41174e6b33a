"""What moves escalations on. A step is one transaction: its row, its pages, what they say and where the run stands.

A worker that dies has done all of a step or nothing. Whoever takes one holds the group first and the run then, in this
order, as a flush does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet

from alerts.models import Alert
from alerts.notices.models import Group, GroupMember, Target
from alerts.notices.queries import FIRING_STATES
from alerts.notices.silencing import Cause
from alerts.people.escalation import Do, Step, read_steps
from alerts.people.models import EscalationRun, EscalationStep, Page, Rota, Team
from alerts.people.paging import (
    LOOK_AGAIN,
    UNATTENDED,
    Left,
    log,
    plan_pages,
    plan_target,
    send_pages,
    stop_pages,
    tell_over,
)
from alerts.people.queries import holder_of
from subsystems.recursion.queries import people_in

State = EscalationRun.State
AT_ONCE, MOST_STEPS = 200, 60
BUDGET_SECONDS = 8.0  # of one turn; the next one goes on
_FIRING = GroupMember.objects.filter(group=OuterRef("group"), firing=True, alert__state__in=FIRING_STATES)
_LEFT = GroupMember.objects.filter(UNATTENDED, group=OuterRef("group"))


def escalate(*, now: datetime) -> int:
    """Halt, resume and end runs, and take the steps and pages that are due; return how many steps were taken."""
    halt(EscalationRun.objects.all(), now=now)
    _resume(now)
    _begin_anew(now)
    for pk in _pks(EscalationRun.objects.filter(~Exists(_FIRING), state__in=EscalationRun.OPEN)):
        _end(pk, now)
    taken, until = 0, time.monotonic() + BUDGET_SECONDS
    for pk in _pks(EscalationRun.objects.filter(state=State.RUNNING, due_at__lte=now).order_by("due_at")):
        for _ in range(MOST_STEPS):
            if not take_step(pk, now=now):
                break
            taken += 1
        if time.monotonic() > until:
            break
    waiting = Page.objects.filter(run=OuterRef("pk"), state=Page.State.WAITING, due_at__lte=now)
    for pk in _pks(EscalationRun.objects.filter(Exists(waiting), state__in=(State.RUNNING, State.EXHAUSTED))):
        if time.monotonic() > until:
            break
        _page(pk, now)
    return taken


def heed(alert: Alert, *, now: datetime) -> None:
    """Halt at once what escalates for *alert*, where nothing of its groups is left that nobody looks after."""
    groups = GroupMember.objects.filter(alert=alert).values("group_id")
    halt(EscalationRun.objects.filter(group_id__in=groups), now=now)


def halt(runs: QuerySet[EscalationRun], *, now: datetime) -> int:
    """Halt those of *runs* whose alerts somebody looks after, every one; return how many."""
    attended = runs.filter(Exists(_FIRING), ~Exists(_LEFT))
    halted = sum(_halt(pk, now) for pk in _pks(attended.filter(state=State.RUNNING)))
    unsent = Exists(Page.objects.filter(run=OuterRef("pk"), state=Page.State.WAITING))
    for run in attended.filter(unsent, state=State.EXHAUSTED)[:AT_ONCE]:
        _stop(run, now)
    return halted


@transaction.atomic
def _halt(pk: int, now: datetime) -> bool:
    if not EscalationRun.objects.filter(pk=pk, state=State.RUNNING).update(state=State.HALTED):
        return False
    _stop(EscalationRun.objects.get(pk=pk), now)
    return True


@transaction.atomic
def _stop(run: EscalationRun, now: datetime) -> None:
    """Withhold what waits, and say so in the log."""
    stopped = stop_pages(run, Cause.ACKNOWLEDGED, now=now)
    members = GroupMember.objects.filter(group=run.group_id, firing=True)
    words = f"{run.policy_name} halts at step {run.step + 1} of {len(run.steps)}"
    log(list(members.values_list("alert_id", flat=True)[:AT_ONCE]), Cause.ACKNOWLEDGED,
        f"{words}, {stopped} pages withheld" if stopped else words, now)  # fmt: skip


def _resume(now: datetime) -> None:
    """Go on where an acknowledgement or a snooze ended, or an alert came that nobody looks after."""
    for run in EscalationRun.objects.filter(Exists(_LEFT), state=State.HALTED)[:AT_ONCE]:
        mine = EscalationRun.objects.filter(pk=run.pk, state=State.HALTED)
        mine.update(state=State.RUNNING, due_at=max(run.due_at, now))


def _begin_anew(now: datetime) -> None:
    """Begin anew where all steps were done and then somebody gave it back, or another critical alert came."""
    news = _LEFT.filter(
        Q(alert__returned_at__gt=OuterRef("ended_at")) | Q(alert__severity="critical", pk__gt=OuterRef("last_member"))
    )
    exhausted = EscalationRun.objects.filter(Exists(news), state=State.EXHAUSTED)
    EscalationRun.objects.filter(pk__in=_pks(exhausted), state=State.EXHAUSTED).update(
        state=State.RUNNING, step=0, repeats=0, round=F("round") + 1, due_at=now, ended_at=None
    )


@transaction.atomic
def _end(pk: int, now: datetime) -> None:
    _hold_group(pk)
    over = EscalationRun.objects.filter(~Exists(_FIRING), pk=pk, state__in=EscalationRun.OPEN)
    if not over.update(state=State.OVER, ended_at=now):
        return
    run = EscalationRun.objects.get(pk=pk)
    stop_pages(run, "over", now=now)
    tell_over(run, now=now)


@transaction.atomic
def _page(pk: int, now: datetime) -> int:
    """Send what of a run is due by contact rules."""
    group = _hold_group(pk)
    run = EscalationRun.objects.select_for_update().filter(pk=pk, state__in=(State.RUNNING, State.EXHAUSTED)).first()
    if group is None or run is None:
        return 0
    left = Left.of(group, now)
    if left.audible:
        return send_pages(run, group, left, now=now)
    due = run.pages.filter(state=Page.State.WAITING, due_at__lte=now)
    if left.count:  # silenced just now
        due.update(due_at=now + LOOK_AGAIN)
    else:
        _stop(run, now)
    return 0


def _hold_group(pk: int) -> Group | None:
    """Lock and return the group of a run; None when another has it, or when it is gone."""
    free = Group.objects.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    return free.filter(pk__in=EscalationRun.objects.filter(pk=pk).values("group_id")).first()


# --- One step ---


@transaction.atomic
def take_step(pk: int, *, now: datetime) -> bool:
    """Take the next step of a run, where it is due; False when there is nothing to take now."""
    group = _hold_group(pk)
    run = EscalationRun.objects.select_for_update().filter(pk=pk, state=State.RUNNING, due_at__lte=now).first()
    if group is None or run is None:
        return False
    left = Left.of(group, now)
    if not left.audible:
        # Silenced: looked at again in a while. Attended: the next turn halts it.
        EscalationRun.objects.filter(pk=pk).update(due_at=now + LOOK_AGAIN)
        return False
    steps = read_steps(run.steps)
    if run.step >= len(steps):
        return _exhaust(run, group, now)
    return _Taking(run, group, left, steps[run.step], now).take()


def _exhaust(run: EscalationRun, group: Group, now: datetime) -> bool:
    """All steps are done. It stays open, so that it does not begin again by itself."""
    run.state, run.ended_at = State.EXHAUSTED, now
    run.last_member = group.members.aggregate(last=Max("pk"))["last"] or 0
    run.save(update_fields=["state", "ended_at", "last_member"])
    return False


class _Taking:
    """One step of one run, while its group is held."""

    def __init__(self, run: EscalationRun, group: Group, left: Left, step: Step, now: datetime) -> None:
        self.run, self.group, self.left, self.step, self.now = run, group, left, step, now

    def take(self) -> bool:
        """Do the step, note it, and move the run on; return whether the next one is due at once."""
        if not self.step.condition.met(self.left.severity, self.now):
            self._skip(Cause.CONDITION, self.step.words)
            return self._go_on()
        if self.step.do is Do.STOP:
            self._note()
            return _exhaust(self.run, self.group, self.now)
        if self.step.do is Do.REPEAT and self.run.repeats < self.step.times:
            self._note()
            return self._move(step=0, round=self.run.round + 1, repeats=self.run.repeats + 1)
        if self.step.do is Do.NOTIFY:
            self._notify()
        else:
            self._note()
        return self._go_on()

    def _go_on(self) -> bool:
        wait = self.step.seconds if self.step.do is Do.WAIT else 0.0
        return self._move(step=self.run.step + 1, due_at=self.now + timedelta(seconds=wait))

    def _move(self, **fields: Any) -> bool:
        EscalationRun.objects.filter(pk=self.run.pk).update(**fields)
        return bool(fields.get("due_at", self.now) <= self.now)

    def _note(self, words: str = "", cause: str = "") -> EscalationStep:
        outcome = EscalationStep.Outcome.SKIPPED if cause else EscalationStep.Outcome.DONE
        return EscalationStep.objects.create(
            run=self.run, round=self.run.round, number=self.run.step, words=(words or self.step.words)[:300],
            outcome=outcome, cause=cause, at=self.now,
        )  # fmt: skip

    def _skip(self, cause: Cause, words: str) -> None:
        self._note(words, cause)
        log(self.left.audible, cause, f"{self.run.policy_name}, step {self.run.step + 1}: {words}", self.now)

    def _notify(self) -> None:
        if self.step.whom == "target":
            self._notify_target()
            return
        cause, words, wanted = self._people()
        known = set(people_in(self.run.system_id).filter(pk__in=wanted).values_list("pk", flat=True))
        users = [pk for pk in wanted if pk in known]  # who left the system, or was switched off, is not told
        if not users:
            self._skip(cause, words)
            return
        pages = plan_pages(self._note(words), users, severity=self.left.severity, now=self.now)
        for page in pages:
            if page.cause:
                log(self.left.audible, Cause.NO_CONTACT, f"{words}: no contact method", self.now)
        send_pages(self.run, self.group, self.left, now=self.now)

    def _notify_target(self) -> None:
        target = Target.objects.filter(pk=self.step.who, enabled=True).first()
        if target is None:
            self._skip(Cause.GONE, "notify a target that is gone or switched off")
            return
        plan_target(self._note(f"notify target {target.name}"), target, now=self.now)
        send_pages(self.run, self.group, self.left, now=self.now)

    def _people(self) -> tuple[Cause, str, Sequence[int]]:
        """Return why it would be that nobody is there, what the step is in words, and who is meant."""
        who = cast(int, self.step.who)
        if self.step.whom == "rota":
            rota = Rota.objects.filter(pk=who).first()
            holder = holder_of(rota, self.now) if rota else None
            return Cause.NOBODY_ON_CALL, f"notify rota {rota.name if rota else '(gone)'}", [holder] if holder else []
        if self.step.whom == "team":
            team = Team.objects.filter(pk=who).first()
            members = list(team.members.order_by("pk").values_list("pk", flat=True)) if team else []
            return Cause.GONE, f"notify team {team.name if team else '(gone)'}", members
        user = User.objects.filter(pk=who).first()
        return Cause.GONE, f"notify {user.get_username() if user else '(gone)'}", [user.pk] if user else []


def _pks(runs: QuerySet[EscalationRun]) -> list[int]:
    return list(runs.values_list("pk", flat=True)[:AT_ONCE])
