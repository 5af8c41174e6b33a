"""What the pages of signals and events show, in a constant number of queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Case, Count, IntegerField, QuerySet, Value, When
from django.utils import timezone

from subsystems.algedonic import queries as algedonic
from subsystems.algedonic import states
from subsystems.algedonic.models import OPEN_STATES, Signal
from subsystems.event_log.models import ChainHead, PendingEvent
from subsystems.kernel import triggerable
from subsystems.kernel.severity import Severity
from subsystems.kernel.times import moment_text
from subsystems.messaging import queries as messaging
from subsystems.messaging.channels import Channel
from subsystems.recursion.models import System
from subsystems.recursion.queries import Principal
from subsystems.s3_control.models import TaskRun
from subsystems.s3_control.queries import run_body, triggerable_by

SHOWN_SIGNALS = 200  # the most urgent; who has more open has other troubles than a list
VERIFY = "event_log.verify"
# What a page offers to do with an open signal: the word of its address, what the button says, and from which states.
VERBS = {
    "acknowledge": ("Acknowledge", states.ACKNOWLEDGE),
    "respond": ("Responding", states.RESPOND),
    "resolve": ("Resolve", states.RESOLVE),
    "false-alarm": ("False alarm", states.FALSE_ALARM),
}
_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(Severity)), output_field=IntegerField()
)


def open_signals(system: System) -> list[dict[str, Any]]:
    """Return the open signals of *system*, the most severe and newest first, without their data, which may be long."""
    found = algedonic.signals().filter(system=system, state__in=OPEN_STATES).order_by(_RANK, "-raised_at", "-id")
    bodies = [algedonic.signal_body(signal) for signal in found[:SHOWN_SIGNALS]]
    return [{name: value for name, value in body.items() if name != "data"} for body in bodies]


def signal_totals(system: System) -> dict[str, Any]:
    """Return how many signals of *system* are open, and how many of those that hurt by severity."""
    rows = Signal.objects.filter(system=system, state__in=OPEN_STATES).order_by()
    counts = list(rows.values_list("type", "severity").annotate(n=Count("pk")))
    pain = {severity: n for type_, severity, n in counts if type_ == Signal.Type.PAIN}
    return {"all": sum(n for *_, n in counts), "pain": {str(each): pain.get(each, 0) for each in Severity}}


def signals_with_relatives() -> QuerySet[Signal]:
    """Return signals together with those of a child or parent system that tell of the same."""
    return algedonic.signals().select_related("child_signal__system", "parent_signal__system")


def verbs_body() -> dict[str, dict[str, Any]]:
    """Return what may be done with a signal, and in which of its states."""
    return {
        name: {"title": title, "from": [str(state) for state in verb.sources]} for name, (title, verb) in VERBS.items()
    }


def lane_and_channels(*, now: datetime) -> dict[str, Any]:
    """Return how the algedonic lane does and how full each channel of the model is."""
    states_ = messaging.channel_states()
    return {
        "lane": algedonic.lane_body(now=now),
        "channels": [
            {
                "channel": str(channel),
                "backlog": state.backlog,
                "oldest_age_seconds": state.oldest_age_seconds,
                "capacity": state.capacity,
                "utilisation": state.utilisation,
            }
            for channel, state in states_.items()
            if channel is not Channel.PLATFORM
        ],
    }


def may_verify(user: Principal) -> bool:
    """Return whether *user* may have the chain verified."""
    return triggerable_by(user)(triggerable.find(VERIFY))


def chain_body(*, told_all: bool) -> dict[str, Any]:
    """Return where the chain of events ends, what waits for its place, and when it was last proven whole.

    Who verified it and what kept them from it is for those alone who may do it.
    """
    head = ChainHead.objects.first() or ChainHead()
    runs = TaskRun.objects.filter(name=VERIFY).select_related("requested_by")
    newest = runs.first()
    ended = newest if newest is None or newest.finished_at else runs.exclude(finished_at=None).first()
    return {
        "now": moment_text(timezone.now()),
        "head": head.position,
        "pending": PendingEvent.objects.count(),
        "checkpoint": head.checkpoint_position,
        "checkpoint_at": moment_text(head.checkpoint_at),
        "verifying": newest is not None and newest.finished_at is None,
        "last": _verdict(run_body(ended), told_all=told_all) if ended else None,
    }


def _verdict(run: dict[str, Any], *, told_all: bool) -> dict[str, Any]:
    """Return what is to be shown of a run that verified the chain."""
    result = run["result"] or {}
    return {
        "at": run["finished_at"],
        "by": run["requested_by"] if told_all else None,
        "ok": result.get("ok"),
        "checked": result.get("checked"),
        "first_bad_position": result.get("first_bad_position"),
        "findings": len(result.get("findings") or ()),
        "error": run["error"] if told_all or not run["error"] else "an administrator can see why",
    }
