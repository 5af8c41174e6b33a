"""Where a signal goes, how urgently, and who hears it next when nobody answers (requirements 000-38 to 000-40, 2-6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from subsystems.algedonic.intensity import SignalType
from subsystems.kernel.severity import PRIORITY, Severity
from subsystems.messaging.channels import Channel, Party

TYPE = "algedonic.signal"  # of the message that tells of a signal
CANARY_TYPE = "algedonic.canary"
CANARY_PRIORITY = 10
# Of repeats and reminders at most: a storm of one pain must let the next new one pass.
KNOWN_PRIORITY = PRIORITY[Severity.CRITICAL] - 1
BYPASS = (Severity.CRITICAL, Severity.HIGH)  # 000-63: past S3, up to S5
ROUTES: dict[Severity, tuple[Party, ...]] = {
    Severity.CRITICAL: (Party.S5,),
    Severity.HIGH: (Party.S4, Party.S5),
    Severity.MEDIUM: (Party.S3,),
    Severity.LOW: (),  # only S3's list; no message
}
NEXT: dict[Severity, tuple[Party, ...]] = {  # told one after another while nobody answers
    Severity.CRITICAL: (),
    Severity.HIGH: (Party.S5,),
    Severity.MEDIUM: (Party.S4, Party.S5),
    Severity.LOW: (),
}
TIME_TO_LIVE = {
    Severity.CRITICAL: timedelta(days=7),
    Severity.HIGH: timedelta(days=1),
    Severity.MEDIUM: timedelta(hours=4),
    Severity.LOW: timedelta(hours=1),
}
ANSWER_WITHIN = {
    Severity.CRITICAL: timedelta(seconds=30),
    Severity.HIGH: timedelta(minutes=5),
    Severity.MEDIUM: timedelta(minutes=30),
}
LONGEST_WAIT = timedelta(hours=1)


class HighGoesTo(StrEnum):
    """Both readings of the documents, and their union, which is the default (2-6)."""

    BOTH = "s4_and_s5"
    S4 = "s4"
    S5 = "s5"


_HIGH = {HighGoesTo.BOTH: (Party.S4, Party.S5), HighGoesTo.S4: (Party.S4,), HighGoesTo.S5: (Party.S5,)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one signal. *recipients* each get a message of their own; nobody for one that is only listed."""

    severity: Severity
    recipients: tuple[Party, ...]
    channel: Channel
    priority: int
    time_to_live: timedelta
    answer_within: timedelta | None
    escalation_path: tuple[Party, ...]


def plan(type_: SignalType, severity: Severity, high_goes_to: HighGoesTo = HighGoesTo.BOTH) -> Plan:
    """Return where a signal goes; raising one and the dry run both ask here."""
    return Plan(
        severity=severity,
        recipients=told_at(severity, 0, high_goes_to),
        channel=Channel.ALGEDONIC,
        priority=PRIORITY[severity],
        time_to_live=TIME_TO_LIVE[severity],
        answer_within=answer_within(type_, severity, 0),
        escalation_path=escalation_path(severity, high_goes_to),
    )


def told_at(severity: Severity, level: int, high_goes_to: HighGoesTo = HighGoesTo.BOTH) -> tuple[Party, ...]:
    """Return who is told at an escalation level; past the top of the path it is the top again and again."""
    first = _HIGH[high_goes_to] if severity is Severity.HIGH else ROUTES[severity]
    if level == 0 or not first:
        return first
    steps = NEXT[severity] or first
    return (steps[min(level, len(steps)) - 1],)


def answer_within(type_: SignalType, severity: Severity, level: int) -> timedelta | None:
    """Return how long an answer may take at *level*; None where none is expected: to pleasure, and to what is low.

    Once the top has been told, each further wait is twice the last, an hour at most: told again, but not all day long.
    """
    base = ANSWER_WITHIN.get(severity)
    if base is None or type_ is SignalType.PLEASURE:
        return None
    doublings = min(max(0, level - len(NEXT[severity])), 20)
    return max(base, min(base * float(2**doublings), LONGEST_WAIT))


def escalation_path(severity: Severity, high_goes_to: HighGoesTo = HighGoesTo.BOTH) -> tuple[Party, ...]:
    """Return everybody who hears of a signal that nobody answers, in order."""
    return tuple(dict.fromkeys([*told_at(severity, 0, high_goes_to), *NEXT[severity]]))
