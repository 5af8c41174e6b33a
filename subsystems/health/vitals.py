"""The vitals of S1 to S5: from what each is scored, and in words why it cannot be (002-30, 002-31, 3.7).

Each function takes what was measured and returns a `Vital`; a score of None is unknown and says what was missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from subsystems.health.viability import Check
from subsystems.kernel.health import band, mean_known
from subsystems.kernel.words import TITLES, Subsystem

FULL_CAPACITY_UNITS = 10  # 002-31
LOOP_ALIVE_SECONDS = 15.0  # three collection periods
ON_SCHEDULE_SECONDS = 15.0  # a fleet heard within three collection periods counts fully,
FORGOTTEN_SECONDS = 300.0  # one unheard for this long not at all: what is known of it grows old, it is not lost at once
RESOURCES = ("cpu", "memory", "disk")


@dataclass(frozen=True, slots=True)
class Vital:
    """One subsystem's score in 0-1 (None: unknown), the measures it was made from and what they mean."""

    score: float | None
    reason: str
    measures: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        status = str(band(self.score))
        return {"score": self.score, "status": status, "reason": self.reason, "measures": dict(self.measures)}


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """The units that are watched, aggregated; paused and gone ones are not among them."""

    count: int = 0
    known: int = 0
    silent: int = 0
    average: float | None = None
    below_half: int = 0
    at_most_half: int = 0


@dataclass(frozen=True, slots=True)
class SlotMark:
    """One claimed slot of a periodic job; times are epoch seconds."""

    job: str
    slot: int
    started_at: float
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """A periodic job: how often it is due, and the first slot that is known of it."""

    name: str
    period_seconds: int
    first_slot: int


@dataclass(frozen=True, slots=True)
class Cycles:
    """The collection cycles of the last minute, added up."""

    count: int = 0
    polled: int = 0
    answered: int = 0
    last_at: float | None = None
    mean_duration_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """The alerts of the last day that are settled: answered, or due without an answer."""

    asked: int = 0
    settled: int = 0
    in_time: int = 0


@dataclass(frozen=True, slots=True)
class FleetAge:
    """For how long nothing was heard from a fleet's broker."""

    name: str
    own: bool
    unheard_seconds: float


UNPROVEN = (
    Check("s3_star_audits", None, "No audit of S3* is recorded."),
    Check("algedonic_path", None, "The algedonic path has not been tested."),
    Check("homeostat", None, "The loop between S3 and S4 is not measured."),
)


def operations(units: UnitCounts) -> Vital:
    """Score S1 as documented: the average health of its units (002-31; without any it is unknown, 2-31)."""
    average = units.average if units.known else None
    measures = {
        "unit_count": units.count,
        "known_count": units.known,
        "silent_count": units.silent,
        "average_health": average,
        "unhealthy_units": units.below_half,  # < 0.5, as 002-31 counts
        "unhealthy_by_status": units.at_most_half,  # <= 0.5, as 002-14 bands (2-30)
        "operational_capacity": capacity(average, units.known),
        "no_data": average is None,
    }
    if not units.count:
        return Vital(None, "No unit is watched.", measures)
    if average is None:
        return Vital(None, f"None of {units.count} units has a known health.", measures)
    silent = f"; {units.silent} silent and not counted" if units.silent else ""
    return Vital(average, f"Average health of {units.known} of {units.count} units{silent}.", measures)


def capacity(average: float | None, count: int) -> float:
    """Return min(1, average × n/10); without data there is none to count on (002-31)."""
    return min(1.0, (average or 0.0) * count / FULL_CAPACITY_UNITS)


def coordination(jobs: Iterable[Job], marks: Sequence[SlotMark], *, now: float, window_seconds: float) -> Vital:
    """Score S2: the share of the periodic jobs' slots that were claimed and finished within their period.

    Slots are expected from the first run in the window on, of whatever job: so a platform that was off is not blamed
    for its absence, while a job that stopped beside others is.
    """
    begin = now - window_seconds
    began = min((mark.started_at for mark in marks if mark.started_at >= begin), default=None)
    if began is None:
        return Vital(None, f"No periodic job ran in the last {window_seconds:.0f} s.", {"expected": 0, "kept": 0})
    kept = {(mark.job, mark.slot): mark for mark in marks}
    expected = [(job, slot) for job in jobs for slot in _due_slots(job, max(began, begin), now)]
    good = sum(_in_time(kept.get((job.name, slot)), job.period_seconds) for job, slot in expected)
    measures = {"expected": len(expected), "kept": good, "coordination_lag_seconds": _lag(marks, begin)}
    if not expected:
        return Vital(None, "No slot has come to its end yet.", measures)
    return Vital(good / len(expected), f"{good} of {len(expected)} slots were worked in time.", measures)


