"""Evaluating rules: what is measured becomes pending, firing, recovering and resolved alerts."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import numpy as np
from django.db import transaction

from alerts import feeding, lifecycle, machine, queries
from alerts.book import Book, Group, Watch, shelf
from alerts.conditions.ragged import Floats, held_since
from alerts.evaluation import WORDS, base_metric, fingerprint, subject_of
from alerts.feeding import Reading
from alerts.machine import Memory, State, Verdict
from alerts.models import Alert, AlertRule
from alerts.selecting import Places, Row, UnitRef
from alerts.transitions import Kind, Transition, note_all
from alerts.wording import Subject, Wording, rendered
from subsystems.kernel.errors import TransientError
from subsystems.kernel.times import moment_text

logger = logging.getLogger(__name__)
WINDOW_MARGIN_SECONDS = 60.0  # a sample from before the duration began must be in the window
CODES = {
    Alert.State.PENDING: State.PENDING, Alert.State.FIRING: State.FIRING, Alert.State.RECOVERING: State.RECOVERING,
    Alert.State.NO_DATA: State.NO_DATA,
}  # fmt: skip
EVERYTHING = "*"  # the source of an alert over all that its rule watches
ERROR = "!"  # the source of an alert about the rule itself


@dataclass(frozen=True, slots=True)
class Case:
    """One pair of a rule and what it watches in which something is to be done."""

    watch: Watch
    row: Row
    unit: UnitRef | None
    state: State
    value: float | None
    since: float | None
    level: int = 0
    count: tuple[int, int] | None = None  # how many hold, of how many heard, where one alert is over all

    @property
    def fingerprint(self) -> str:
        """Return the key of its alert (2-29)."""
        rule, row = self.watch.rule, self.row
        beyond = () if row.system_id == rule.system_id else (row.system_id,)
        return fingerprint("rule", rule.pk, row.source, row.series, *beyond)

    @property
    def severity(self) -> str:
        """Return how bad it is: the rule's own severity, or that of the worst step that is met."""
        return self.watch.worse[self.level - 1][0] if self.level else str(self.watch.rule.severity)

    @property
    def threshold(self) -> float:
        """Return the threshold that goes with the severity."""
        return self.watch.worse[self.level - 1][1] if self.level else self.watch.rule.threshold

    @property
    def subject(self) -> str:
        """Return what people read after the rule's name."""
        if self.row.source == EVERYTHING:
            return f"{self.count[0]} of {self.count[1]}" if self.count else "all"
        return subject_of(self.row.source, self.row.series) or self.watch.rule.system.slug

    def inputs(self) -> dict[str, Any]:
        """Return what the decision was made from."""
        rule = self.watch.rule
        told: dict[str, Any] = {
            "kind": rule.kind, "metric": rule.metric, "source": self.row.source, "series": self.row.series,
            "value": self.value, "comparison": rule.comparison, "threshold": self.threshold,
            "recover_threshold": rule.recover_threshold, "for_seconds": rule.for_seconds,
            "since": moment_text(self.since), "aggregation": rule.aggregation, "window_seconds": rule.window_seconds,
        }  # fmt: skip
        if self.count:
            told |= {"across": rule.across, "holding": self.count[0], "heard": self.count[1]}
        return told


@dataclass
class Changes:
    """What one evaluation does in one system. Nothing of it is done twice when two evaluators run at once."""

    new: dict[str, Case] = field(default_factory=dict)  # by fingerprint
    due: dict[str, Case] = field(default_factory=dict)  # to be told: pending or new, and held for long enough
    values: list[tuple[Alert, float]] = field(default_factory=list)
    dropped: list[Alert] = field(default_factory=list)  # pending no longer: never told, so nothing to keep
    ended: list[tuple[Alert, Alert.Resolution, dict[str, Any]]] = field(default_factory=list)
    moved: list[tuple[Alert, Kind, Case]] = field(default_factory=list)  # open, from one state to another
    graded: list[tuple[Alert, Case]] = field(default_factory=list)  # of another severity now
    released: list[Alert] = field(default_factory=list)  # resolved by hand, and the condition was false since
    silent: list[Alert] = field(default_factory=list)
    heard: list[Alert] = field(default_factory=list)

    def any(self) -> bool:
        """Return whether there is anything to write."""
        return any(vars(self).values())


