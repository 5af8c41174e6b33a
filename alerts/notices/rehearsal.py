"""The whole road of notices in memory, with the time passed in: to rehearse a routing, and to prove the rules.

It holds no rule of its own: routes, groups, inhibitions and silences are the same as on the durable road.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alerts.notices.external import Report, merged
from alerts.notices.grouping import KEEP_EMPTY_SECONDS, Member, Reason, Timing, Told, first_due, flush, still_due
from alerts.notices.holding import flap_held
from alerts.notices.inhibition import Firing, Inhibitor
from alerts.notices.matchers import Matcher, all_match
from alerts.notices.routing import Route, Routing
from alerts.notices.silencing import Cause, Muted

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Said:
    """One notification that would have been sent."""

    at: float
    receiver: str
    reason: Reason
    firing: tuple[Labels, ...]
    resolved: tuple[Labels, ...]


@dataclass
class _Group:
    route: Route
    due_at: float
    keys: dict[int, float] = field(default_factory=dict)  # key -> version
    flushed: bool = False
    told: Told | None = None
    empty_since: float | None = None

    def gone(self, now: float) -> bool:
        return self.empty_since is not None and now - self.empty_since >= KEEP_EMPTY_SECONDS


@dataclass
class _Silence:
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float


class Rehearsal:
    """Takes reports in and tells what would have been said until a moment."""

    def __init__(self, routing: Routing, *, hold_flapping: bool = False) -> None:
        self._routing = routing
        self._hold_flapping = hold_flapping
        self._fired: dict[int, list[datetime]] = defaultdict(list)
        self._heard: dict[int, list[datetime]] = defaultdict(list)
        self._reports: dict[int, Report] = {}
        self._groups: dict[str, _Group] = {}
        self._silences: list[_Silence] = []

    def silence(self, matchers: tuple[Matcher, ...], starts_at: float, ends_at: float) -> None:
        """Hide what *matchers* mean from *starts_at* to *ends_at*."""
        self._silences.append(_Silence(matchers, starts_at, ends_at))

    def report(self, report: Report) -> None:
        """Take one alert in, at the moment it was received."""
        key, now = int(report.fingerprint[:15], 16), report.received_at.timestamp()
        known = self._reports[key] = merged(self._reports.get(key), report)
        if not known.resolved(report.received_at):
            self._fired[key].append(report.received_at)
        for route in self._routing.route.match(known.labels):
            self._join(route, key, known, now)

    def until(self, moment: float) -> Iterator[Said]:
        """Let time pass until *moment*; yield what is said on the way, in order."""
        while True:
            name = min(self._groups, key=lambda name: self._groups[name].due_at, default="")
            group = self._groups.get(name)
            if group is None or group.due_at >= moment:
                return
            if group.gone(group.due_at):
                del self._groups[name]
            elif said := self._flush(group, group.due_at):
                yield said

    def _join(self, route: Route, key: int, report: Report, now: float) -> None:
        timing = Timing(route.group_wait, route.group_interval, route.repeat_interval)
        name = f"{route.key}:{sorted(route.group_labels(report.labels).items())}"
        starts_at = report.starts_at.timestamp()
        group = self._groups.get(name)
        if group is None or group.gone(now):
            group = self._groups[name] = _Group(route, first_due(starts_at, timing, now=now))
        else:
            group.due_at = still_due(group.due_at, starts_at, timing, flushed=group.flushed, now=now)
        group.keys[key], group.empty_since = now, None

    def _flush(self, group: _Group, now: float) -> Said | None:
        moment = datetime.fromtimestamp(now, UTC)
        members = [Member(key, not self._reports[key].resolved(moment), at) for key, at in sorted(group.keys.items())]
        receiver = self._routing.receivers.get(group.route.receiver)
        done = flush(
            members, {"": group.told}, self._mute(moment, group.told),
            repeat_interval=group.route.repeat_interval, now=now,
            silent_about_resolved=() if receiver is None or receiver.send_resolved else {""},
        )  # fmt: skip
        group.flushed, group.due_at = True, now + group.route.group_interval
        for member in done.over:
            del group.keys[member.key]
        if not group.keys and group.empty_since is None:
            group.empty_since = now
        notice = done.notices.get("")
        if notice is None:
            return None
        group.told = notice.told(now)
        if notice.quiet:
            return None
        for member in (*notice.firing, *notice.resolved):
            self._heard[member.key].append(moment)
        resolved = self._labels(notice.resolved) if notice.send_resolved else ()
        return Said(now, group.route.receiver, notice.reason, self._labels(notice.firing), resolved)

    def _flaps(self, key: int, moment: datetime) -> bool:
        severity = self._reports[key].severity()
        return flap_held(severity, self._fired[key], self._heard[key], now=moment)

    def _labels(self, members: Sequence[Member]) -> tuple[Labels, ...]:
        return tuple(self._reports[member.key].labels for member in members)

    def _mute(self, moment: datetime, told: Told | None) -> Callable[[Member], Muted | None]:
        now = moment.timestamp()
        active = [each for each in self._silences if each.starts_at <= now < each.ends_at]
        sources = [Firing(key, each.labels) for key, each in self._reports.items() if not each.resolved(moment)]
        inhibitor = Inhibitor(self._routing.inhibitions, sources)

        def mute(member: Member) -> Muted | None:
            labels = self._reports[member.key].labels
            if any(all_match(each.matchers, labels) for each in active):
                return Muted(Cause.SILENCE)
            news = told is None or member.key not in told.firing
            if self._hold_flapping and news and self._flaps(member.key, moment):
                return Muted(Cause.FLAPPING)
            by = inhibitor.inhibited(labels)
            return Muted(Cause.INHIBITED, by.by, by.rule) if by else None

        return mute
