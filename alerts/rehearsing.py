"""Rehearsing a rule on what the tiers know of the last days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alerts import rehearsal
from alerts.book import single
from alerts.conditions.kind import Feed
from alerts.conditions.ragged import Rows, rows_of
from alerts.evaluation import base_metric, subject_of
from alerts.evaluator import overall
from alerts.models import AlertRule
from alerts.rehearsal import Episode, Tally
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.s5_policy.queries import alert_policy
from subsystems.telemetry import queries as telemetry
from subsystems.telemetry.aggregates import Aggregate, parse
from subsystems.telemetry.samples import labels_text, series_name

DAY = 86_400.0
LONGEST_DAYS = 30
MOST_EPISODES = 500
Counting = Callable[[Sequence[Episode], AlertRule], Tally]  # whoever groups notifications counts them in its own way


def spared(episodes: Sequence[Episode], rule: AlertRule) -> Tally:
    """Count with the cooldown of the rule and the cap of its system."""
    severities = [str(rule.severity), *(step["severity"] for step in rule.severity_steps)]
    cap = alert_policy(rule.system).max_alerts_per_hour
    return rehearsal.tally(episodes, severities, cooldown_seconds=rule.cooldown_seconds, max_per_hour=cap)


def rehearse(rule: AlertRule, *, days: float, now: float, counting: Counting = spared) -> dict[str, Any]:
    """Return what *rule*, saved or not, would have done over the last *days*. Raises Invalid."""
    if not 0 < days <= LONGEST_DAYS:
        raise Invalid(f"Between 0 and {LONGEST_DAYS} days.", field="days")
    book = single(rule)
    watch = book.watches[0]
    if watch.kind.feed is not Feed.SAMPLES or watch.kind.hears_silence:
        raise Invalid(f"{watch.kind.title} has no history of samples to be rehearsed on.", field="kind")
    start, step = now - days * DAY, _step(days, rule)
    moments = np.arange(np.ceil(start / step) * step + step, now + step / 2, step)
    places = book.groups[0].pair_place
    names = [book.table.rows[place].name for place in places.tolist()]
    rows, tiers, complete = _history(rule, watch.selector.scope.system_ids, names, moments, step)
    values = (
        rehearsal.sliding(watch.kind, watch.asked, rows, moments)
        if watch.kind.window(watch.asked)
        else rehearsal.on_steps(rows, moments, step)
    )
    terms = book.terms.of(np.zeros(len(names), np.int64))
    together = None if rule.across == AlertRule.Across.EACH else lambda holding, heard: overall(rule, holding, heard)
    episodes = rehearsal.rehearsed(values, moments, terms, together)
    told = counting(episodes, rule)
    return {
        "from": moment_text(start), "to": moment_text(now), "step_seconds": step, "tiers": tiers, "complete": complete,
        "series": len(names), **_sums(episodes, now), "notifications": told.told, "withheld": told.withheld,
        "episodes": [_told(each, names, rule, now) for each in episodes if each.fired_at is not None][-MOST_EPISODES:],
    }  # fmt: skip


def _step(days: float, rule: AlertRule) -> float:
    """Return the seconds between two looks: as live within the last hour, else as fine as what is kept so long."""
    if days * 24 <= 1:
        return float(max(5, rule.interval_seconds))
    return float(max(60 if days <= 7 else 300, rule.interval_seconds))


def _history(
    rule: AlertRule, system_ids: Sequence[int], names: list[tuple[int, str, str]], moments: Any, step: float
) -> tuple[Rows, list[str], bool]:  # fmt: skip
    """Return a value of each series in each step, at the step's end."""
    own = rule.aggregation if rule.kind == "threshold" and rule.window_seconds else "last"
    agg = parse("sum" if own == "count" else own) if own != "last" else Aggregate("last")
    window = rule.window_seconds
    place_of = {name: place for place, name in enumerate(names)}
    found: list[tuple[int, Any, Any]] = []
    tiers: set[str] = set()
    complete = True
    for system_id in sorted({name[0] for name in names}):
        request = telemetry.Request(
            (system_id,), base_metric(rule.metric), float(moments[0]) - step - window, float(moments[-1]), step, agg
        )
        [answer] = telemetry.answer([request], now=float(moments[-1]))
        tiers |= set(answer.tiers)
        complete &= answer.complete
        for line in answer.series:
            name = (system_id, line.source, series_name(line.metric, labels_text(line.labels)))
            if name in place_of:
                found.append((place_of[name], line.at + step, line.values))
    if not found:
        empty = np.empty(0)
        return Rows(empty, empty, np.zeros(len(names) + 1, np.int64)), sorted(tiers), complete
    found.sort(key=lambda each: each[0])
    series = np.repeat([place for place, _, _ in found], [len(at) for _, at, _ in found]).astype(np.int64)
    at, values = (np.concatenate([each[column] for each in found]) for column in (1, 2))
    return rows_of(series, at, values, np.arange(len(names))), sorted(tiers), complete


def _sums(episodes: Sequence[Episode], now: float) -> dict[str, Any]:
    lengths = [(each.ended_at or now) - each.fired_at for each in episodes if each.fired_at is not None]
    return {"fired": len(lengths), "firing_seconds": sum(lengths), "longest_seconds": max(lengths, default=0.0)}


def _told(each: Episode, names: list[tuple[int, str, str]], rule: AlertRule, now: float) -> dict[str, Any]:
    severities = [str(rule.severity), *(step["severity"] for step in rule.severity_steps)]
    return {
        "subject": "all" if each.series < 0 else subject_of(*names[each.series][1:]),
        "pending_at": moment_text(each.pending_at), "fired_at": moment_text(each.fired_at),
        "ended_at": moment_text(each.ended_at), "seconds": (each.ended_at or now) - (each.fired_at or now),
        "severity": severities[each.level],
    }  # fmt: skip
