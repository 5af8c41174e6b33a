"""What a notification says: Alertmanager's webhook body, version 4, and the same in a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_ALERTS = 200  # of one notification; the rest are counted
MAX_LINES, MAX_LINE = 15, 300
NO_END = "0001-01-01T00:00:00Z"  # how Go, and with it every reader of such bodies, writes that there is none


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it is told."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    firing: bool
    starts_at: str
    ends_at: str | None
    fingerprint: str
    severity: str
    title: str
    url: str = ""
    generator_url: str = ""

    def to_wire(self) -> dict[str, Any]:
        return {
            "status": "firing" if self.firing else "resolved",
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "startsAt": self.starts_at,
            "endsAt": self.ends_at or NO_END,
            "generatorURL": self.generator_url or self.url,
            "fingerprint": self.fingerprint[:16],
            "title": self.title,
            "severity": self.severity,
            "url": self.url,
        }


def body_of(
    alerts: Sequence[Told], *, group_key: str, group_labels: Mapping[str, str], receiver: str, firing: int,
    resolved: int, reason: str, external_url: str,
) -> dict[str, Any]:  # fmt: skip
    """Return the body: *alerts* are those that there is room for, of *firing* and *resolved* in all."""
    return {
        "version": "4",
        "groupKey": group_key,
        "truncatedAlerts": firing + resolved - len(alerts),
        "status": "firing" if firing else "resolved",
        "receiver": receiver,
        "groupLabels": dict(group_labels),
        "commonLabels": common([alert.labels for alert in alerts]),
        "commonAnnotations": common([alert.annotations for alert in alerts]),
        "externalURL": external_url,
        "alerts": [alert.to_wire() for alert in alerts],
        "firing": firing,
        "resolved": resolved,
        "reason": reason,
    }


def common(mappings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the pairs that are in all of *mappings*."""
    if not mappings:
        return {}
    shared = set(mappings[0].items()).intersection(*(each.items() for each in mappings[1:]))
    return dict(sorted(shared))


def title_of(body: Mapping[str, Any]) -> str:
    """Return the headline, as Alertmanager's own templates write it."""
    labels = body["groupLabels"]
    name = labels.get("alertname") or " ".join(labels.values())
    if len(body["alerts"]) == 1:
        name = body["alerts"][0]["title"] or name
    state = f"[FIRING:{body['firing']}]" if body["firing"] else "[RESOLVED]"
    return f"{state} {name or 'alerts'}"[:300]


def lines_of(body: Mapping[str, Any]) -> list[str]:
    """Return one line for each alert that there is room for, and one for the rest."""
    lines = [_line(alert) for alert in body["alerts"][:MAX_LINES]]
    left = body["firing"] + body["resolved"] - len(lines)
    return [*lines, f"… and {left:,} more"] if left > 0 else lines


def _line(alert: Mapping[str, Any]) -> str:
    told = alert["annotations"].get("summary") or alert["annotations"].get("description") or alert["title"]
    state = alert["severity"] if alert["status"] == "firing" else "resolved"
    return f"{state}: {told}"[:MAX_LINE]
