"""What an alert is called and says: its labels and annotations, made of its rule and its series."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.templates import fill

_LABEL = re.compile(r'([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts that a rule gives its alerts."""

    alertname: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    runbook_url: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about, and what was found there."""

    system: str
    severity: str
    unit: str = ""
    unit_kind: str = ""
    source: str = ""
    metric: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # of the series
    value: float | None = None
    threshold: float | None = None

    def names(self, alertname: str, subject: str) -> dict[str, object]:
        """Return what the places of a text may name."""
        return {
            "value": self.value, "threshold": self.threshold, "unit": self.unit, "unit_kind": self.unit_kind,
            "system": self.system, "severity": self.severity, "alertname": alertname, "metric": self.metric,
            "source": self.source, "subject": subject,
        }  # fmt: skip


def labels_of(series: str) -> dict[str, str]:
    """Return the labels in `metric{queue="mail"}`."""
    _, _, inner = series.partition("{")
    return {name: json.loads(value) for name, value in _LABEL.findall(inner)}


def rendered(wording: Wording, about: Subject, subject: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return an alert's labels and annotations.

    The rule's labels go before the series' own, and the platform's before both: nobody writes himself another system.
    """
    names = about.names(wording.alertname, subject)
    own = {"alertname": wording.alertname, "severity": about.severity, "system": about.system}
    own |= {"unit": about.unit, "unit_kind": about.unit_kind}
    given = {name: fill(text, names, about.labels) for name, text in wording.labels.items()}
    unknown = {} if about.unit or not about.source else {"source": about.source}  # or two would look the same
    labels = {**unknown, **about.labels, **given, **own}
    told = {"runbook_url": wording.runbook_url} if wording.runbook_url else {}
    told |= {name: fill(text, names, labels) for name, text in wording.annotations.items()}
    return labels, told
