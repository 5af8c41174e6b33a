"""Rehearsing a rule on what is kept of the last days: its alerts, and the notifications that people would have had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from alerts import rehearsal
from alerts.book import Book, single
from alerts.conditions.kind import Feed
from alerts.evaluation import base_metric, subject_of
from alerts.evaluator import EVERYTHING, overall
from alerts.models import AlertRule
from alerts.notices.external import Report
from alerts.notices.queries import Tree, policies
from alerts.notices.rehearsal import Rehearsal, Said
from alerts.recalling import Span, recall
from alerts.rehearsal import Episode
from alerts.selecting import Row
from alerts.wording import Subject, Wording, rendered
from subsystems.kernel.errors import Invalid
from subsystems.kernel.times import moment_text
from subsystems.s5_policy.queries import alert_policy

DAY = 86_400.0
LONGEST_DAYS = 30
MOST_EPISODES = 500
MOST_EVALUATIONS = 100_000  # of an expression: a second or two
NEVER = 365 * DAY


def rehearse(rule: AlertRule, *, days: float, now: float) -> dict[str, Any]:
    """Return what *rule*, saved or not, would have done over the last *days*. Raises Invalid."""
    if not 0 < days <= LONGEST_DAYS:
        raise Invalid(f"Between 0 and {LONGEST_DAYS} days.", field="days")
    book = single(rule)
    each = book.watches[0]
    start, step = now - days * DAY, _step(days, book)
    moments = np.arange(np.ceil(start / step) * step + step, now + step / 2, step)
    past = recall(book, each, Span(moments, step))
    terms = book.terms.of(np.zeros(len(past.rows), np.int64))
    together = None if rule.across == AlertRule.Across.EACH else lambda holding, heard: overall(rule, holding, heard)
    episodes = rehearsal.rehearsed(past.values, moments, terms, together)
    tally = _tally(rule, episodes)
    said = list(_notified(book, past.rows, tally.told, now))
    return {
        "from": moment_text(start), "to": moment_text(now), "step_seconds": step, "tiers": sorted(past.tiers),
        "complete": past.complete, "series": len(past.rows), **_sums(episodes, now), "told": len(tally.told),
        "withheld": tally.withheld, "notifications": len(said),
        "reasons": dict(Counter(str(each.reason) for each in said)),
        "receivers": dict(Counter(each.receiver for each in said)),
        "episodes": [
            _told(each, past.rows, rule, now) for each in episodes if each.fired_at is not None
        ][-MOST_EPISODES:],
    }  # fmt: skip


def _step(days: float, book: Book) -> float:
    """Return the seconds between two looks: as live within the last hour, else as fine as what is kept so long."""
    rule = book.watches[0].rule
    if days * 24 <= 1:
        return float(max(5, rule.interval_seconds))
    step = max(60 if days <= 7 else 300, rule.interval_seconds)
    if book.watches[0].kind.feed is not Feed.EXPRESSION:
        return float(step)
    affordable = days * DAY * len(book.groups[0].pair_place) / MOST_EVALUATIONS
    return float(max(step, np.ceil(affordable / 60) * 60))


def _tally(rule: AlertRule, episodes: Sequence[Episode]) -> rehearsal.Tally:
    """Let the cooldown of the rule and the cap of its system withhold what they would have."""
    cap = alert_policy(rule.system).max_alerts_per_hour
    return rehearsal.tally(
        episodes, _severities(rule), cooldown_seconds=rule.cooldown_seconds, max_per_hour=cap
    )  # fmt: skip


def _severities(rule: AlertRule) -> list[str]:
    return [str(rule.severity), *(step["severity"] for step in rule.severity_steps)]


# --- What people would have been sent -------------------------------------------------------------------------------
def _notified(book: Book, rows: Sequence[Row], episodes: Sequence[Episode], now: float) -> Iterator[Said]:
    """Let the alerts pass the routing of their system: routes, groups, repetitions, inhibitions, flapping."""
    rule = book.watches[0].rule
    policy = policies(Tree.read(), [rule.system_id])[rule.system_id]
    road = Rehearsal(policy.routing, hold_flapping=True)
    changes = [(each.fired_at, each, False) for each in episodes if each.fired_at is not None]
    changes += [(each.ended_at, each, True) for each in episodes if each.ended_at is not None]
    for at, each, over in sorted(changes, key=lambda change: (change[0], change[2])):
        yield from road.until(at)
        road.report(_report(_labels(book, rows, each), each, at, over))
    yield from road.until(now)


def _report(labels: dict[str, str], each: Episode, at: float, over: bool) -> Report:
    began, ended = (_moment(each.fired_at or at), _moment(at if over else at + NEVER))
    return Report(labels, {}, began, ended, received_at=_moment(at), timeout=not over)


def _labels(book: Book, rows: Sequence[Row], episode: Episode) -> dict[str, str]:
    """Return the labels that the alert would have had."""
    watch, rule = book.watches[0], book.watches[0].rule
    row = Row(rule.system_id, EVERYTHING) if episode.series < 0 else rows[episode.series]
    unit = book.units.within(watch.selector.scope, row.system_id, row.source)[1]
    source = "" if row.source == EVERYTHING else row.source
    about = Subject(
        rule.system.slug, _severities(rule)[episode.level], unit.name if unit else "", unit.kind if unit else "",
        source, base_metric(rule.metric), row.labels,
    )  # fmt: skip
    return rendered(Wording(rule.name, rule.labels), about, subject_of(row.source, row.series))[0]


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# --- In words -------------------------------------------------------------------------------------------------------
def _sums(episodes: Sequence[Episode], now: float) -> dict[str, Any]:
    lengths = [(each.ended_at or now) - each.fired_at for each in episodes if each.fired_at is not None]
    return {"fired": len(lengths), "firing_seconds": sum(lengths), "longest_seconds": max(lengths, default=0.0)}


def _told(each: Episode, rows: Sequence[Row], rule: AlertRule, now: float) -> dict[str, Any]:
    row = None if each.series < 0 else rows[each.series]
    return {
        "subject": "all" if row is None else subject_of(row.source, row.series) or rule.system.slug,
        "pending_at": moment_text(each.pending_at), "fired_at": moment_text(each.fired_at),
        "ended_at": moment_text(each.ended_at), "seconds": (each.ended_at or now) - (each.fired_at or now),
        "severity": _severities(rule)[each.level],
    }  # fmt: skip
