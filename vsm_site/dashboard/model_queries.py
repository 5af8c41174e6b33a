"""What the diagram of the model shows beside the live numbers, in a constant number of queries.

Units, fleets, alerts, signals and the five vitals come over the live connection; here is what changes slowly: the
systems inside and around, what waits for whom, what was said on each channel, varieties, who reads which queue.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Subquery, Sum

from subsystems.fleets.models import StuckFinding, WorkerState
from subsystems.health.models import Assessment
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Channel
from subsystems.messaging.models import Message
from subsystems.recursion.models import System
from subsystems.s2_coordination.monitor.models import CoordinationFinding
from subsystems.s3_control.audit.models import Finding as AuditFinding
from subsystems.s3_control.models import Recommendation
from subsystems.s4_intelligence.models import Threat
from subsystems.s5_policy.balance import Balance, balance
from subsystems.s5_policy.models import Decision
from subsystems.variety.measuring import unpacked
from subsystems.variety.models import UnitVariety
from subsystems.variety.queries import FRESH_SECONDS, latest_readings
from vsm_site.dashboard.places import Place

FLOW_WINDOW = timedelta(minutes=5)
MOST_ROLES = 200
MOST_UNIT_VARIETIES = 24  # more rows than that are folded, and a fold has no variety of its own
IN_SIGHT = {"units": 300, "queues": 100}  # what the live connection carries for it; beyond that it counts groups
SIDES = ("environment", "operation", "management")


def model_body(place: Place, *, now: datetime) -> dict[str, Any]:
    """Return what the diagram of the system at *place* shows beside the live numbers."""
    system = place.system
    return {
        "at": moment_text(now),
        "system": {"slug": system.slug, "name": system.name},
        "line": [{"slug": each.slug, "name": each.name} for each in line_of(place)],
        "inside": inside(place),
        "waiting": waiting(system),
        "flows": flows(system, now=now),
        "window_seconds": FLOW_WINDOW.total_seconds(),
        "varieties": varieties(system, now=now),
        "readers": readers(system),
    }


def line_of(place: Place) -> list[System]:
    """Return the systems above that the reader may see, the highest first, down to the one of *place*; no query."""
    known = {system.pk: system for system in place.systems}
    line, above = [place.system], place.system.parent_id
    while above in known and known[above] not in line:
        line.insert(0, known[above])
        above = known[above].parent_id
    return line


def inside(place: Place) -> list[dict[str, Any]]:
    """Return the systems that are operations of this one, with the viability of each; one query."""
    last = Assessment.objects.filter(system=OuterRef("pk")).order_by("-slot")
    children = System.objects.filter(
        pk__in=[each.pk for each in place.systems if each.parent_id == place.system.pk]
    ).annotate(score=Subquery(last.values("score")[:1]), status=Subquery(last.values("status")[:1]))
    return [
        {"slug": each.slug, "name": each.name, "score": each.score, "status": each.status or "unknown"}
        for each in children.order_by("name")
    ]


def waiting(system: System) -> dict[str, int]:
    """Return how much waits for somebody at each part of the model."""
    return {
        "s1": StuckFinding.objects.filter(fleet__system=system, ended_at=None).count(),
        "s2": CoordinationFinding.objects.filter(system=system, ended_at=None).count(),
        "s3": Recommendation.objects.filter(system=system, state=Recommendation.State.PROPOSED).count(),
        "s3_star": AuditFinding.objects.filter(system=system, state=AuditFinding.State.OPEN).count(),
        "s4": Threat.objects.filter(system=system, gone_at=None, good=False).count(),
        "s5": Decision.objects.filter(system=system, answered_at=None).count(),
    }


def flows(system: System, *, now: datetime) -> list[dict[str, Any]]:
    """Return how many messages went from whom to whom on each channel of the model in the last five minutes."""
    rows = Message.objects.filter(system=system, created_at__gte=now - FLOW_WINDOW).exclude(channel=Channel.PLATFORM)
    told = rows.order_by().values_list("channel", "sender", "recipient").annotate(n=Sum("count"))
    return [
        {"channel": channel, "from": sender, "to": recipient, "count": n}
        for channel, sender, recipient, n in sorted(told)
    ]


def varieties(system: System, *, now: datetime) -> dict[str, Any]:
    """Return the varieties in bits on either side of each boundary, of the system and of its units; null: unknown."""
    reading = latest_readings([system.pk], since=now.timestamp() - FRESH_SECONDS).get(system.pk)
    figures: dict[str, Any] = reading.figures if reading else {}
    found: Balance = balance(figures.get("s3"), figures.get("s4"), figures.get("s5"))
    rows = UnitVariety.objects.filter(system=system, at__gte=now.timestamp() - FRESH_SECONDS).order_by("unit")
    units = rows.values_list("unit", "body")[:MOST_UNIT_VARIETIES]
    return {
        **{side: figures.get(side) for side in (*SIDES, "s3", "s4")},
        "operational_band": figures.get("band"),
        "managerial_band": figures.get("management_band"),
        "s3_s4": {"balance": found.score, "reason": found.reason, "residual": found.residual},
        "units": {unit: _sides(unpacked(bytes(body))) for unit, body in units},
    }


def _sides(panel: dict[str, Any]) -> dict[str, Any]:
    """Return the three varieties of a panel, and how its two balances are judged."""
    return {
        **{side: panel[side]["bits"] for side in SIDES},
        "operational_band": panel["operational"]["balance"]["band"],
        "managerial_band": panel["managerial"]["balance"]["band"],
    }


def readers(system: System) -> list[dict[str, Any]]:
    """Return which queues the workers of each role read, one query."""
    rows = WorkerState.objects.filter(fleet__system=system).order_by()
    told = rows.values_list("fleet__name", "role", "queues").annotate(n=Count("pk"))[:MOST_ROLES]
    found: dict[tuple[str, str], set[str]] = {}
    for fleet, role, queues, _ in told:  # grouped by the database: ten thousand workers are a handful of rows
        found.setdefault((fleet, role), set()).update(queues)
    return [{"fleet": fleet, "role": role, "queues": sorted(queues)} for (fleet, role), queues in sorted(found.items())]
