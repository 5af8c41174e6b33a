"""Where the forecasts lead: what saturates first, what is threatened, how many workers are needed, what is advised."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import celery
import django
from django.db import connection, transaction

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.fleets.models import TaskRollUp
from subsystems.fleets.roll_ups import opened
from subsystems.fleets.watching import worker_states
from subsystems.fleets.worker_queries import node_of, queue_bodies, queues
from subsystems.kernel.errors import Refused
from subsystems.kernel.slots import slot_time
from subsystems.messaging.channels import Party
from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG
from subsystems.s1_operations.adapters.celery_fleet import QueueConfig
from subsystems.s1_operations.models import Unit
from subsystems.s3_control import recommending
from subsystems.s3_control.models import Recommendation
from subsystems.s3_control.recommending import recommend
from subsystems.s3_control.scaling.gathering import resizing
from subsystems.s4_intelligence import threats
from subsystems.s4_intelligence.capacity import Plan, little_residual, plan
from subsystems.s4_intelligence.forecast_columns import unpacked
from subsystems.s4_intelligence.lifecycles import supported_until
from subsystems.s4_intelligence.matrices import Floats
from subsystems.s4_intelligence.models import Finding, Forecast, Source, Threat
from subsystems.s4_intelligence.saturation import crossing
from subsystems.telemetry.queries import Request, answer, latest
from subsystems.telemetry.sketch import Sketch, merged

TARGET_WAIT_SECONDS = 5.0
WINDOW_SECONDS = 3600  # whose runtimes, waits and depths are averaged
FRESH_SECONDS = 120.0  # of what a worker last answered
RISING_RESOURCES = tuple(threats.LIMITS)
ADVISED_FROM = 0.5  # of chance: below it people are told, not advised
LASTS = timedelta(hours=6)
PLAN_SECONDS = 600.0  # so old may a plan be that an act rests on; it is made anew every five minutes
MAX_QUEUES = 500
MAX_ANOMALIES = 5  # as evidence of one threat
KEEP_GONE_SECONDS = 30 * 86_400


def project(system: System, slot: int) -> int:
    """Look where the forecasts of *system* lead; return how many threats and opportunities there are now."""
    found = [*_of_forecasts(system), *_of_plans(system, slot), *_of_surroundings(system, slot)]
    found = _with_anomalies(system, found)
    by_key = {
        each.key: each for each in sorted(found, key=lambda each: each.chance or 0.0)
    }  # of two spans the surer one
    _keep(system, by_key, slot)
    return len(by_key)


def capacity_plans(
    system: System, *, now: datetime, target_wait_seconds: float = TARGET_WAIT_SECONDS
) -> list[dict[str, Any]]:
    """Return for each queue of *system* how many workers it needs for what will arrive, and what Little's law says.

    The arrival is the highest mean of the next hour, where the rate is foretold, else what arrives now.
    """
    units = list(queues().filter(system=system).exclude(state=Unit.State.GONE)[:MAX_QUEUES])
    fleets = {unit.fleet_id for unit in units if unit.fleet_id}
    slots, times = _slots(fleets, now.timestamp()), _times(fleets, now.timestamp())
    coming, inside = _foretold_arrivals(system), _inside(system, now.timestamp())
    bodies = queue_bodies(units, now=now)
    return [
        _plan_body(unit, body, slots, times, (coming.get(unit.name), inside.get(unit.name)), target_wait_seconds)
        for unit, body in zip(units, bodies, strict=True)
    ]


def _plan_body(
    unit: Unit, body: Mapping[str, Any], slots: Mapping[tuple[int, str], int], times: Mapping[Any, Times],
    told: tuple[dict[str, Floats] | None, float | None], target: float,
) -> dict[str, Any]:  # fmt: skip
    key = (unit.fleet_id or 0, node_of(unit))
    runtime, wait, ended = times.get(key, Times(None, None, None))
    coming, inside = told
    arrival = float(coming["mean"].max()) if coming is not None else body["rate_in"]
    workers = slots.get(key)
    made = plan(arrival=arrival, service_seconds=runtime, workers=workers, target_wait_seconds=target)
    spent = None if runtime is None or wait is None else runtime + wait
    return {
        "queue": unit.name, "unit_id": unit.pk, **asdict(made), "ready": body["ready"],
        "arrival_from": None if arrival is None else "forecast" if coming is not None else "now",
        "overload_chance": _overload(coming, workers, runtime), "target_wait_seconds": target, "inside": inside,
        "seconds_inside": spent, "little_residual": little_residual(inside, ended, spent),
    }  # fmt: skip


def _overload(coming: dict[str, Floats] | None, workers: int | None, runtime: float | None) -> float | None:
    """Return the chance that within the hour more arrives than the workers can do; None where that is not foretold."""
    if coming is None or not workers or not runtime:
        return None
    return crossing(coming, workers / runtime).chance


def _slots(fleets: set[int], now: float) -> dict[tuple[int, str], int]:
    """Return how many tasks at a time those who read each queue can do, of workers that answered lately."""
    found: defaultdict[tuple[int, str], int] = defaultdict(int)
    for (fleet, _), seen in worker_states(fleets).items():
        if now - seen.observed_at <= FRESH_SECONDS and seen.pool_size:
            for queue in seen.queues:
                found[fleet, queue] += seen.pool_size
    return dict(found)


class Times(NamedTuple):
    """Mean runtime and wait of a queue's tasks in the last hour, and how many ended a second."""

    runtime: float | None
    wait: float | None
    ended: float | None


