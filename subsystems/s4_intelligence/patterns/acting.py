"""What follows a detection (requirements 004-22): pain, or a recommendation to S3. Nothing is done to a unit here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from subsystems.algedonic.services import try_to_raise
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Party
from subsystems.s3_control.recommending import recommend
from subsystems.s4_intelligence.patterns.models import Pattern, PatternDetection
from subsystems.s4_intelligence.patterns.schema import Act, Advice, Signal

logger = logging.getLogger(__name__)
KINDS: Mapping[str, str] = {"auto_scale": "resource", "coordination_adjustment": "optimisation", "look": "optimisation"}
TITLES: Mapping[str, str] = {
    "auto_scale": "Scale {direction}: {about}",
    "coordination_adjustment": "Adjust the coordination of {about}",
    "look": "Look at {about}",
}


def act(pattern: Pattern, actions: Sequence[Act], detections: Sequence[PatternDetection], *, now: datetime) -> None:
    """Let each of *detections* have its consequences, and note on it what they came to."""
    for row in detections:
        row.consequences = [_one(pattern, asked, row, now) for asked in actions]


def _one(pattern: Pattern, asked: Act, row: PatternDetection, now: datetime) -> dict[str, Any]:
    try:
        with transaction.atomic():
            if asked.signal is not None:
                return _hurt(pattern, asked.signal, row, now)
            assert asked.recommend is not None  # one of them is there: the schema sees to it
            return _advise(pattern, asked.recommend, row, now)
    except (Invalid, Refused) as error:
        logger.warning("The pattern %s could not act: %s", pattern.name, error.detail)
        return {"kind": "signal" if asked.signal else "recommendation", "id": None, "refused": error.detail}


def _hurt(pattern: Pattern, asked: Signal, row: PatternDetection, now: datetime) -> dict[str, Any]:
    made = try_to_raise(
        type=asked.type, source=f"pattern:{pattern.name}"[:200], severity=Severity(asked.severity),
        system_id=pattern.system_id, origin=Party.S4, at=now, description=_reason(pattern, row)[:2000],
        data={"pattern": pattern.name, "key": row.key, "detection": row.pk, "confidence": round(row.confidence, 4)},
    )  # fmt: skip
    return {"kind": "signal", "id": made.pk if made else None}


def _advise(pattern: Pattern, asked: Advice, row: PatternDetection, now: datetime) -> dict[str, Any]:
    about = asked.target or row.key or pattern.name
    title = asked.title or TITLES[asked.act].format(about=about, direction=asked.direction)
    made = recommend(
        system_id=pattern.system_id, kind=KINDS[asked.act], source="pattern", subject=_plain(about),
        title=_plain(title), reason=_reason(pattern, row), author=f"pattern:{pattern.name}",
        key=f"pattern:{row.pk}:{asked.act}", now=now,
        evidence={
            "pattern": pattern.name, "detection": row.pk, "key": row.key, "act": asked.act,
            "direction": asked.direction, "confidence": round(row.confidence, 4),
            "events": [piece["position"] for piece in row.evidence if piece["position"]],
        },
    )  # fmt: skip
    return {"kind": "recommendation", "id": str(made.pk)}


def _reason(pattern: Pattern, row: PatternDetection) -> str:
    about = f" of {row.key}" if row.key else ""
    words = f" {pattern.description}" if pattern.description else ""
    return f"The pattern {pattern.name}{about} was detected with confidence {row.confidence:.2f}.{words}"


def _plain(text: str) -> str:
    return "".join(letter for letter in text[:200] if letter.isprintable()) or "?"
