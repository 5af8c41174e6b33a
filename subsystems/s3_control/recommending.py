"""The closed loop: what is recommended is decided, becomes an action, and is judged by what it brought.

A recommendation is approved by a person, or by the platform within what S5 permits; its data is looked at when it is
proposed, when it is approved and when the action begins. `settling.py` measures what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.messaging.live import push
from subsystems.s1_operations.adapters.celery_control import FleetUnreachable
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s2_coordination import damping
from subsystems.s3_control import acts, braking, effects, gauging, permitting, steering
from subsystems.s3_control.models import Action, Hold, Recommendation
from subsystems.s3_control.queries import recommendation_body

State = Recommendation.State
WRITER = "s3_control"  # as S2 knows it
UNABLE = (Refused, FleetUnreachable, CannotOpen)  # a fleet that does not answer is asked again later
EXPIRES_AFTER = timedelta(hours=24)
ADVICE_LASTS = timedelta(minutes=10)  # of whoever looks again: the next look says it anew
LONGEST_DEFERRAL = timedelta(days=30)
SETTLE_SECONDS = 120.0
FRESH_SECONDS = 60.0


# --- Advising --------------------------------------------------------------------------------------------------------
def recommend(
    *,
    system_id: int,
    kind: str,
    source: str,
    subject: str,
    title: str,
    reason: str = "",
    author: str = "",
    key: str = "",
    fleet: Fleet | None = None,
    act: Mapping[str, Any] | effects.ActAsked | None = None,
    expected_effect: Mapping[str, Any] | effects.Effect | None = None,
    evidence: Mapping[str, Any] | None = None,
    measured_at: datetime | None = None,
    fresh_seconds: float = FRESH_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
    expires_at: datetime | None = None,
    by_itself: bool = True,
    now: datetime | None = None,
) -> Recommendation:
    """Advise something; return its row, the earlier one when *key* was said before in this system.

    *source* is `s3`, `s4`, `pattern` or `person`; *subject* names what it is about, a queue or a pool say: of one
    subject one correction is made at a time. *act* (`kind`, `target`, `parameters`) is what would be done to *fleet*;
    *expected_effect* (`metric`, `source`, `from`, `to`, `unit`) is how it will be judged; *measured_at* is the newest
    data it rests on; without *by_itself* a person decides, whatever S5 permits. Raises Invalid naming the field,
    Refused (`stale`) for an act that rests on data older than *fresh_seconds* or on none.
    """
    now = now or timezone.now()
    if key and (said := Recommendation.objects.filter(system_id=system_id, key=key).first()) is not None:
        return said
    wanted, promised = effects.act_of(act), effects.effect_of(expected_effect)
    _check(kind, source, subject, title, fleet, wanted, system_id)
    expires_at = expires_at or now + EXPIRES_AFTER
    if expires_at <= now:
        raise Invalid("It would have expired already.", field="expires_at")
    if wanted is not None and source != Recommendation.Source.PERSON:
        _refuse_stale(measured_at, fresh_seconds, now)
    row = Recommendation(
        system_id=system_id, fleet=fleet, kind=kind, source=source, author=author[:150], subject=subject, title=title,
        reason=reason[:1000], key=key or None, evidence=dict(evidence or {}), measured_at=measured_at,
        effect=promised.body() if promised else {}, fresh_seconds=fresh_seconds, settle_seconds=settle_seconds,
        created_at=now, expires_at=expires_at, next_at=expires_at, by_itself=by_itself,
    )  # fmt: skip
    if wanted is not None:
        row.act_kind, row.act_target, row.act_parameters = wanted.kind, wanted.target, wanted.parameters
        if by_itself and permitting.permission(system_id, wanted.kind).mode == "auto":
            row.next_at = now
    return _written(row)


@transaction.atomic
def _written(row: Recommendation) -> Recommendation:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:  # somebody said it at the same moment
        return Recommendation.objects.get(system_id=row.system_id, key=row.key)
    note(row, "RecommendationProposed", actor=row.author or row.source)
    return row


def _check(
    kind: str, source: str, subject: str, title: str, fleet: Fleet | None, act: effects.ActAsked | None, system_id: int
) -> None:
    if kind not in Recommendation.Kind.values:
        raise Invalid(f"The kinds are {', '.join(Recommendation.Kind.values)}.", field="kind")
    if source not in Recommendation.Source.values:
        raise Invalid(f"The sources are {', '.join(Recommendation.Source.values)}.", field="source")
    for name, text, most in (("subject", subject, 200), ("title", title, 200)):
        if not text.strip() or len(text) > most or not text.isprintable():
            raise Invalid(f"The {name} has 1 to {most} printable characters.", field=name)
    if act is None:
        return
    if act.kind not in acts.ACTS:
        raise Invalid(f"The kinds of acts are {', '.join(acts.ACTS)}.", field="act.kind")
    if fleet is None:
        raise Invalid("An act is done to a fleet: name it.", field="fleet")
    if fleet.system_id != system_id:
        raise Invalid("The fleet belongs to another system.", field="fleet")


def _refuse_stale(measured_at: datetime | None, fresh_seconds: float, now: datetime) -> None:
    age = None if measured_at is None else (now - measured_at).total_seconds()
    if why := braking.staleness(age, fresh_seconds):
        raise Refused(why, code="stale", field="measured_at")


@dataclass(frozen=True)
class Advice:
    """What somebody who looks again and again would advise now."""

    title: str
    reason: str
    effect: Mapping[str, Any]
    act: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def keep_advice(
    *,
    system_id: int,
    subject: str,
    author: str,
    fleet: Fleet | None,
    wanted: Advice | None,
    measured_at: datetime | None,
    by_itself: bool,
    settle_seconds: float,
    why: str = "",
    now: datetime,
) -> Recommendation | None:
    """Advise what *author* wants of a subject now, once; advice that does not fit any more is withdrawn, with *why*.

    Return what waits for a decision; None for nothing, while a correction is under way, or on data that became stale.
    """
    mine = Recommendation.objects.filter(system_id=system_id, subject=subject, author=author)
    if mine.filter(state__in=Recommendation.UNDER_WAY, settled_at=None).exists():
        return None
    waiting = mine.filter(state=State.PROPOSED).select_related("fleet").first()
    if waiting is not None:
        if wanted is not None and _says_the_same(waiting, wanted):
            return waiting
        _withdraw(waiting, why, author, now)
    if wanted is None:
        return None
    try:
        return recommend(
            system_id=system_id, kind="resource", source="s3", author=author, subject=subject,
            title=wanted.title[:200], reason=wanted.reason, fleet=fleet, act=wanted.act, expected_effect=wanted.effect,
            measured_at=measured_at, expires_at=now + ADVICE_LASTS, now=now, settle_seconds=settle_seconds,
            evidence=wanted.evidence, by_itself=by_itself,
        )  # fmt: skip
    except Refused:
        return None  # what was seen became stale, or cannot be acted on


def _says_the_same(row: Recommendation, wanted: Advice) -> bool:
    act = wanted.act or {}
    said = act.get("kind", ""), act.get("target", ""), dict(act.get("parameters") or {})
    return (row.act_kind, row.act_target, row.act_parameters) == said and (bool(act) or row.title == wanted.title)


@transaction.atomic
def _withdraw(row: Recommendation, why: str, author: str, now: datetime) -> None:
    waiting = Recommendation.objects.filter(pk=row.pk, state=State.PROPOSED)
    if waiting.update(state=State.EXPIRED, settled_at=now, next_at=None, waits_for=why[:500]):
        row.refresh_from_db()
        note(row, "RecommendationExpired", actor=author)


# --- Deciding --------------------------------------------------------------------------------------------------------
def approve(
    row: Recommendation, *, by: User, reason: str = "", via: str = "", now: datetime | None = None
) -> Recommendation:
    """Let a person approve; what it proposes becomes an action. Without an act it counts as done by that person.

    Raises Refused (`stale`, `held`, `busy`, `decided`, `cannot`), Forbidden, and FleetUnreachable; then nothing
    changed.
    """
    now = now or timezone.now()
    _refuse_decided(row, now)
    if Hold.objects.filter(system_id=row.system_id, subject=row.subject, released_at=None).exists():
        raise Refused("It is held: corrections of it failed again and again. Release the hold first.", code="held")
    if why := _stale(row, now):
        raise Refused(why, code="stale")
    return _apply(row, by=by, reason=reason, via=via, now=now)


def approve_by_itself(
    row: Recommendation, *, now: datetime, since: datetime | None = None, extra: float | None = None
) -> bool:
    """Approve what S5 leaves to the platform, if nothing speaks against it; else say in the row what it waits for.

    S2 is told *since* when it has been wanted without a break, at least since it was advised, and how much *extra*
    there is.
    """
    found = gauging.judged(row, now=now)
    if not found.allowed:
        _wait(row, found, now)
        return False
    way = acts.direction(row.act_kind)
    since = since or row.created_at
    clearance = damping.clear(row.system_id, row.subject, way, now, writer=WRITER, since=since, extra=extra)
    if not clearance.allowed:
        _wait(row, braking.Verdict(False, f"S2: {clearance.reason}", clearance.retry_at), now)
        return False
    done = False
    try:
        _apply(row, by=None, reason="Within the limits of policy.", via="", now=now)
        done = True
    except UNABLE as error:
        _wait(row, braking.Verdict(False, str(error), now + 4 * braking.AGAIN), now)
    finally:
        size = acts.magnitude(row.act_kind, row.act_parameters)
        told: dict[str, Any] = {"token": clearance.token, "done": done, "writer": WRITER, "magnitude": size}
        damping.note(row.system_id, row.subject, way, now, since=since, **told)
    return done


def _wait(row: Recommendation, found: braking.Verdict, now: datetime) -> None:
    again = row.expires_at if found.retry_at is None else min(row.expires_at, max(found.retry_at, now + braking.AGAIN))
    waiting = Recommendation.objects.filter(pk=row.pk, state=State.PROPOSED)
    if waiting.update(waits_for=found.why[:500], next_at=again) and found.why != row.waits_for:
        row.waits_for = found.why[:500]
        show(row)


def _apply(row: Recommendation, *, by: User | None, reason: str, via: str, now: datetime) -> Recommendation:
    """Claim the recommendation and its subject, and record the action, all or nothing."""
    action = _prepared(row, by, via, now)  # asks the fleet itself: before anything is written
    if action is not None and (other := gauging.busy(row)):
        raise Refused(other, code="busy")
    actor = steering.PLATFORM if by is None else by.get_username()
    fields: dict[str, Any] = {
        "state": State.APPLIED if action is None else State.APPROVED, "decided_by": actor[:150], "decided_at": now,
        "decided_why": reason.strip()[:500], "automatic": by is None, "waits_for": "", "next_at": None,
        "outcome": gauging.before(row, now),
    }  # fmt: skip
    if action is None:
        fields |= {"applied_at": now, **_settling(row, now)}
    with transaction.atomic():
        _claim(row, fields)
        if action is not None:
            steering.record(action)
            Recommendation.objects.filter(pk=row.pk).update(action=action)
        row.refresh_from_db()
        note(row, "RecommendationApproved", actor=actor)
    if by is not None and action is not None:  # what follows automatically is damped against it
        way, size = acts.direction(row.act_kind), acts.magnitude(row.act_kind, row.act_parameters)
        damping.note(row.system_id, row.subject, way, now, writer=actor[:100], magnitude=size)
    return row


def _prepared(row: Recommendation, by: User | None, via: str, now: datetime) -> Action | None:
    if not row.act_kind:
        return None
    if row.fleet is None:
        raise Refused("The fleet is not watched any more.", code="cannot")
    words = f"Recommended: {row.title}"
    asked = steering.Request(row.fleet, row.act_kind, row.act_target, row.act_parameters, words, via=via)
    return steering.prepare(asked, by=by, now=now)


def _claim(row: Recommendation, fields: Mapping[str, Any]) -> None:
    try:
        with transaction.atomic():
            waiting = Recommendation.objects.filter(pk=row.pk, state__in=Recommendation.WAITING)
            if not waiting.update(**fields):
                raise Refused("Somebody has decided it before.", code="decided")
    except IntegrityError:
        raise Refused("Another correction of the same is under way: one at a time.", code="busy") from None


def _settling(row: Recommendation, now: datetime) -> dict[str, Any]:
    """Return when what came of it is measured; without an effect there is nothing to wait for."""
    if row.effect:
        return {"next_at": now + timedelta(seconds=row.settle_seconds)}
    return {"settled_at": now, "next_at": None}


def refuse(row: Recommendation, *, by: User, reason: str, now: datetime | None = None) -> Recommendation:
    """Decide against it, with a reason, from which who advises can learn. Raises Invalid, Refused (`decided`)."""
    now = now or timezone.now()
    if not reason.strip():
        raise Invalid("Say why: whoever advised it learns from that.", field="reason")
    return _decide(row, State.REFUSED, by, reason, now, settled_at=now, next_at=None)


def defer(
    row: Recommendation, *, by: User, until: datetime, reason: str = "", now: datetime | None = None
) -> Recommendation:
    """Put the decision off; at *until* it waits again. Raises Invalid naming `until`, Refused (`decided`)."""
    now = now or timezone.now()
    if not now < until <= now + LONGEST_DEFERRAL:
        raise Invalid("It is deferred to a moment within the next 30 days.", field="until")
    longer = max(row.expires_at, until + EXPIRES_AFTER)
    return _decide(row, State.DEFERRED, by, reason, now, deferred_until=until, next_at=until, expires_at=longer)


def undo(
    row: Recommendation, *, by: User, reason: str = "", via: str = "", now: datetime | None = None
) -> Recommendation:
    """Reverse what was applied, as an action of its own. Raises Refused when there is nothing to reverse."""
    now = now or timezone.now()
    if row.action is None or row.state not in {State.APPLIED, State.VERIFIED, State.FAILED}:
        raise Refused("Nothing was applied that could be undone.", code="not_done")
    steering.undo(row.action, by=by, reason=reason, via=via, now=now)
    mark_undone(row, actor=by.get_username(), now=now)
    return row


@transaction.atomic
def mark_undone(row: Recommendation, *, actor: str, now: datetime) -> None:
    """Write down that what was applied is being reversed."""
    settled = row.settled_at or now
    Recommendation.objects.filter(pk=row.pk).update(state=State.UNDONE, settled_at=settled, next_at=None)
    row.refresh_from_db()
    note(row, "RecommendationUndone", actor=actor)


@transaction.atomic
def _decide(row: Recommendation, state: str, by: User, reason: str, now: datetime, **fields: Any) -> Recommendation:
    _refuse_decided(row, now)
    told = {
        "state": state, "decided_by": by.get_username()[:150], "decided_at": now, "decided_why": reason.strip()[:500],
        **fields,
    }  # fmt: skip
    if not Recommendation.objects.filter(pk=row.pk, state__in=Recommendation.WAITING).update(**told):
        raise Refused("Somebody has decided it before.", code="decided")
    row.refresh_from_db()
    note(row, f"Recommendation{state.title()}", actor=by.get_username())
    return row


def _refuse_decided(row: Recommendation, now: datetime) -> None:
    if row.state not in Recommendation.WAITING:
        raise Refused(f"It is decided already: {row.get_state_display().lower()}.", code="decided")
    if row.expires_at <= now:
        raise Refused("It has expired.", code="decided")


@transaction.atomic
def release(hold: Hold, *, by: User, now: datetime | None = None) -> bool:
    """Let a subject be corrected again; return False when somebody has."""
    now = now or timezone.now()
    held = Hold.objects.filter(pk=hold.pk, released_at=None)
    if not held.update(released_at=now, released_by=by.get_username()[:150]):
        return False
    about = {"subject": hold.subject, "failures": hold.failures}
    append(Stream.CONTROL, "HoldReleased", about, system_id=hold.system_id, actor=by.get_username()[:150])
    waiting = Recommendation.objects.filter(system_id=hold.system_id, subject=hold.subject, state=State.PROPOSED)
    waiting.exclude(waits_for="").update(next_at=now)
    return True


# --- What the action says --------------------------------------------------------------------------------------------
def unfit(action: Action, *, now: datetime) -> str:
    """Return why a recommended action must not begin now, however short ago it was approved; empty when it may."""
    row = Recommendation.objects.filter(action=action).first()
    if row is None:
        return ""
    if Hold.objects.filter(system_id=row.system_id, subject=row.subject, released_at=None).exists():
        return "Not done: it is held, because corrections failed again and again."
    mode = permitting.permission(row.system_id, row.act_kind).mode
    if mode == "never" or (row.automatic and mode != "auto"):
        return "Not done: policy has changed since it was approved."
    why = _stale(row, now)
    return f"Not done: {why}" if why else ""


def _stale(row: Recommendation, now: datetime) -> str:
    """Return why the data that an act rests on is too old: what it should change, else what it was advised on.

    What a person proposed without an effect rests on what the person knows.
    """
    if not row.act_kind or (not row.effect and row.source == Recommendation.Source.PERSON):
        return ""
    return braking.staleness(gauging.gauge(row, now).age_seconds, row.fresh_seconds)


def follow(action: Action, *, now: datetime) -> None:
    """Take over how an action ended, in the caller's transaction."""
    row = Recommendation.objects.filter(action=action, state=State.APPROVED).first()
    if row is None:
        return
    fields: dict[str, Any]
    if action.state == Action.State.FAILED:
        fields = {
            "state": State.FAILED, "met": False, "settled_at": now, "next_at": now,
            "outcome": {**row.outcome, "why": action.detail},
        }  # fmt: skip
    else:
        fields = {"state": State.APPLIED, "applied_at": now, **_settling(row, now)}
    Recommendation.objects.filter(pk=row.pk).update(**fields)
    row.refresh_from_db()
    note(row, "RecommendationFailed" if row.state == State.FAILED else "RecommendationApplied", actor=action.actor)


# --- Telling ---------------------------------------------------------------------------------------------------------
LOGGED = (
    "id", "kind", "source", "subject", "title", "state", "act", "expected_effect", "decided_by", "decided_why",
    "automatic", "outcome", "score",
)  # fmt: skip


def note(row: Recommendation, type_: str, *, actor: str) -> None:
    """Record in the event log what became of a recommendation, and tell open dashboards."""
    body = recommendation_body(row)
    append(
        Stream.CONTROL, type_, {name: body[name] for name in LOGGED}, system_id=row.system_id, actor=actor[:150],
        correlation_id=str(row.pk),
    )  # fmt: skip
    show(row)


def show(row: Recommendation) -> None:
    """Tell open dashboards how far *row* is, after the commit."""
    system_id, key, body = row.system_id, str(row.pk), {"state": str(row.state), "waits_for": row.waits_for}
    transaction.on_commit(lambda: push(system_id, "recommendation", key, body))
