"""Reads of S1, and how its rows look on the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from subsystems.event_log.models import Event, PendingEvent
from subsystems.s1_operations.adapters.base import FleetRef, UnitRef
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s1_operations.sealing import unseal


def unit_body(unit: Unit) -> dict[str, Any]:
    """Return a unit as the API and the dashboard show it; `fleet` is the fleet's name."""
    return {
        "id": unit.pk,
        "name": unit.name,
        "kind": unit.kind,
        "state": str(unit.state),
        "health": unit.health.value,
        "score": unit.score,
        "parts": unit.health_parts,
        "fleet": unit.fleet.name if unit.fleet else None,
        "last_seen_at": _rfc3339(unit.last_seen_at),
        "last_error": unit.last_error,
    }


def fleet_body(fleet: Fleet) -> dict[str, Any]:
    """Return a fleet as it is shown: never with credentials."""
    return {
        "id": fleet.pk,
        "name": fleet.name,
        "own": fleet.own,
        "broker": fleet.broker_display,
        "enabled": fleet.enabled,
        "connected_at": _rfc3339(fleet.connected_at),
        "last_error": fleet.last_error,
    }


def watched_units() -> QuerySet[Unit]:
    """Return the units that a cycle looks at: neither paused nor gone, of no fleet or of one that is enabled."""
    living = Unit.objects.exclude(state__in=[Unit.State.PAUSED, Unit.State.GONE])
    return living.filter(Q(fleet=None) | Q(fleet__enabled=True)).select_related("fleet")


def unit_ref(unit: Unit) -> UnitRef:
    """Return a unit as its adapter sees it."""
    return UnitRef(unit.pk, unit.name, unit.config, unit.fleet_id, active=unit.state != Unit.State.SILENT)


def broker_url(fleet: Fleet) -> str:
    """Return the address of the fleet's broker, credentials included. Raises CannotOpen."""
    return settings.BROKER_URL if fleet.own else unseal(fleet.broker_url_sealed, settings.SECRET_KEY)


def fleet_ref(fleet: Fleet, units: Sequence[Unit], own_queues: Sequence[str]) -> FleetRef:
    """Return a fleet as the adapters see it. *own_queues* are the platform's. Raises CannotOpen."""
    prefix = f"{fleet.name}/"
    mine = [unit for unit in units if unit.fleet_id == fleet.pk]
    queues = [unit.name.removeprefix(prefix) for unit in mine if unit.kind == "celery_queue"]
    return FleetRef(
        id=fleet.pk,
        name=fleet.name,
        url=broker_url(fleet),
        own=fleet.own,
        workers=frozenset(
            unit.name.removeprefix(prefix)
            for unit in mine
            if unit.kind == "celery_worker" and unit.state == Unit.State.ACTIVE
        ),
        queues=tuple(dict.fromkeys([*(own_queues if fleet.own else ()), *queues])),
        foreign_queues=frozenset() if fleet.own else frozenset(own_queues),
        heard_at=fleet.connected_at,
    )


def executed_before(message_id: str, event_type: str) -> dict[str, Any] | None:
    """Return what an event of *event_type* says of the message, or None when it has not happened yet."""
    for rows in (PendingEvent.objects, Event.objects):
        found = rows.filter(message_id=message_id, type=event_type).values_list("data", flat=True).first()
        if found is not None:
            return dict(json.loads(found))
    return None


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