def _times(fleets: set[int], now: float) -> dict[tuple[int, str], Times]:
    """Return what the roll-ups of the last hour tell of each queue."""
    rows = TaskRollUp.objects.filter(fleet_id__in=fleets, at__gt=now - WINDOW_SECONDS)
    runtimes: defaultdict[tuple[int, str], list[Sketch]] = defaultdict(list)
    waits: defaultdict[tuple[int, str], list[Sketch]] = defaultdict(list)
    ended: defaultdict[tuple[int, str], int] = defaultdict(int)
    since: dict[int, float] = {}
    columns = ("fleet_id", "queue", "at", "runtimes", "waits", "succeeded", "failed", "others")
    for fleet, queue, at, ran, waited, *counts in rows.values_list(*columns):
        since[fleet] = min(since.get(fleet, now), at)
        ended[fleet, queue] += sum(counts)
        for of, sketch in ((runtimes, ran), (waits, waited)):
            if sketch is not None:
                of[fleet, queue].append(opened(bytes(sketch)))
    return {
        key: Times(_mean(runtimes.get(key)), _mean(waits.get(key)), n / max(now - since[key[0]], 1.0))
        for key, n in ended.items()
    }


def _inside(system: System, now: float) -> dict[str, float]:
    """Return how many messages each queue held on average in the last hour, waiting and being worked on."""
    about: dict[str, Any] = {"start": now - WINDOW_SECONDS, "end": now, "step": 60.0}
    found = answer([Request((system.pk,), metric, **about) for metric in ("ready", "unacked")], now=now)
    ready, unacked = ({each.source: float(each.values.mean()) for each in one.series} for one in found)
    return {source: depth + unacked[source] for source, depth in ready.items() if source in unacked}


def _mean(sketches: Sequence[Sketch] | None) -> float | None:
    return merged(sketches).mean if sketches else None


def _foretold_arrivals(system: System) -> dict[str, dict[str, Floats]]:
    rows = Forecast.objects.filter(system=system, span="hour", series__metric="published_rate")
    found = rows.values_list("series__source", "body")
    return {source: unpacked(bytes(body)) for source, body in found}


# --- Threats ----------------------------------------------------------------------------------------------------------
def _of_forecasts(system: System) -> list[threats.Threat]:
    rows = Forecast.objects.filter(system=system, series__metric__in=[*RISING_RESOURCES, "ready"])
    limits = _limits(system)
    found = []
    for row in rows.select_related("series"):
        lines, source = unpacked(bytes(row.body)), row.series.source
        about: dict[str, Any] = {"slot": row.slot, "step_seconds": row.step_seconds}
        evidence = {
            "metric": row.series.metric, "span": row.span, "used": row.used, "skill": row.skill,
            "compared": row.compared, "made_at": row.slot,
        }  # fmt: skip
        if row.series.metric != "ready":
            found.append(threats.of_resource(row.series.metric, source, lines, **about, evidence=evidence))
        elif source in limits:
            found.append(threats.of_backlog(source, limits[source], lines, **about, evidence=evidence))
    return [each for each in found if each is not None]


