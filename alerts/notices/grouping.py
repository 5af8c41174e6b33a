"""A group of alerts as a state machine: when it is due, what is said to each target, and why, or why not.

The rules are Alertmanager's (its dispatcher and its notification log), which proves them: the same timelines are run
through both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from alerts.notices.silencing import Cause, Muted

KEEP_EMPTY_SECONDS = 30.0  # a group that lost its last alert is forgotten then; one that comes first finds its timers


class Reason(StrEnum):
    """Why something is said."""

    FIRST = "first", "the group's first notification"
    MORE = "more", "an alert fires that was not told before"
    OVER = "over", "every alert of the group is over"
    RESOLVED = "resolved", "an alert of the group is over"
    REPEAT = "repeat", "nothing changed, and the repeat interval is over"

    label: str

    def __new__(cls, value: str, label: str) -> Reason:
        made = str.__new__(cls, value)
        made._value_, made.label = value, label
        return made


@dataclass(frozen=True, slots=True)
class Timing:
    """The three durations of a route, in seconds."""

    group_wait: float = 30.0
    group_interval: float = 300.0
    repeat_interval: float = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Member:
    """An alert within a group. *key* stays the same when it comes back; *version* changes with every change."""

    key: int
    firing: bool
    version: float = 0.0
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What one target was last told of a group: Alertmanager's entry in its notification log."""

    firing: frozenset[int]
    resolved: frozenset[int]
    at: float


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification that is to be sent."""

    reason: Reason
    firing: tuple[Member, ...]
    resolved: tuple[Member, ...]
    send_resolved: bool = True

    @property
    def quiet(self) -> bool:
        """Return whether nothing is to be sent: it is only remembered that all is over."""
        return not self.firing and not self.send_resolved

    def told(self, now: float) -> Told:
        """Return what the target has then been told."""
        return Told(_keys(self.firing), _keys(self.resolved), now)


@dataclass(frozen=True)
class Flush:
    """What a group does when it is due. A target that is not in *notices* hears nothing."""

    notices: Mapping[str, Notice] = field(default_factory=dict)
    muted: Mapping[int, Muted] = field(default_factory=dict)  # by the member's key
    over: tuple[Member, ...] = ()  # members that leave once this is told
    spared: Muted | None = None  # a repetition that nobody needs


def first_due(starts_at: float, timing: Timing, *, now: float) -> float:
    """Return when a new group is due: after the wait, at once where its first alert has waited long already."""
    return still_due(now + timing.group_wait, starts_at, timing, flushed=False, now=now)


def still_due(due_at: float, starts_at: float, timing: Timing, *, flushed: bool, now: float) -> float:
    """Return when a group is due that one more alert joins."""
    return now if not flushed and starts_at + timing.group_wait < now else due_at


def flush(
    members: Sequence[Member],
    told: Mapping[str, Told | None],
    mute: Callable[[Member], Muted | None],
    *,
    repeat_interval: float,
    now: float,
    silent_about_resolved: Collection[str] = (),
) -> Flush:
    """Decide what each target of *told* (None: never told anything) hears of the group now."""
    muted = {member.key: why for member in members if (why := mute(member)) and why.hides(firing=member.firing)}
    firing = tuple(member for member in members if member.firing and member.key not in muted)
    resolved = tuple(member for member in members if not member.firing and member.key not in muted)
    over = tuple(member for member in members if not member.firing)
    notices: dict[str, Notice] = {}
    spared = None
    for target, before in told.items():
        send = target not in silent_about_resolved
        reason = _reason(firing, resolved, before, repeat=repeat_interval, now=now, send_resolved=send)
        if reason is Reason.REPEAT and all(member.acknowledged for member in firing):
            spared = Muted(Cause.ACKNOWLEDGED, detail="somebody looks after every alert of the group")
        elif reason is not None:
            notices[target] = Notice(reason, firing, resolved, send)
    return Flush(notices, muted, over, spared)


def _reason(
    firing: Sequence[Member],
    resolved: Sequence[Member],
    before: Told | None,
    *,
    repeat: float,
    now: float,
    send_resolved: bool,
) -> Reason | None:
    """Return why a target is to hear of the group, or None when it knows all that there is to know."""
    if not firing and not resolved:
        return None
    if before is None:
        return Reason.FIRST if firing else None  # nobody is told that something is over of which they never heard
    if not _keys(firing) <= before.firing:
        return Reason.MORE
    if not firing:
        return Reason.OVER if before.firing else None
    if send_resolved and not _keys(resolved) <= before.resolved:
        return Reason.RESOLVED
    return Reason.REPEAT if before.at < now - repeat else None


def _keys(members: Sequence[Member]) -> frozenset[int]:
    return frozenset(member.key for member in members)
