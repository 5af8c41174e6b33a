"""What S4 knows, as JSON; the number of queries does not depend on the series."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Q, Sum

from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s4_intelligence.forecast_columns import unpacked
from subsystems.s4_intelligence.models import Finding, Forecast, Source, Threat
from subsystems.s4_intelligence.sources import Awareness, awareness_of


def forecast_body(row: Forecast) -> dict[str, Any]:
    """Return one forecast with its lines: the moment of each step's beginning, the mean, and the two intervals."""
    lines = {name: [_short(value) for value in line.tolist()] for name, line in unpacked(bytes(row.body)).items()}
    at = [row.slot + row.step_seconds * place for place in range(len(lines["mean"]))]
    return {**summary_body(row), "at": at, **lines}


def summary_body(row: Forecast) -> dict[str, Any]:
    """Return one forecast without its lines."""
    return {
        "id": row.pk,
        "system": row.system.slug,
        "source": row.series.source,
        "metric": row.series.metric,
        "labels": row.series.labels,
        "span": row.span,
        "step_seconds": row.step_seconds,
        "made_at": moment_text_of(row.slot),
        "used": row.used,
        "best": row.best,
        "skill": row.skill,
        "error": row.error,
        "naive_error": row.naive_error,
        "compared": row.compared,
        "judged": judged_body(
            row.judged, row.judged_error, row.judged_naive_error, row.judged_in80, row.judged_in95
        ),
    }  # fmt: skip


def judged_body(n: int, error: float, naive_error: float, in80: int, in95: int) -> dict[str, Any]:
    """Return how forecasts fared against what came; null where nothing came yet, or naive was never wrong."""
    return {
        "values": n,
        "skill": 1 - error / naive_error if n and naive_error > 0 else None,
        "held_80": in80 / n if n else None,
        "held_95": in95 / n if n else None,
    }


def finding_body(row: Finding) -> dict[str, Any]:
    """Return one finding as JSON."""
    return {
        "id": row.pk,
        "system": row.system.slug,
        "source": row.series.source,
        "metric": row.series.metric,
        "labels": row.series.labels,
        "kind": row.kind,
        "name": row.name,
        "started_at": moment_text_of(row.started_at),
        "last_at": moment_text_of(row.last_at),
        "ended_at": None if row.ended_at is None else moment_text_of(row.ended_at),
        "score": row.score,
        "value": row.value,
        "usual": row.usual,
        "p": row.p,
    }


def threat_body(row: Threat) -> dict[str, Any]:
    """Return one threat or opportunity as JSON."""
    return {
        "id": row.pk,
        "system": row.system.slug,
        "kind": row.kind,
        "subject": row.subject,
        "title": row.title,
        "good": row.good,
        "chance": row.chance,
        "impact": row.impact,
        **{
            name: _moment(getattr(row, name)) for name in ("at", "earliest", "latest", "first_at", "last_at", "gone_at")
        },
        "advice": row.advice,
        "recommendation": None if row.recommendation is None else str(row.recommendation),
        "evidence": row.evidence,
    }


def source_body(row: Source) -> dict[str, Any]:
    """Return one source outside as JSON, with what was last seen of it."""
    plain = ("name", "kind", "address", "metric", "metric_source", "pointer", "expect_status", "better",
             "every_seconds", "timeout_seconds", "enabled", "last_ok", "last_value", "last_error", "failures",
             "turn", "certificate_days_left")  # fmt: skip
    return {
        "id": row.pk,
        "system": row.system.slug,
        **{name: getattr(row, name) for name in plain},
        "last_scanned_at": _moment(row.last_scanned_at),
        "next_due_at": _moment(row.next_due_at),
    }


def awareness(system: System, *, now: datetime) -> Awareness:
    """Return how many of the enabled sources of *system* were scanned in their time (3.7)."""
    enabled = Source.objects.filter(system=system, enabled=True).order_by()
    return awareness_of(enabled.values_list("last_scanned_at", "every_seconds"), now=now.timestamp())


def is_scan_due(*, now: datetime) -> bool:
    """Return whether any source is due: beat asks before it sends a task."""
    return Source.objects.filter(enabled=True, next_due_at__lte=now.timestamp()).exists()


def _moment(at: float | None) -> str | None:
    return None if at is None else moment_text_of(at)


def accuracy(system: System, span: str = Forecast.Span.HOUR) -> dict[str, Any]:
    """Return how good the forecasts of *system* are (3.6, 3.7): skill against naive with n, what intervals held.

    The skill is the median of those of the series, for one that is large must not stand for all. It is null where
    nothing was compared yet.
    """
    rows = Forecast.objects.filter(system=system, span=span)
    told = rows.aggregate(
        series=Count("pk"), beaten=Count("pk", filter=Q(used="ensemble")), values=Sum("judged"),
        in80=Sum("judged_in80"), in95=Sum("judged_in95"),
    )  # fmt: skip
    judged = rows.filter(judged__gt=0, judged_naive_error__gt=0).values_list("judged_error", "judged_naive_error")
    values = told["values"] or 0
    return {
        "span": span,
        "series": told["series"],
        "beat_naive": told["beaten"],
        "back_test_skill": _median(each for each in rows.values_list("skill", flat=True) if each is not None),
        "skill": _median(1 - error / naive for error, naive in judged),
        "values": values,
        "held_80": (told["in80"] or 0) / values if values else None,
        "held_95": (told["in95"] or 0) / values if values else None,
    }


def moment_text_of(at: float) -> str:
    """Return epoch seconds as RFC 3339."""
    return moment_text(datetime.fromtimestamp(at, UTC))


def _short(value: float) -> float | None:
    """Return a number with no more digits than single precision has; null for none."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _median(values: Iterable[float]) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