def evaluate(*, now: datetime, shard: int = 0, of: int = 1, everything: bool = False) -> int:
    """Evaluate the rules of *shard* that are due; return how many alerts began to fire.

    Running twice is safe: all that lasts is in the alerts, and each change of one is claimed by one UPDATE.
    """
    return carry_out(judge(now=now, shard=shard, of=of, everything=everything))


def judge(*, now: datetime, shard: int = 0, of: int = 1, everything: bool = False) -> Turn:
    """Return what is to be done for the rules of *shard*; nothing is written."""
    book = shelf.book(shard, of)
    due = np.ones(len(book.watches), np.bool_) if everything else _due(book, now.timestamp())
    turn = Turn(book, due, queries.watched_alerts(shard, of), now)
    for group in book.groups:
        turn.judge(group)
    turn.look_after_the_rest()
    return turn


def carry_out(turn: Turn) -> int:
    """Write what *turn* has found; return how many alerts began to fire."""
    fired = 0
    for system_id, changes in turn.changes.items():
        if changes.any():
            with transaction.atomic():
                fired += _apply(system_id, changes, turn.now_at)
    _note_errors(turn)
    return fired


def _due(book: Book, now: float) -> Any:
    """Return which rules are due in this slot; those of longer intervals are spread over it by their number."""
    intervals = np.array([each.rule.interval_seconds // 5 or 1 for each in book.watches], np.int64)
    keys = np.array([each.rule.pk for each in book.watches], np.int64)
    return (int(now) // 5 + keys) % intervals == 0 if len(keys) else np.ones(0, np.bool_)


class Turn:
    """One evaluation of one shard."""

    def __init__(self, book: Book, due: Any, alerts: Sequence[Alert], now: datetime) -> None:
        self.book, self.due, self.at, self.now = book, due, now, now.timestamp()
        self.now_at = now
        self.error_alerts: list[Alert] = []
        self.changes: dict[int, Changes] = defaultdict(Changes)
        self.errors: dict[int, str] = {}  # by the rule's place
        self._known: dict[int, dict[tuple[int, str, str], Alert]] = defaultdict(dict)
        self._rest: dict[int, Alert] = {}
        for alert in alerts:
            self._file(alert)

    def _file(self, alert: Alert) -> None:
        """Note an alert, or let it go where nobody watches it any more."""
        place = self.book.place_of.get(alert.rule_id or 0)
        unit_id = alert.data.get("unit_id")
        if place is None:
            self._let_go(alert, Alert.Resolution.RULE)
        elif unit_id is not None and not self.book.units.is_watched(unit_id):
            self._let_go(alert, Alert.Resolution.UNIT)
        elif alert.data.get("source") == ERROR:
            self.error_alerts.append(alert)
        elif self.due[place]:
            name = (alert.data.get("system_id", alert.system_id), alert.data["source"], alert.data["series"])
            if (before := self._known[place].get(name)) is None or alert.open or not before.open:
                self._known[place][name] = alert
            self._rest[alert.pk] = alert

    # --- Judging ----------------------------------------------------------------------------------------------------
    def judge(self, group: Group) -> None:
        """Judge all pairs of one group."""
        try:
            reading = feeding.read(self.book, group, now=self.now)
        except TransientError as error:  # seen nothing: every open alert says so and stays as it is
            logger.warning("Alert rules cannot be evaluated: %s", error)
            self.errors |= {place: str(error)[:300] or type(error).__name__ for place in group.rules if self.due[place]}
            return
        self.errors |= {place: why for place, why in reading.failed.items() if self.due[place]}
        alone = self.due[reading.rule] & ~self.book.grouped[reading.rule]
        self._each(group, reading, np.flatnonzero(alone))
        for place in group.rules:
            if self.due[place] and self.book.grouped[place]:
                self._together(place, reading)

    def _each(self, group: Group, reading: Reading, pairs: Places) -> None:
        terms = self.book.terms.of(reading.rule[pairs])
        memory, alerts = self._memory(reading, pairs)
        values, at = reading.values[pairs], reading.at[pairs]
        verdict = machine.judged(values, at, terms, memory, now=self.now)
        since = self._since(group, reading, pairs, verdict, memory)
        judged_at = np.where(np.isnan(reading.judged_at[pairs]), self.now, reading.judged_at[pairs])
        step = machine.advance(verdict, judged_at, since, terms, memory, now=self.now, heard=at)
        levels = machine.levels(values, terms)
        touched = np.flatnonzero((step.state != State.NORMAL) | (memory.state != State.NORMAL) | memory.held)
        for pair in touched.tolist():
            case = self._case(
                int(reading.rule[pairs[pair]]), reading.row(int(pairs[pair]), self.book.table), State(step.state[pair]),
                values[pair], step.since[pair], int(levels[pair]),
            )  # fmt: skip
            self._follow(
                case, alerts.get(pair), Verdict(verdict[pair]), bool(step.released[pair]), bool(step.silent[pair])
            )

    def _memory(self, reading: Reading, pairs: Places) -> tuple[Memory, dict[int, Alert]]:
        """Return what the open alerts say of *pairs*."""
        memory, alerts = machine.fresh(len(pairs)), {}
        rules = reading.rule[pairs]
        for place, known in self._known.items():
            low, high = (int(edge) for edge in np.searchsorted(rules, [place, place + 1]))  # pairs come by rule
            if low == high:
                continue
            for name, alert in known.items():
                pair = self._pair_of(name, reading, pairs, low, high)
                if pair is not None:
                    alerts[pair] = alert
                    _remember(memory, pair, alert)
        return memory, alerts

    def _pair_of(self, name: tuple[int, str, str], reading: Reading, pairs: Places, low: int, high: int) -> int | None:
        """Return which of a rule's pairs, from *low* to *high*, is about *name*."""
        if reading.rows is not None:
            return next((pair for pair in range(low, high) if reading.rows[pairs[pair]].name == name), None)
        assert reading.places is not None
        place = self.book.table.by_name.get(name, -1)
        own = reading.places[pairs[low:high]]
        at = int(np.searchsorted(own, place))
        return low + at if at < len(own) and own[at] == place else None

    def _since(self, group: Group, reading: Reading, pairs: Places, verdict: Any, memory: Memory) -> Floats:
        """Return since when each condition has held without a break, read from the samples themselves.

        So it is right after a restart, and for a series that arrives late in a burst. A window without a break goes on
        from when the alert became pending.
        """
        since = np.full(len(pairs), np.nan)
        terms = self.book.terms.of(reading.rule[pairs])
        waiting = (verdict == Verdict.HOLDS) & (terms.for_seconds > 0) & (memory.state <= State.PENDING) & ~memory.held
        chosen = np.flatnonzero(waiting)
        if not len(chosen) or reading.places is None or group.asked.window_seconds or group.asked.kind != "threshold":
            return since
        places = reading.places[pairs[chosen]]
        used = np.unique(places)
        longest = float(terms.for_seconds[chosen].max()) + WINDOW_MARGIN_SECONDS
        rows = feeding.window_rows(self.book.table, used, self.now - longest, self.now)
        for rule in np.unique(reading.rule[pairs[chosen]]).tolist():
            mine = chosen[reading.rule[pairs[chosen]] == rule]
            one = self.book.terms.of(np.array([rule]))
            own = rows.since(self.now - float(one.for_seconds[0]) - WINDOW_MARGIN_SECONDS)
            holds = machine.meets(
                own.values, np.repeat(one.comparison, len(own.values)), np.repeat(one.threshold, len(own.values))
            )  # fmt: skip
            began, whole = held_since(own, holds, float(one.stale_seconds[0]))
            at = np.searchsorted(used, reading.places[pairs[mine]])
            earlier = np.fmin(began[at], memory.since[mine])
            since[mine] = np.where(whole[at], earlier, began[at])
        return since

    def _together(self, place: int, reading: Reading) -> None:
        """Judge a rule that raises one alert over all that it watches."""
        each = self.book.watches[place]
        low, high = np.searchsorted(reading.rule, [place, place + 1])
        row = Row(each.rule.system_id, EVERYTHING)
        alert = self._known[place].get(row.name)
        one = machine.fresh(1)
        if alert is not None:
            _remember(one, 0, alert)
        terms = self.book.terms.of(np.full(high - low, place))
        shared = Memory(*(np.repeat(getattr(one, name), high - low) for name in Memory.__slots__))
        verdicts = machine.judged(reading.values[low:high], reading.at[low:high], terms, shared, now=self.now)
        holding, heard = int((verdicts == Verdict.HOLDS).sum()), int((verdicts != Verdict.NO_DATA).sum())
        verdict = overall(each.rule, holding, heard, nothing=each.kind.hears_silence and not heard)
        now = np.array([self.now])
        step = machine.advance(
            np.array([verdict], np.int8), now, np.array([np.nan]), self.book.terms.of(np.array([place])), one,
            now=self.now, heard=np.nanmax(np.append(reading.at[low:high], self.now - 3600.0), keepdims=True),
        )  # fmt: skip
        if step.state[0] == State.NORMAL and alert is None:
            return
        level = int(machine.levels(reading.values[low:high], terms).max(initial=0))
        case = self._case(place, row, State(step.state[0]), float(holding), step.since[0], level, (holding, heard))
        self._follow(case, alert, verdict, bool(step.released[0]), bool(step.silent[0]))

    def _case(
        self, place: int, row: Row, state: State, value: float, since: float, level: int,
        count: tuple[int, int] | None = None,
    ) -> Case:  # fmt: skip
        each = self.book.watches[place]
        unit = self.book.units.within(each.selector.scope, row.system_id, row.source)[1]
        known = None if np.isnan(value) else float(value)
        return Case(each, row, unit, state, known, None if np.isnan(since) else float(since), level, count)

    # --- Following --------------------------------------------------------------------------------------------------
    def _follow(self, case: Case, alert: Alert | None, verdict: Verdict, released: bool, silent: bool) -> None:
        """Note what is to be done for one pair."""
        changes = self.changes[case.watch.rule.system_id]
        if alert is None:
            self._begin(changes, case)
            return
        self._rest.pop(alert.pk, None)
        if released:
            changes.released.append(alert)
        if not alert.open:
            return
        if case.state == State.NORMAL:
            self._let_go(alert, Alert.Resolution.CONDITION, case.inputs())
            return
        self._hearing(changes, alert, silent)
        if CODES.get(Alert.State(alert.state)) != case.state:
            self._move(changes, alert, case)
        elif verdict == Verdict.HOLDS and case.state in (State.FIRING, State.PENDING):
            self._go_on(changes, alert, case)

    def _begin(self, changes: Changes, case: Case) -> None:
        if case.state == State.NORMAL:
            return
        changes.new[case.fingerprint] = case
        if case.state in (State.FIRING, State.NO_DATA):
            changes.due[case.fingerprint] = case

    def _move(self, changes: Changes, alert: Alert, case: Case) -> None:
        if alert.state == Alert.State.PENDING:
            changes.due[alert.fingerprint] = case
        elif case.state == State.RECOVERING:
            changes.moved.append((alert, Kind.RECOVERING, case))
        elif case.state == State.FIRING:
            changes.moved.append((alert, Kind.RELAPSED, case))
        elif case.state == State.NO_DATA:
            changes.moved.append((alert, Kind.NO_DATA, case))

    def _go_on(self, changes: Changes, alert: Alert, case: Case) -> None:
        if case.state == State.FIRING and case.severity != alert.severity:
            changes.graded.append((alert, case))
        elif case.value is not None and case.value != alert.value:
            changes.values.append((alert, case.value))

    def _hearing(self, changes: Changes, alert: Alert, silent: bool) -> None:
        if silent and alert.no_data_since is None:
            changes.silent.append(alert)
        elif not silent and alert.no_data_since is not None:
            changes.heard.append(alert)

    def _let_go(self, alert: Alert, why: Alert.Resolution, inputs: dict[str, Any] | None = None) -> None:
        changes = self.changes[alert.system_id]
        if alert.state == Alert.State.PENDING:
            changes.dropped.append(alert)
        elif alert.open:
            changes.ended.append((alert, why, inputs or {}))
        else:
            changes.released.append(alert)

    def look_after_the_rest(self) -> None:
        """Mark the open alerts of which nothing was heard, or let them go where the rule takes that for good."""
        for alert in self._rest.values():
            place = self.book.place_of[alert.rule_id or 0]
            rule = self.book.watches[place].rule
            policy = rule.error_policy if place in self.errors else rule.no_data_policy
            if policy == AlertRule.Policy.OK:
                self._let_go(alert, Alert.Resolution.CONDITION, {"error": self.errors.get(place, ""), "policy": policy})
            elif alert.open:
                self._hearing(self.changes[alert.system_id], alert, silent=True)


def overall(rule: AlertRule, holding: int, heard: int, *, nothing: bool = False) -> Verdict:
    """Return the verdict over all that a rule watches; *nothing* at all is heard, and that is what it looks for."""
    if nothing:
        return Verdict.HOLDS
    if not heard:
        return Verdict.NO_DATA
    needed = {"any": 1, "all": heard}.get(rule.across, rule.at_least)
    return Verdict.HOLDS if holding >= needed else Verdict.CLEAR


def _remember(memory: Memory, pair: int, alert: Alert) -> None:
    if not alert.open:
        memory.held[pair] = True
        return
    memory.state[pair] = CODES.get(Alert.State(alert.state), State.FIRING)
    memory.since[pair] = alert.pending_at.timestamp()
    if alert.recovering_at is not None:
        memory.recovering_since[pair] = alert.recovering_at.timestamp()


def _note_errors(turn: Turn) -> None:
    """Write why rules could not be evaluated, where that changed, and raise alerts of those that ask for them."""
    open_errors = {alert.rule_id for alert in turn.error_alerts}
    for place in np.flatnonzero(turn.due).tolist():
        rule, why = turn.book.watches[place].rule, turn.errors.get(place, "")
        if not why and not rule.error and rule.pk not in open_errors:
            continue
        with transaction.atomic():
            _note_error(rule, why, turn.now_at)


def _note_error(rule: AlertRule, why: str, now: datetime) -> None:
    since = (rule.error_since or now) if why else None
    if why != rule.error:
        AlertRule.objects.filter(pk=rule.pk).update(error=why, error_since=since)
        rule.error, rule.error_since = why, since
    open_alert = queries.error_alert(rule)
    if open_alert is not None and not why:
        lifecycle.end(open_alert, Alert.Resolution.CONDITION, now=now, inputs={"error": ""})
    due = why and since is not None and (now - since).total_seconds() >= rule.for_seconds
    if due and open_alert is None and rule.error_policy == AlertRule.Policy.ALERT:
        _raise_error(rule, why, now)


def _raise_error(rule: AlertRule, why: str, now: datetime) -> None:
    key = fingerprint("rule", rule.pk, ERROR, "")
    about = Subject(rule.system.slug, str(rule.severity))
    texts = Wording(rule.name, rule.labels, rule.annotations, rule.runbook_url)
    labels, annotations = rendered(texts, about, ERROR)
    alert = Alert(
        system_id=rule.system_id, rule=rule, rule_version=rule.version, type="rule", fingerprint=key,
        title=f"{rule.name} cannot be evaluated: {why}"[:200], subject=rule.name, severity=rule.severity,
        pending_at=now, labels={**labels, "error": "evaluation"}, annotations={**annotations, "error": why},
        data={"source": ERROR, "series": "", "metric": rule.metric, "condition": "it can be evaluated", "error": why},
    )  # fmt: skip
    Alert.objects.bulk_create([alert], ignore_conflicts=True)
    herald = lifecycle.Herald.of(rule.system_id, "rule", [key], now=now)
    for made in queries.by_fingerprints([key]).values():
        herald.fire(made, timedelta(seconds=rule.cooldown_seconds), {"error": why}, state=Alert.State.ERROR)


# --- Writing ----------------------------------------------------------------------------------------------------------
def _apply(system_id: int, changes: Changes, now: datetime) -> int:
    _mark(changes, now)
    for alert, why, inputs in changes.ended:
        lifecycle.end(alert, why, now=now, inputs=inputs)
    _drop(changes.dropped, now)
    _move_all(changes.moved, now)
    for alert, case in changes.graded:
        _grade(alert, case, now)
    _open(changes.new, now)
    fired = _fire(system_id, changes.due, now)
    told = {alert.pk for alert in fired}
    lifecycle.show_all(alert for key, alert in queries.by_fingerprints(changes.new).items() if alert.pk not in told)
    return len(fired)


def _mark(changes: Changes, now: datetime) -> None:
    """Write what changes nothing of an alert's state: values, silence, and releases."""
    for alert, value in changes.values:
        alert.value = value
    for alert in changes.silent:
        alert.no_data_since = now
    for alert in changes.heard:
        alert.no_data_since = None
    if changes.values:
        Alert.objects.bulk_update([alert for alert, _ in changes.values], ["value"], batch_size=200)
    _update(changes.silent, no_data_since=now)
    _update(changes.heard, no_data_since=None)
    moving = {alert.pk for alert, kind, _ in changes.moved if kind is Kind.NO_DATA}
    note_all(Transition(alert, Kind.NO_DATA, now) for alert in changes.silent if alert.pk not in moving)
    note_all(Transition(alert, Kind.HEARD, now) for alert in changes.heard)
    _update(changes.released, held=False)
    touched = {alert.pk: alert for alert in [*(alert for alert, _ in changes.values), *changes.silent, *changes.heard]}
    lifecycle.show_all(touched.values())


def _drop(pending: Sequence[Alert], now: datetime) -> None:
    """Forget alerts whose condition did not hold for long enough; open dashboards see them end."""
    if not pending:
        return
    still = Alert.objects.filter(pk__in=[alert.pk for alert in pending], state=Alert.State.PENDING)
    mine = set(still.select_for_update().values_list("pk", flat=True))
    Alert.objects.filter(pk__in=mine).delete()
    gone = [alert for alert in pending if alert.pk in mine]
    for alert in gone:
        alert.state = Alert.State.RESOLVED
    note_all(Transition(alert, Kind.CLEARED, now) for alert in gone)
    lifecycle.show_all(gone)


def _move_all(moved: Iterable[tuple[Alert, Kind, Case]], now: datetime) -> None:
    """Write changes between the states of an open alert, each claimed by one UPDATE."""
    told = []
    for alert, kind, case in moved:
        state = {Kind.RECOVERING: Alert.State.RECOVERING, Kind.NO_DATA: Alert.State.NO_DATA}.get(
            kind, Alert.State.FIRING
        )
        changed: dict[str, Any] = {"state": state, "recovering_at": now if kind is Kind.RECOVERING else None}
        if case.value is not None:
            changed["value"] = case.value
        if Alert.objects.filter(pk=alert.pk, state=alert.state).update(**changed):
            told.append(Transition(lifecycle.shown(alert), kind, now, case.inputs()))
    note_all(told)


def _grade(alert: Alert, case: Case, now: datetime) -> None:
    """Give an alert that fires another severity."""
    labels, annotations = _words(case)
    lifecycle.grade(
        alert, case.severity, now=now, inputs=case.inputs(), value=case.value, labels=labels, annotations=annotations,
        data={**alert.data, "threshold": case.threshold, "condition": _condition(case)},
    )  # fmt: skip


def _open(new: dict[str, Case], now: datetime) -> None:
    """Insert pending alerts; one that another evaluator was quicker with is left as it is."""
    if not new:
        return
    mine = uuid4().hex  # tells whose row it became: the database does not say which were in its way
    rows = [_pending(key, case, mine, now) for key, case in new.items()]
    Alert.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    opened = [alert for alert in queries.by_fingerprints(new).values() if alert.data.get("opened_by") == mine]
    note_all(Transition(alert, Kind.PENDING, now, new[alert.fingerprint].inputs()) for alert in opened)


def _words(case: Case) -> tuple[dict[str, str], dict[str, str]]:
    """Return the labels and annotations of *case* as they are now."""
    rule, unit = case.watch.rule, case.unit
    about = Subject(
        rule.system.slug, case.severity, unit.name if unit else "", unit.kind if unit else "",
        "" if case.row.source == EVERYTHING else case.row.source, base_metric(rule.metric), case.row.labels, case.value,
        case.threshold,
    )  # fmt: skip
    return rendered(Wording(rule.name, rule.labels, rule.annotations, rule.runbook_url), about, case.subject)


def _condition(case: Case) -> str:
    rule = case.watch.rule
    what = rule.metric if rule.kind == "threshold" else f"{case.watch.kind.title.lower()} {rule.metric}".strip()
    return f"{what} {WORDS[rule.comparison]} {case.threshold:g}"


def _pending(key: str, case: Case, opened_by: str, now: datetime) -> Alert:
    rule, row = case.watch.rule, case.row
    labels, annotations = _words(case)
    began = now if case.since is None else datetime.fromtimestamp(case.since, tz=UTC)
    return Alert(
        system_id=rule.system_id,
        rule=rule,
        rule_version=rule.version,
        labels=labels,
        annotations=annotations,
        unit_id=case.unit.id if case.unit else None,
        type="rule",
        title=f"{rule.name}: {case.subject}"[:200],
        subject=case.subject[:260],
        fingerprint=key,
        severity=case.severity,
        value=case.value,
        no_data_since=now if case.state == State.NO_DATA else None,
        pending_at=began,
        data={
            "metric": rule.metric, "series": row.series, "source": row.source, "comparison": rule.comparison,
            "condition": _condition(case), "threshold": case.threshold, "unit_id": case.unit.id if case.unit else None,
            "opened_by": opened_by, "system_id": row.system_id,
        },
    )  # fmt: skip


def _fire(system_id: int, due: dict[str, Case], now: datetime) -> list[Alert]:
    """Let pending alerts fire, each once, and ask S5 for an answer to those that people are told of."""
    if not due:
        return []
    herald = lifecycle.Herald.of(system_id, "rule", due, now=now)
    fired = []
    for key, alert in queries.by_fingerprints(due).items():
        case = due[key]
        if case.value is not None:
            alert.value = case.value
        alert.severity = case.severity
        alert.labels, alert.annotations = _words(case)
        state = Alert.State.NO_DATA if case.state == State.NO_DATA else Alert.State.FIRING
        cooldown = timedelta(seconds=case.watch.rule.cooldown_seconds)
        if herald.fire(alert, cooldown, case.inputs(), state=state):
            fired.append(alert)
    return fired


def _update(alerts: Sequence[Alert], **fields: Any) -> None:
    if alerts:
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(**fields)
