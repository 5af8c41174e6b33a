"""Raising signals, and telling the next one when nobody answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from subsystems.algedonic import emission, lifecycle, queries, routes
from subsystems.algedonic.aggregation import detect
from subsystems.algedonic.intensity import Felt, SignalType, felt, parsed_type
from subsystems.algedonic.models import OPEN_STATES, CanaryRun, Signal, SignalNote, SignalPattern
from subsystems.algedonic.routes import KNOWN_PRIORITY, HighGoesTo, Plan
from subsystems.kernel import plug_ins
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.severity import Severity
from subsystems.messaging import handlers, slots
from subsystems.messaging import queries as messaging
from subsystems.messaging.channels import Party
from subsystems.messaging.envelope import MAX_BYTES, encoded
from subsystems.messaging.limits import RateLimited
from subsystems.messaging.models import Message
from subsystems.messaging.pressure import CROWDED, ChannelFull
from subsystems.messaging.rejections import record_rejection
from subsystems.messaging.services import publish
from subsystems.recursion.queries import root_system

logger = logging.getLogger(__name__)
KEEP = timedelta(days=30)
KEEP_CANARIES = timedelta(hours=1)
MAX_SOURCE, MAX_DESCRIPTION = 200, 2_000
MAX_DATA_BYTES = MAX_BYTES - 16 * 1024  # room for what else the message says
AT_ONCE = 200
PLUG_IN, CHANNEL = "plug-in ", "channel "  # begin the sources of pain about one
ROOM_AGAIN = 0.7  # of a channel; below the use at which it hurts, so that it does not hurt again and again
FULL = (RateLimited, ChannelFull)


# --- Raising ----------------------------------------------------------------------------------------------------------
def raise_signal(
    *,
    type: str,
    source: str,
    severity: str | None = None,
    intensity: float | None = None,
    data: Mapping[str, Any] | None = None,
    system_id: int | None = None,
    description: str = "",
    origin: Party = Party.S1,
    at: datetime | None = None,
    child_signal: Signal | None = None,
    hop_count: int = 0,
    actor: str = "",
) -> Signal | None:
    """Raise pain or pleasure in the caller's transaction; return the signal, or None for what is too faint to be felt.

    A severity is taken as it is, an intensity of 0 to 1 alone is judged by the thresholds of the system (the root one
    unless told); *actor* is the person who raises it. Of identical critical signals the open one is returned and
    counts them. Raises Invalid naming the field, RateLimited or ChannelFull (never for critical), and then nothing was
    written but the count of those refused.
    """
    system_id = system_id or root_system().pk
    policy = queries.policy_of(system_id)
    known = parsed_type(type)
    found = felt(known, severity, intensity, queries.thresholds(policy))
    if found is None:
        return None
    plan = queries.plan_of(policy, known, found.severity)
    signal = _new(known, found, plan, at or timezone.now())
    signal.system_id, signal.origin = system_id, origin
    signal.source, signal.description, signal.data = _source(source), _description(description), _data(data)
    signal.child_signal, signal.hop_count = child_signal, hop_count
    signal.fingerprint = emission.fingerprint(signal)
    return _raise(signal, plan, actor)


def try_to_raise(**fields: Any) -> Signal | None:
    """Raise a signal as a side effect: a limit that refuses it is recorded and must not stop what the caller does."""
    try:
        return raise_signal(**fields)
    except FULL as error:
        logger.warning("A signal from %s was refused: %s", fields.get("source"), error.detail)
        record_rejection(error)
        return None


def _new(type_: SignalType, found: Felt, plan: Plan, at: datetime) -> Signal:
    return Signal(
        type=type_,
        severity=found.severity,
        intensity=found.intensity,
        raised_at=at,
        last_seen_at=at,
        expires_at=at + plan.time_to_live,
        deadline_at=None if plan.answer_within is None else at + plan.answer_within,
    )


def _raise(signal: Signal, plan: Plan, actor: str) -> Signal:
    twin = _open_twin(signal)
    if twin is not None:
        _repeat(signal, twin, plan, actor)
        return twin
    try:
        with transaction.atomic():
            emission.emit(signal, plan, actor)
    except FULL:
        _count_refused(signal)
        raise
    if not plan.recipients:
        transaction.on_commit(lambda: _note_listed(signal), robust=True)
    return signal


def _open_twin(signal: Signal) -> Signal | None:
    """Return the open critical signal that says the same; what a child passes on is never grouped."""
    if signal.severity != Severity.CRITICAL or signal.child_signal is not None:
        return None
    twins = Signal.objects.filter(fingerprint=signal.fingerprint, state__in=OPEN_STATES, aggregate=False)
    return twins.filter(severity=Severity.CRITICAL).first()


@transaction.atomic
def _repeat(signal: Signal, twin: Signal, plan: Plan, actor: str) -> None:
    """Tell S5 that an open critical signal was felt again: an event and a message, but no second row.

    S5's handler counts, one message after another: here a counter would lock the row for as long as the caller's
    transaction lasts.
    """
    emission.append_emitted(signal, plan, repeat_of=twin.pk, actor=actor)
    publish(
        emission.envelope(signal, Party.S5, KNOWN_PRIORITY, repeat_of=twin.pk),
        system_id=signal.system_id,
        limited=False,
    )


def _count_refused(signal: Signal) -> None:
    """Count on the newest similar signal that the limit refused one more: what is suppressed stays visible (2-28)."""
    similar = Signal.objects.filter(system_id=signal.system_id, source=signal.source, type=signal.type)
    newest = similar.order_by("-raised_at").values_list("pk", flat=True).first()
    Signal.objects.filter(pk=newest).update(suppressed_count=F("suppressed_count") + 1)


def _note_listed(signal: Signal) -> None:
    """Count a low signal, which no handler hears, and look for its pattern.

    After the commit, so that callers who raise several in one transaction never wait for each other's locks.
    """
    with transaction.atomic():
        emission.count_in(signal)
        detect(signal, at=signal.raised_at)
        emission.told(signal.pk, emission.LISTED_WITH, 0)


def _source(source: object) -> str:
    if not isinstance(source, str) or not source.strip() or len(source) > MAX_SOURCE or not source.isprintable():
        raise Invalid(f"A source is a text of 1 to {MAX_SOURCE} printable characters.", field="source")
    return source.strip()


def _description(description: object) -> str:
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
        raise Invalid(f"A description is a text of at most {MAX_DESCRIPTION:,} characters.", field="description")
    encoded(description, "description")
    return description


def _data(data: Mapping[str, Any] | None) -> dict[str, Any]:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise Invalid("The data of a signal is an object.", field="data")
    size = len(encoded(data, "data"))
    if size > MAX_DATA_BYTES:
        raise Invalid(f"is {size:,} bytes; {MAX_DATA_BYTES:,} at most", field="data", code="too_large")
    return dict(data)


# --- Nobody answers ---------------------------------------------------------------------------------------------------
def escalate_due(*, now: datetime) -> int:
    """Tell the next one of each signal whose deadline has passed unanswered; return how many.

    Two at the same time do no harm: each level of each signal is claimed by one UPDATE.
    """
    due = queries.escalations_due(now).order_by("deadline_at")
    return sum(escalate(signal, now=now) for signal in list(due[:AT_ONCE]))


def escalate(signal: Signal, *, now: datetime) -> bool:
    """Raise *signal* one level, its severity unchanged; return False when it was answered or somebody else did.

    A channel that is full leaves it due: the next second tries again.
    """
    level, severity = signal.escalation_level + 1, Severity(signal.severity)
    within = routes.answer_within(SignalType(signal.type), severity, level)
    policy = queries.policy_of(signal.system_id)
    parties = routes.told_at(severity, level, HighGoesTo(policy.high_goes_to))
    try:
        with transaction.atomic():
            mine = Signal.objects.filter(
                pk=signal.pk, state=Signal.State.RECEIVED, escalation_level=level - 1, deadline_at__lte=now
            )
            if not mine.update(escalation_level=level, deadline_at=None if within is None else now + within):
                return False
            signal.escalation_level = level
            emission.tell_parties(signal, parties, level=level, at=now)
            _note_escalation(signal, parties, level, now)
    except FULL as error:
        logger.warning("%s could not be escalated: %s", signal, error.detail)
        return False
    return True


def _note_escalation(signal: Signal, parties: tuple[Party, ...], level: int, now: datetime) -> None:
    words = f"Nobody answered in time: level {level}, told {', '.join(parties)}."
    state = Signal.State.RECEIVED
    SignalNote.objects.create(signal=signal, at=now, from_state=state, to_state=state, comment=words)
    emission.append(
        signal, "AlgedonicSignalEscalated", {"level": level, "told": [str(party) for party in parties]},
        at=now, actor=str(Party.PLATFORM),
    )  # fmt: skip
    emission.show(signal.pk)


# --- What the platform feels of itself --------------------------------------------------------------------------------
def tell_of_plug_ins(*, now: datetime) -> None:
    """Raise pain about each plug-in that this process could not load; end that of those that it could.

    The rest of the platform goes on without them: who should have heard a message is found among the dead letters, and
    can hear it once its module loads.
    """
    handlers.discover()
    broken = {
        f"{PLUG_IN}{name}"[:MAX_SOURCE]: (Severity.HIGH, f"It could not be loaded; the rest goes on without it. {why}")
        for name, why in plug_ins.broken().items()
    }
    _keep_told(PLUG_IN, broken, set(broken), over="It could be loaded.", now=now)


def tell_of_channels(*, now: datetime) -> None:
    """Raise pain about each channel that is filling up, critical where no room is left; end it when there is room."""
    used = {f"{CHANNEL}{channel}": state for channel, state in messaging.channel_states().items()}
    crowded = {
        source: (
            Severity.CRITICAL if state.utilisation >= 1 else Severity.HIGH,
            f"{state.backlog:,} messages are open, {state.utilisation:.0%} of what it may hold; the oldest is"
            f" {state.oldest_age_seconds:.0f} s old. Senders are slowed down and refused by severity.",
        )
        for source, state in used.items()
        if state.utilisation >= CROWDED
    }
    still = {source for source, state in used.items() if state.utilisation >= ROOM_AGAIN}
    _keep_told(CHANNEL, crowded, still, over="There is room again.", now=now)


def _keep_told(
    prefix: str, hurts: Mapping[str, tuple[Severity, str]], still: AbstractSet[str], *, over: str, now: datetime
) -> None:
    """Have an open pain for each source of *hurts*, and none for those not *still* so; one process a minute does it."""
    system_id = root_system().pk
    known = Signal.objects.filter(system_id=system_id, source__startswith=prefix, state__in=OPEN_STATES)
    told: dict[str, set[str]] = {}
    for source, severity in known.filter(type=Signal.Type.PAIN, aggregate=False).values_list("source", "severity"):
        told.setdefault(source, set()).add(severity)
    new = [source for source, (severity, _) in hurts.items() if not told.get(source, set()) & {severity, "critical"}]
    gone = told.keys() - still - hurts.keys()
    if not (new or gone) or slots.claim_slot(f"algedonic.told:{prefix}", 60, now=now, scheduled=False) is None:
        return
    for source in gone:
        settle(source, system_id=system_id, now=now, why=over)
    for source in new:
        severity, words = hurts[source]
        try_to_raise(type="pain", source=source, severity=severity, description=words, origin=Party.PLATFORM)


# --- Ending and forgetting --------------------------------------------------------------------------------------------
def settle(source: str, *, system_id: int, now: datetime, why: str) -> int:
    """End the open pains of *source* whose cause has passed by itself; return how many."""
    pains = Signal.objects.filter(
        system_id=system_id, source=source, type=Signal.Type.PAIN, state__in=OPEN_STATES, aggregate=False
    )
    return sum(end_by_itself(signal, now=now, why=why) for signal in pains[:AT_ONCE])


def end_by_itself(signal: Signal, *, now: datetime, why: str) -> bool:
    """Resolve a signal in the platform's own name; return False when it was over already."""
    try:
        lifecycle.resolve(signal, None, why, now=now)
    except Refused:
        return False
    return True


def end_expired(*, now: datetime) -> int:
    """End what expects no answer (pleasure, low pain) once its time to live is over; return how many."""
    over = Signal.objects.filter(state=Signal.State.RECEIVED, deadline_at=None, expires_at__lte=now)
    why = "Its time to live is over."
    return sum(end_by_itself(signal, now=now, why=why) for signal in over.order_by("expires_at")[:AT_ONCE])


def forget_history(*, now: datetime) -> int:
    """Delete signals that ended 30 days ago, old canaries and idle patterns; return the number of signals."""
    old = CanaryRun.objects.filter(sent_at__lt=now - KEEP_CANARIES)
    Message.objects.filter(id__in=list(old.values_list("pk", flat=True)[:20_000])).delete()
    old.delete()
    SignalPattern.objects.filter(noted_at__lt=now - KEEP).delete()
    ended = Signal.objects.filter(raised_at__lt=now - KEEP).exclude(state__in=OPEN_STATES)
    keys = list(ended.values_list("pk", flat=True)[:20_000])
    Signal.objects.filter(pk__in=keys).delete()
    return len(keys)