def control(cycles: Cycles, hosts: Mapping[str, Mapping[str, float | None]]) -> Vital:
    """Score S3: the mean of collection coverage and resource headroom, of those that are known.

    A host has as much headroom as its scarcest resource.
    """
    coverage = min(1.0, cycles.answered / cycles.polled) if cycles.polled else None
    headroom = mean_known(_scarcest(parts) for parts in hosts.values())
    measures = {"collection_coverage": coverage, "resource_headroom": headroom, "cycles": cycles.count}
    score = mean_known([coverage, headroom])
    if score is None:
        return Vital(None, "Nothing was collected in the last minute, and no host tells its resources.", measures)
    covered = "Collection coverage " + ("unknown" if coverage is None else f"{coverage:.2f}")
    free = "resource headroom unknown" if headroom is None else f"resource headroom {headroom:.2f}{_least(hosts)}"
    return Vital(score, f"{covered}, {free}.", measures)


def _least(hosts: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return which resource of which host is the scarcest, for whoever is to do something about it."""
    told = [(parts[name], name, host) for host, parts in hosts.items() for name in RESOURCES if name in parts]
    known = [(value, f" (least: {name} of {host})") for value, name, host in told if value is not None]
    return min(known)[1] if known else ""


def intelligence(*, configured: int, heard: int, fleets: Sequence[FleetAge] = ()) -> Vital:
    """Score S4: environment awareness, the sources heard on schedule out of those configured (3.7).

    *configured* and *heard* count HTTP services and the sources that S4 scans. Each fleet has an equal share, our own
    included, which fades while its broker is out of reach; with nothing but our own fleet there is no environment to be
    aware of.
    """
    total = configured + len(fleets)
    late = [fleet for fleet in fleets if fleet.unheard_seconds > ON_SCHEDULE_SECONDS]
    on_schedule = heard + len(fleets) - len(late)
    measures = {"sources": total, "heard": on_schedule, "unheard_fleets": [fleet.name for fleet in late]}
    if not configured and all(fleet.own for fleet in fleets):
        return Vital(
            None, "No outside source is watched: no HTTP service, no source of S4 and no other fleet.", measures
        )
    score = (heard + sum(freshness(fleet.unheard_seconds) for fleet in fleets)) / total
    unheard = "".join(f" {fleet.name} is out of reach for {fleet.unheard_seconds:.0f} s." for fleet in late[:3])
    return Vital(score, f"{on_schedule} of {total} sources were heard on schedule.{unheard}", measures)


def freshness(unheard_seconds: float) -> float:
    """Return the worth of what is known of a fleet: 1 while it is heard on schedule, then less and less."""
    span = FORGOTTEN_SECONDS - ON_SCHEDULE_SECONDS
    return min(1.0, max(0.0, (FORGOTTEN_SECONDS - unheard_seconds) / span))


def policy(answers: Answers) -> Vital:
    """Score S5: the share of the last day's alerts that were answered in the time policy asks for."""
    measures = {"asked": answers.asked, "settled": answers.settled, "answered_in_time": answers.in_time}
    if not answers.asked:
        return Vital(None, "No alert asked for an answer in the last 24 hours.", measures)
    if not answers.settled:
        return Vital(None, f"{answers.asked} alerts still have time to be answered.", measures)
    reason = f"{answers.in_time} of {answers.settled} alerts were answered in time."
    return Vital(answers.in_time / answers.settled, reason, measures)


def checklist(
    vitals: Mapping[Subsystem, Vital], units: UnitCounts, cycles: Cycles, *, now: float, proofs: Iterable[Check] = ()
) -> list[Check]:
    """Return the structural checklist (3.3); of what nobody measured there is no proof, and it stays unknown."""
    proven = {check.name: check for check in proofs}
    return [
        Check("units", units.count > 0, f"S1 has {units.count} units."),
        Check("units_heard", None if not units.count else units.silent == 0, f"{units.silent} units are silent."),
        *[Check(f"{each}_reports", vitals[each].score is not None, _reports(each, vitals[each])) for each in Subsystem],
        _loop_alive(cycles, now),
        *[proven.get(check.name, check) for check in UNPROVEN],
    ]


def _reports(subsystem: Subsystem, vital: Vital) -> str:
    return f"{subsystem.upper()} {TITLES[subsystem]}: {vital.reason}"


def _loop_alive(cycles: Cycles, now: float) -> Check:
    if cycles.last_at is None:
        return Check("loop_alive", False, "No collection in the last minute.")
    age = max(0.0, now - cycles.last_at)
    return Check("loop_alive", age <= LOOP_ALIVE_SECONDS, f"The last collection began {age:.0f} s ago.")


def _due_slots(job: Job, begin: float, now: float) -> range:
    """Return the slots of *job* that began at or after *begin* and have ended by *now*."""
    period = job.period_seconds
    first = max(-int(-begin // period) * period, job.first_slot)
    return range(first, int(now // period) * period, period)


def _in_time(mark: SlotMark | None, period: int) -> bool:
    return mark is not None and mark.finished_at is not None and mark.finished_at <= mark.slot + period


def _lag(marks: Sequence[SlotMark], begin: float) -> float | None:
    return mean_known(max(0.0, mark.started_at - mark.slot) for mark in marks if mark.started_at >= begin)


def _scarcest(parts: Mapping[str, float | None]) -> float | None:
    return min((value for name in RESOURCES if (value := parts.get(name)) is not None), default=None)
