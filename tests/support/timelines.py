"""Timelines: alerts in, time passes, notifications out; read from one file, played by whoever takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

FILE = Path(__file__).with_suffix(".yml")
MARK = "timeline"  # the label by which one Alertmanager keeps them apart
DURATIONS = ("group_wait", "group_interval", "repeat_interval")
Heard = dict[str, list[tuple[float, frozenset[str], frozenset[str]]]]  # receiver -> (at, firing, resolved)


class Player(Protocol):
    """Takes what happens, at moments that never go back."""

    def alert(self, at: float, labels: dict[str, str], starts_at: float | None, ends_at: float | None) -> None: ...
    def silence(self, at: float, matchers: list[str], ends_at: float) -> None: ...


@dataclass
class Timeline:
    """One timeline."""

    name: str
    route: dict[str, Any]
    events: list[dict[str, Any]]
    until: float
    says: dict[str, list[dict[str, Any]]]
    inhibit_rules: list[dict[str, Any]] = field(default_factory=list)
    receivers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        return self.name.replace(" ", "-")

    def expected(self) -> Heard:
        return {
            receiver: [
                (each["at"], frozenset(each.get("firing", ())), frozenset(each.get("resolved", ()))) for each in said
            ]
            for receiver, said in self.says.items()
        }

    def document(self, unit: float) -> dict[str, Any]:
        """Return the routing as we read it, where a unit of time lasts *unit* seconds."""
        receivers = [{"name": name, "targets": [name], **self.receivers.get(name, {})} for name in self.says]
        route = {"receiver": "ops", **_scaled(self.route, unit)}
        return {"route": route, "receivers": receivers, "inhibit_rules": self.inhibit_rules, "inhibit_children": False}

    def play(self, player: Player) -> Iterator[float]:
        """Let everything happen; yield the moment before each event, and the end."""
        labels: dict[str, dict[str, str]] = {}
        for event in sorted(self.events, key=lambda event: event["at"]):
            at = float(event["at"])
            yield at
            if "silence" in event:
                player.silence(at, event["silence"], float(event["until"]))
            elif "resolve" in event:
                player.alert(at, labels[event["resolve"]], None, at)
            else:
                name = event["alert"]
                labels[name] = {"alertname": "Test", "name": name, **event.get("is", labels.get(name, {}))}
                player.alert(at, labels[name], event.get("since"), event.get("until"))
        yield self.until


def timelines() -> list[Timeline]:
    """Return every timeline of the file."""
    return [Timeline(**each) for each in yaml.safe_load(FILE.read_text())]


def _scaled(route: dict[str, Any], unit: float) -> dict[str, Any]:
    found = {name: f"{round(route[name] * unit * 1000)}ms" if name in DURATIONS else route[name] for name in route}
    return {**found, "routes": [_scaled(child, unit) for child in route.get("routes", [])]}
