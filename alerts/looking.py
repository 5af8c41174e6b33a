"""What a rule finds right now, without changing anything: for previews and explanations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.utils import timezone

from alerts import feeding, machine
from alerts.book import single
from alerts.conditions import KINDS
from alerts.conditions.kind import Feed
from alerts.evaluation import COMPARISONS, subject_of
from alerts.explaining import Explanation, Facts, explain
from alerts.machine import Verdict
from alerts.models import Alert, AlertRule
from subsystems.kernel.errors import Invalid, TransientError
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System

PREVIEWED = ("kind", "aggregation", "window_seconds", "stale_seconds", "match", "subtree", "params")


def kinds() -> list[dict[str, Any]]:
    """Return the kinds of conditions as JSON."""
    tabled = (Feed.SAMPLES, Feed.PAIRS, Feed.EXPRESSION)
    return [
        {
            "name": kind.name, "title": kind.title, "says": kind.says, "needs_metric": kind.feed in tabled,
            "default_window": kind.default_window, "default_threshold": kind.default_threshold,
            "params": dict(kind.defaults),
        }
        for kind in KINDS.values()
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule finds in one series, or in another thing that it watches."""

    source: str
    series: str
    system_id: int
    unit_id: int | None
    value: float | None
    at: float | None
    verdict: Verdict

    @property
    def subject(self) -> str:
        """Return how people call it."""
        return subject_of(self.source, self.series)


def findings(rule: AlertRule, *, now: float) -> list[Finding]:
    """Return what *rule*, saved or not, finds now. Raises TransientError, and Invalid for a failing expression."""
    book = single(rule)
    found = []
    for group in book.groups:
        reading = feeding.read(book, group, now=now)
        if reading.failed:
            raise Invalid(next(iter(reading.failed.values())), field="params")
        terms = book.terms.of(reading.rule)
        verdicts = machine.judged(reading.values, reading.at, terms, machine.fresh(len(reading.rule)), now=now)
        for pair, verdict in enumerate(verdicts.tolist()):
            row = reading.row(pair, book.table)
            unit = book.units.within(book.watches[0].selector.scope, row.system_id, row.source)[1]
            value, at = _known(reading.values[pair]), _known(reading.at[pair])
            unit_id = unit.id if unit else None
            found.append(Finding(row.source, row.series, row.system_id, unit_id, value, at, Verdict(verdict)))
    return sorted(found, key=lambda each: each.subject)


def preview(
    system: System,
    metric: str,
    unit_kind: str = "",
    unit_id: int | None = None,
    comparison: str = "gt",
    threshold: float | None = None,
    *,
    now: float | None = None,
    **fields: Any,
) -> list[dict[str, Any]]:
    """Return the current value of each series that such a rule would watch, and whether it meets the condition.

    `matches` is None without a threshold, and for a series that has been silent for too long. Raises Invalid.
    """
    if comparison not in COMPARISONS:
        raise Invalid(f"A comparison is one of {', '.join(COMPARISONS)}.", field="comparison")
    rule = AlertRule(
        system=system, metric=metric, unit_kind=unit_kind, unit_id=unit_id, comparison=comparison,
        threshold=0.0 if threshold is None else threshold, **fields,
    )  # fmt: skip
    kind = KINDS.get(rule.kind)
    if kind is None:
        raise Invalid(f"The kinds of conditions are {', '.join(KINDS)}.", field="kind")
    rule.params = kind.settle(rule.params)
    rule.window_seconds = rule.window_seconds or kind.default_window
    return lines(rule, now=now, judged=threshold is not None)


def lines(rule: AlertRule, *, now: float | None = None, judged: bool = True) -> list[dict[str, Any]]:
    """Return what *rule* finds now as JSON, without what has not been heard in the last hour."""
    return [_line(each, judged=judged) for each in findings(rule, now=_now(now)) if each.at is not None]


def _line(found: Finding, *, judged: bool) -> dict[str, Any]:
    stale = found.verdict is Verdict.NO_DATA
    return {
        "subject": found.subject,
        "unit_id": found.unit_id,
        "value": found.value,
        "at": moment_text(found.at),
        "stale": stale,
        "matches": None if stale or not judged else found.verdict is Verdict.HOLDS,
    }


def explanations(rule: AlertRule, *, now: datetime, subject: str = "") -> list[dict[str, Any]]:
    """Return why *rule* fires or does not, for each thing that it watches, or for those called *subject*."""
    try:
        found, error = findings(rule, now=now.timestamp()), ""
    except (TransientError, Invalid) as failure:
        found, error = [], str(failure)
    alerts = {alert.subject: alert for alert in Alert.objects.filter(rule=rule).exclude(state=Alert.State.RESOLVED)}
    held = set(Alert.objects.filter(rule=rule, held=True, state=Alert.State.RESOLVED).values_list("subject", flat=True))
    told = []
    for each in found:
        if subject and each.subject != subject:
            continue
        facts = facts_of(rule, each, alerts.pop(each.subject[:260], None), now=now, held=each.subject[:260] in held)
        told.append(_told(each.subject, facts, explain(facts)))
    for name, alert in alerts.items():  # of which nothing is heard now
        if not subject or name == subject:
            facts = facts_of(rule, None, alert, now=now, error=error)
            told.append(_told(name, facts, explain(facts)))
    if error and not told:
        facts = facts_of(rule, None, None, now=now, error=error)
        told.append(_told(subject or rule.name, facts, explain(facts)))
    return told


def facts_of(
    rule: AlertRule, found: Finding | None, alert: Alert | None, *, now: datetime, held: bool = False, error: str = ""
) -> Facts:  # fmt: skip
    """Return all that an explanation is made from."""
    return Facts(
        what=KINDS[rule.kind].says, comparison=rule.comparison, threshold=rule.threshold,
        recover_threshold=rule.threshold if rule.recover_threshold is None else rule.recover_threshold,
        for_seconds=rule.for_seconds, keep_firing_seconds=rule.keep_firing_seconds, stale_seconds=rule.stale_seconds,
        no_data_policy=rule.no_data_policy, enabled=rule.enabled, error=error, held=held,
        value=found.value if found else None,
        silent_seconds=None if found is None or found.at is None else max(now.timestamp() - found.at, 0.0),
        state=str(alert.state) if alert else "normal",
        held_seconds=(now - alert.pending_at).total_seconds() if alert else None,
        recovering_seconds=(now - alert.recovering_at).total_seconds() if alert and alert.recovering_at else None,
        suppressed=alert.suppressed if alert else "", version=rule.version,
    )  # fmt: skip


def _told(subject: str, facts: Facts, said: Explanation) -> dict[str, Any]:
    return {
        "subject": subject, "state": facts.state, "value": facts.value, "threshold": facts.threshold,
        "rule_version": facts.version, "because": list(said.because), "would_change": list(said.would_change),
    }  # fmt: skip


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _now(now: float | None) -> float:
    return timezone.now().timestamp() if now is None else now