def _with_anomalies(system: System, found: Sequence[threats.Threat]) -> list[threats.Threat]:
    """Return *found* with what is unusual now about what each is of, the strongest first, as evidence; one query."""
    seen: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = Finding.objects.filter(
        system=system, kind=Finding.Kind.ANOMALY, ended_at=None, series__source__in={each.subject for each in found}
    )
    for row in rows.select_related("series"):
        about = {"metric": row.series.metric, "name": row.name, "score": round(row.score, 2), "since": row.started_at}
        seen[row.series.source].append(about)
    for each in seen.values():
        each.sort(key=lambda about: -abs(about["score"]))
    return [
        replace(each, evidence={**each.evidence, "anomalies": seen[each.subject][:MAX_ANOMALIES]})
        if each.subject in seen else each
        for each in found
    ]  # fmt: skip


def _limits(system: System) -> dict[str, float]:
    """Return how deep each queue may be: its own hard limit, else that of all."""
    units = queues().filter(system=system).exclude(state=Unit.State.GONE)
    return {unit.name: QueueConfig.model_validate(dict(unit.config)).hard_limit for unit in units[:MAX_QUEUES]}


def _of_plans(system: System, slot: int) -> list[threats.Threat]:
    found = []
    own = set(queues().filter(system=system, fleet__own=True).values_list("pk", flat=True))
    for body in capacity_plans(system, now=slot_time(slot)):
        if body["unit_id"] in own or body["arrival_from"] != "forecast":
            continue  # the platform looks after itself, and one moment is no reason to change what is there
        evidence = {name: body[name] for name in ("arrival", "arrival_from", "service_seconds", "target_wait_seconds")}
        fields = ("arrival", "service_seconds", "workers", "load", "utilisation", "wait_seconds", "needed")
        made = Plan(**{name: body[name] for name in fields})
        found.append(
            threats.of_plan(body["queue"], made, chance=body["overload_chance"], ready=body["ready"], evidence=evidence)
        )
    return [each for each in found if each is not None]


def _of_surroundings(system: System, slot: int) -> list[threats.Threat]:
    """Return certificates and versions that come to their end, and sources outside that fail."""
    heard = latest(system.pk, metrics=["certificate_days_left"])
    days = {source: metrics["certificate_days_left"][1] for source, metrics in heard.items()}
    found = [threats.of_certificate(source, left, now=float(slot)) for source, left in days.items()]
    found += _of_sources(system, slot)
    if system.slug == ROOT_SLUG:
        found += [threats.of_version(name, version, ends, now=float(slot)) for name, version, ends in versions()]
    return [each for each in found if each is not None]


def _of_sources(system: System, slot: int) -> list[threats.Threat | None]:
    found: list[threats.Threat | None] = []
    for row in Source.objects.filter(system=system, enabled=True, last_scanned_at__isnull=False):
        about: dict[str, Any] = {"every_seconds": row.every_seconds, "at": float(row.last_scanned_at or 0)}
        found.append(threats.of_source(row.name, row.kind, row.last_error, row.failures, **about))
        if row.certificate_days_left is not None:
            found.append(threats.of_certificate(row.name, row.certificate_days_left, now=float(slot)))
    return found


def versions() -> list[tuple[str, str, float | None]]:
    """Return what the platform stands on, in which version, and when its support ends (epoch seconds) or None."""
    known = [("Python", platform.python_version()), ("Django", django.get_version()), ("Celery", celery.__version__)]
    if connection.vendor == "postgresql":
        number: int = connection.pg_version  # type: ignore[attr-defined]
        known.append(("PostgreSQL", f"{number // 10_000}.{number % 10_000}"))
    return [(name, version, _end(supported_until(name, version))) for name, version in known]


