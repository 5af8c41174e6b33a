"""What follows a detection (requirements 004-22): pain, or a recommendation to S3. Nothing is done to a unit here.

A recommendation may carry an act: S3 finds that of a scaling, an adjustment of the coordination names its own. Either
goes the one road of recommendations, with its brakes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from subsystems.algedonic.services import try_to_raise
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Party
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s3_control import advising, gauging
from subsystems.s3_control.acts import ACTS, Target
from subsystems.s3_control.recommending import recommend
from subsystems.s4_intelligence.patterns.models import Pattern, PatternDetection
from subsystems.s4_intelligence.patterns.schema import Act, Advice, Do, Expected, Signal

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
    if asked.act == "auto_scale" and asked.direction == "out" and (done := _scaled(pattern, about, row, now)):
        return done
    told: dict[str, Any] = {
        "system_id": pattern.system_id, "kind": KINDS[asked.act], "source": "pattern", "subject": _plain(about),
        "title": _plain(asked.title or TITLES[asked.act].format(about=about, direction=asked.direction)),
        "reason": _reason(pattern, row), "author": f"pattern:{pattern.name}", "now": now,
        "key": f"pattern:{row.pk}:{asked.act}", "evidence": _evidence(pattern, asked, row),
    }  # fmt: skip
    if asked.do is None or asked.expect is None:
        return {"kind": "recommendation", "id": str(recommend(**told).pk)}
    try:
        made = recommend(**told | _adjustment(pattern.system_id, asked.do, asked.expect, row.key, now))
    except (Invalid, Refused) as error:  # what cannot be measured, or is there no more, is left to people
        made = recommend(**told | {"evidence": {**told["evidence"], "no_act": error.detail}})
    return {"kind": "recommendation", "id": str(made.pk), "act": made.act_kind}


def _evidence(pattern: Pattern, asked: Advice, row: PatternDetection) -> dict[str, Any]:
    return {
        "pattern": pattern.name, "detection": row.pk, "key": row.key, "act": asked.act, "direction": asked.direction,
        "confidence": round(row.confidence, 4),
        "events": [piece["position"] for piece in row.evidence if piece["position"]],
    }  # fmt: skip


def _adjustment(system_id: int, do: Do, expected: Expected, key: str, now: datetime) -> dict[str, Any]:
    """Return the act that an adjustment names, and what it should change from what is measured now.

    Raises Refused where that is not measured, or not lately.
    """
    fleet, about = Fleet.objects.filter(system_id=system_id, name=do.fleet, own=False).first(), do.target or key
    if fleet is None:
        raise Refused(f"There is no fleet called {do.fleet}.", code="cannot")
    source = expected.source or f"{fleet.name}/{about}"
    found = gauging.measured(system_id, source, expected.metric, now)
    if found.value is None or found.at is None:
        raise Refused(f"{expected.metric} of {source} was not measured within the hour.", code="stale")
    return {
        "fleet": fleet, "subject": _plain(f"{fleet.name}/{about}"),
        "act": {"kind": do.kind, "target": do.target or ("" if _is_of_many(do) else key), "parameters": do.parameters},
        "expected_effect": {
            "metric": expected.metric, "source": source, "from": found.value, "to": expected.to, "unit": expected.unit,
        },
        "measured_at": datetime.fromtimestamp(found.at, UTC),
    }  # fmt: skip


def _is_of_many(do: Do) -> bool:
    """Return whether an act chooses by itself what it is done to."""
    return ACTS[do.kind].target in (Target.TASKS, Target.FLEET)


def _scaled(pattern: Pattern, about: str, row: PatternDetection, now: datetime) -> dict[str, Any] | None:
    """Let S3 advise the act that relieves the queue or worker *about*; None where it is none, or nothing would help.

    It is S3's own advice, with the act that S5 permits or a person approves.
    """
    unit = Unit.objects.filter(system_id=pattern.system_id, name=about).select_related("fleet").first()
    if unit is None:
        return None
    cause = {"pattern": pattern.name, "detection": row.pk}
    made = advising.suggest(unit, cause, now=now, key=f"pattern:{row.pk}:auto_scale")
    return None if made is None else {"kind": "recommendation", "id": str(made.pk), "act": made.act_kind}


def _reason(pattern: Pattern, row: PatternDetection) -> str:
    about = f" of {row.key}" if row.key else ""
    words = f" {pattern.description}" if pattern.description else ""
    return f"The pattern {pattern.name}{about} was detected with confidence {row.confidence:.2f}.{words}"


def _plain(text: str) -> str:
    return "".join(letter for letter in text[:200] if letter.isprintable()) or "?"
