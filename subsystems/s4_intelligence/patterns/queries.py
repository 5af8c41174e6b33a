"""Reads of patterns and detections, and how they look on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s4_intelligence.patterns.models import Pattern, PatternDetection, PatternEngine

DAY = timedelta(days=1)
Level, Verdict = PatternDetection.Level, PatternDetection.Verdict
NO_STATISTICS: dict[str, Any] = {
    "detections": 0, "detections_24h": 0, "per_hour": 0.0, "early": 0, "true": 0, "false": 0, "precision": None,
    "last_detection_at": None, "level": None, "heard": 0, "late": 0, "evicted": 0, "doubted": 0,
}  # fmt: skip


def patterns() -> QuerySet[Pattern]:
    """Return every pattern."""
    return Pattern.objects.select_related("system", "changed_by")


def detections() -> QuerySet[PatternDetection]:
    """Return everything that was detected, newest first."""
    return PatternDetection.objects.select_related("system", "pattern", "verdict_by")


def statistics(rows: Iterable[Pattern], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Return how patterns fared, by id; two queries. Rates are of the last 24 hours, or as long as a pattern is there.

    Precision is what people confirmed of what they judged (requirements 3.7); nobody's word is unknown, not perfect.
    """
    wanted = {row.pk: row for row in rows}
    full = Q(level=Level.ACT)
    found: Any = (
        PatternDetection.objects.filter(pattern__in=list(wanted))
        .order_by()
        .values("pattern_id")
        .annotate(
            detections=Count("pk", filter=full),
            detections_24h=Count("pk", filter=full & Q(acted_at__gt=now - DAY)),
            early=Count("pk", filter=~full),
            true=Count("pk", filter=Q(verdict=Verdict.TRUE)),
            false=Count("pk", filter=Q(verdict=Verdict.FALSE)),
            last_detection_at=Max("acted_at"),
            level=Max("level", filter=Q(ended_at=None)),
        )
    )
    heard = _heard({row.system_id for row in wanted.values()})
    told = {pk: {**NO_STATISTICS, **heard.get(pk, {})} for pk in wanted}
    for each in found:
        pk = each["pattern_id"]
        hours = max(1.0, min(24.0, (now - wanted[pk].created_at).total_seconds() / 3600))
        judged = each["true"] + each["false"]
        told[pk] |= {name: each[name] for name in NO_STATISTICS if name in each}
        told[pk]["per_hour"] = round(each["detections_24h"] / hours, 4)
        told[pk]["precision"] = round(each["true"] / judged, 4) if judged else None
        told[pk]["level"] = Level(each["level"]).name.lower() if each["level"] else None
    return told


def _heard(system_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Return how many events each pattern was given since it was begun, and what was lost of them."""
    bodies = PatternEngine.objects.filter(pk__in=list(system_ids)).values_list("body", flat=True)
    return {
        int(pk): {name: counts[name] for name in ("heard", "late", "evicted", "doubted")}
        for body in bodies
        for pk, counts in json.loads(body).get("patterns", {}).items()
    }


def pattern_bodies(rows: Iterable[Pattern], *, now: datetime) -> list[dict[str, Any]]:
    """Return patterns as JSON, with their statistics."""
    listed = list(rows)
    known = statistics(listed, now=now)
    return [_pattern_body(row, known[row.pk]) for row in listed]


def _pattern_body(row: Pattern, known: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row.pk,
        "system": row.system.slug,
        "name": row.name,
        "description": row.description,
        "text": row.text,
        "origin": row.origin,
        "enabled": row.enabled,
        "version": row.version,
        "changed_at": moment_text(row.changed_at),
        "changed_by": row.changed_by.get_username() if row.changed_by else None,
        "statistics": {**known, "last_detection_at": moment_text(known["last_detection_at"])},
    }


def detection_body(row: PatternDetection, *, evidence: bool = True) -> dict[str, Any]:
    """Return a detection as JSON."""
    body: dict[str, Any] = {
        "id": row.pk,
        "system": row.system.slug,
        "pattern": row.pattern.name,
        "pattern_id": row.pattern_id,
        "version": row.version,
        "key": row.key,
        "level": Level(row.level).name.lower(),
        "began_at": moment_text(row.began_at),
        "detected_at": moment_text(row.acted_at),
        "last_at": moment_text(row.last_at),
        "ended_at": moment_text(row.ended_at),
        "share": row.share,
        "confidence": row.confidence,
        "times": row.times,
        "verdict": row.verdict or None,
        "verdict_by": row.verdict_by.get_username() if row.verdict_by else None,
        "verdict_at": moment_text(row.verdict_at),
        "comment": row.comment,
        "consequences": row.consequences,
    }
    return {**body, "evidence": row.evidence} if evidence else body


def is_tick_due(*, now: datetime) -> bool:
    """Return whether any pattern is at work, or some system has none yet: beat asks before it sends a task."""
    return Pattern.objects.filter(enabled=True).exists() or unseeded().exists()


def unseeded() -> QuerySet[System]:
    """Return the systems in which the ready-made patterns were never put to work."""
    return System.objects.exclude(pk__in=PatternEngine.objects.filter(seeded=True).values("pk"))


def moment_of(at: float) -> datetime:
    """Return epoch seconds as a moment."""
    return datetime.fromtimestamp(at, UTC)


def of(system: System) -> QuerySet[Pattern]:
    """Return the patterns of a system."""
    return Pattern.objects.filter(system=system).select_related("system", "changed_by")