def _end(day: date | None) -> float | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + 86_400


@transaction.atomic
def _keep(system: System, found: Mapping[str, threats.Threat], slot: int) -> None:
    """Write what is threatened now; what is no longer seen is gone, and may come back under the same key."""
    known = {row.key: row for row in Threat.objects.select_for_update().filter(system=system)}
    for key, each in found.items():
        row = known.get(key) or Threat(system=system, key=key, first_at=slot)
        new = row.pk is None or row.gone_at is not None
        if new:
            row.first_at, row.gone_at, row.recommendation = slot, None, None
        row.kind, row.subject, row.title, row.good = each.kind, each.subject[:200], each.title[:300], each.good
        row.chance, row.impact = each.chance, each.impact
        row.at, row.earliest, row.latest = each.at, each.earliest, each.latest
        row.advice, row.evidence, row.last_at = each.advice[:400], dict(each.evidence), slot
        if row.recommendation is not None:
            _confirm(system, each, row.recommendation, slot)
        elif _worth_advising(each):
            row.recommendation = _advise(system, each, slot)
        row.save()
        if new:
            data = {name: getattr(each, name) for name in ("kind", "subject", "title", "chance", "impact")}
            type_ = "OpportunityFound" if each.good else "ThreatFound"
            append(Stream.INTELLIGENCE, type_, data, system_id=system.pk, actor=str(Party.S4))
    gone = [row.pk for key, row in known.items() if key not in found and row.gone_at is None]
    Threat.objects.filter(pk__in=gone).update(gone_at=slot)
    Threat.objects.filter(system=system, gone_at__lt=slot - KEEP_GONE_SECONDS).delete()


def _worth_advising(each: threats.Threat) -> bool:
    return bool(each.advice) and (each.good or (each.chance or 0.0) >= ADVISED_FROM)


def _advise(system: System, each: threats.Threat, slot: int) -> UUID | None:
    """Tell S3 what would help, once for each time that the threat comes up; it is people who decide."""
    effect = None
    if each.effect is not None and each.effect[1] != each.effect[2]:
        metric, before, after, unit = each.effect
        effect = {"metric": metric, "source": each.subject, "from": before, "to": after, "unit": unit}
    now = slot_time(slot)
    try:
        row = recommend(
            **resizing(system.pk, each.subject, _slots_wanted(each), now=now),
            system_id=system.pk, kind=each.advice_kind, source="s4", subject=each.subject, title=each.advice[:200],
            reason=_reason(each), author="s4 projector",
            key=f"s4 {slot} {each.key}"[:200], expected_effect=effect, evidence=dict(each.evidence), measured_at=now,
            expires_at=now + LASTS, now=now, fresh_seconds=recommending.FRESH_SECONDS if effect else PLAN_SECONDS,
        )  # fmt: skip
    except Refused:  # an advice that S3 does not take is still a threat that people see
        return None
    return row.pk


def _confirm(system: System, each: threats.Threat, number: UUID, slot: int) -> None:
    """Let advice that still waits rest on the plan as it was made now, where that asks for the same act again."""
    if _slots_wanted(each) is None:
        return
    waiting = Recommendation.objects.filter(pk=number, state__in=Recommendation.WAITING).exclude(act_kind="").first()
    act = waiting and resizing(system.pk, each.subject, _slots_wanted(each), now=slot_time(slot)).get("act")
    if waiting and act == {name: getattr(waiting, f"act_{name}") for name in ("kind", "target", "parameters")}:
        Recommendation.objects.filter(pk=number).update(measured_at=slot_time(slot))


def _slots_wanted(each: threats.Threat) -> int | None:
    """Return how many slots a plan asks for; None for what is no plan, or so far off that no act would do."""
    if each.kind == "shortage" and each.advice_kind == "resource":
        return int(each.evidence["needed"])
    return threats.spare(int(each.evidence["needed"])) if each.kind == "idle" else None


def _reason(each: threats.Threat) -> str:
    chance = "" if each.chance is None else f" Chance {each.chance:.0%}, impact {each.impact:.1f}."
    return f"{each.title}.{chance}"
