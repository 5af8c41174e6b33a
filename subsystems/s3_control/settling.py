"""What came of it: effects measured after they had time to show, failures counted, and the end of trying."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from subsystems.algedonic.services import try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Party
from subsystems.s3_control import braking, gauging, permitting, recommending, steering
from subsystems.s3_control.models import Action, Hold, Recommendation

State = Recommendation.State
PATIENCE = timedelta(minutes=5)  # with a metric that is not measured when its effect should show
UNKNOWN_AGAIN = timedelta(seconds=15)
AT_ONCE = 50
DONE = (Action.State.APPLIED, Action.State.VERIFIED)


def is_tending_due(*, now: datetime) -> bool:
    """Return whether the clock has any recommendation to look at."""
    return _due(now).exists() or _unfinished_holds().exists()


def tend(*, now: datetime) -> int:
    """Look at each recommendation whose time has come; return how many."""
    rows = list(_due(now).select_related("fleet", "action").order_by("next_at")[:AT_ONCE])
    for row in rows:
        turn = _without_fleet if _is_without_fleet(row) else TURNS.get(State(row.state), _nothing)
        turn(row, now)
    for hold in _unfinished_holds()[:AT_ONCE]:
        _take_back(hold, now)
    return len(rows)


def _due(now: datetime) -> QuerySet[Recommendation]:
    """Return what is to be looked at: its time has come, or the fleet that it would act on was forgotten."""
    without_fleet = Q(state__in=Recommendation.WAITING, fleet=None) & ~Q(act_kind="")
    return Recommendation.objects.filter(Q(next_at__lte=now) | without_fleet)


def _is_without_fleet(row: Recommendation) -> bool:
    return row.state in Recommendation.WAITING and row.fleet_id is None and bool(row.act_kind)


def _without_fleet(row: Recommendation, now: datetime) -> None:
    _end(row, State.EXPIRED, now, "RecommendationExpired", waits_for="Its fleet is not watched any more.")


def _nothing(row: Recommendation, now: datetime) -> None:
    Recommendation.objects.filter(pk=row.pk, state=row.state).update(next_at=None)


def _proposed(row: Recommendation, now: datetime) -> None:
    if row.expires_at <= now:
        _end(row, State.EXPIRED, now, "RecommendationExpired")
    else:
        recommending.approve_by_itself(row, now=now)


@transaction.atomic
def _deferred(row: Recommendation, now: datetime) -> None:
    deferred = Recommendation.objects.filter(pk=row.pk, state=State.DEFERRED)
    if deferred.update(state=State.PROPOSED, next_at=now, deferred_until=None):
        row.refresh_from_db()
        recommending.note(row, "RecommendationWaitsAgain", actor=steering.PLATFORM)


@transaction.atomic
def _end(row: Recommendation, state: str, now: datetime, type_: str, **fields: Any) -> bool:
    ended = Recommendation.objects.filter(pk=row.pk, state=row.state, settled_at=None)
    if not ended.update(state=state, settled_at=now, next_at=None, **fields):
        return False
    row.refresh_from_db()
    recommending.note(row, type_, actor=steering.PLATFORM)
    return True


def _applied(row: Recommendation, now: datetime) -> None:
    """Measure what came of it; what cannot be measured for minutes is unknown, which is neither good nor bad."""
    found = gauging.gauge(row, now)
    before = row.outcome.get("before")
    stale = braking.staleness(found.age_seconds, row.fresh_seconds)
    if before is None or found.value is None or stale:
        due = (row.applied_at or now) + timedelta(seconds=row.settle_seconds)
        if now < due + PATIENCE:
            Recommendation.objects.filter(pk=row.pk, state=State.APPLIED).update(next_at=now + UNKNOWN_AGAIN)
            return
        outcome = {**row.outcome, "after": None, "why": stale or "It was not measured before."}
        _end(row, State.APPLIED, now, "RecommendationNotVerified", outcome=outcome)
        return
    came = braking.benefit(before, found.value, row.effect["from"], row.effect["to"])
    outcome = {
        **row.outcome, "after": found.value, "after_at": moment_text(now), "predicted": came.predicted,
        "realised": came.realised,
    }  # fmt: skip
    state, type_ = (State.VERIFIED, "Verified") if came.met else (State.FAILED, "Failed")
    if _end(row, state, now, f"Recommendation{type_}", outcome=outcome, score=came.score, met=came.met):
        _stop_if_in_vain(row, now)


def _failed(row: Recommendation, now: datetime) -> None:
    Recommendation.objects.filter(pk=row.pk, state=State.FAILED).update(next_at=None)
    _stop_if_in_vain(row, now)


TURNS = {
    State.PROPOSED: _proposed, State.DEFERRED: _deferred, State.APPLIED: _applied, State.FAILED: _failed,
}  # fmt: skip


# --- The end of trying -----------------------------------------------------------------------------------------------
def failures_of(system_id: int, subject: str) -> int:
    """Return how many of the latest corrections of *subject* failed, since one helped or a hold was released."""
    decided = Recommendation.objects.filter(system_id=system_id, subject=subject, settled_at__isnull=False)
    released = Hold.objects.filter(system_id=system_id, subject=subject, released_at__isnull=False)
    since = released.order_by("-released_at").values_list("released_at", flat=True).first()
    if since is not None:
        decided = decided.filter(decided_at__gt=since)
    return braking.failed_in_a_row(list(decided.order_by("-settled_at").values_list("met", flat=True)[:100]))


def _stop_if_in_vain(row: Recommendation, now: datetime) -> None:
    """After too many failed corrections: hold the subject, undo them, and let it hurt."""
    if row.met is not False:
        return
    limit = permitting.permission(row.system_id, row.act_kind).limits.stop_after
    count = failures_of(row.system_id, row.subject)
    if count < limit:
        return
    hold = _held(row, count, now)
    if hold is not None:
        _take_back(hold, now)


def _held(row: Recommendation, count: int, now: datetime) -> Hold | None:
    """Hold the subject and raise pain, in one transaction; None when it is held already."""
    words = f"{count} corrections of {row.subject} in a row did not help; the last: {row.title}"[:500]
    try:
        with transaction.atomic():
            hold = Hold.objects.create(
                system_id=row.system_id, subject=row.subject, since=now, failures=count, reason=words
            )
            signal = try_to_raise(
                type="pain", source="s3_control", severity="high", origin=Party.S3, system_id=row.system_id, at=now,
                description=words, data={"subject": row.subject, "failures": count, "recommendation": str(row.pk)},
            )  # fmt: skip
            if signal is not None:
                Hold.objects.filter(pk=hold.pk).update(signal_id=signal.pk)
            about = {"subject": row.subject, "failures": count, "recommendation": str(row.pk)}
            append(Stream.CONTROL, "CorrectionsStopped", about, system_id=row.system_id, actor=steering.PLATFORM)
    except IntegrityError:
        return None
    return hold


def _unfinished_holds() -> Any:
    return Hold.objects.filter(undone_at=None)


def _take_back(hold: Hold, now: datetime) -> None:
    """Undo what the platform did in vain, the newest first. A restart in between goes on here."""
    rows = Recommendation.objects.filter(
        system_id=hold.system_id, subject=hold.subject, automatic=True, met=False, state=State.FAILED,
        action__state__in=DONE, action__undone_by=None,
    ).select_related("action__fleet").order_by("-settled_at")  # fmt: skip
    told = [_undone(row, now) for row in rows[: hold.failures]]
    words = " ".join(told)[:500] or "Nothing was left that could be undone."
    Hold.objects.filter(pk=hold.pk, undone_at=None).update(undone_at=now, detail=words)


def _undone(row: Recommendation, now: datetime) -> str:
    assert row.action is not None
    try:
        steering.undo(row.action, by=None, reason="It did not help.", now=now)
    except recommending.UNABLE as error:
        return f"{row.act_kind} on {row.action.target} could not be undone: {error}"
    recommending.mark_undone(row, actor=steering.PLATFORM, now=now)
    return f"{row.act_kind} on {row.action.target} is being undone."
