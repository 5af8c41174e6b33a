"""Verbs about what fleets did: keeping what was heard, and forgetting what is past its time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from subsystems.fleets import results, store, watching
from subsystems.fleets.folding import Batch
from subsystems.fleets.listening import Heard, Spell
from subsystems.fleets.masking import Masking, masking
from subsystems.fleets.models import KEEP_DAYS, BlindSpell, ExceptionGroup, HistoryRules, Listening, Task, TaskRollUp
from subsystems.fleets.states import State
from subsystems.fleets.task_events import told
from subsystems.kernel.errors import Invalid
from subsystems.messaging.live import push
from subsystems.s1_operations import broker_urls
from subsystems.s1_operations import services as s1
from subsystems.s1_operations.models import Fleet
from subsystems.s1_operations.sealing import seal
from subsystems.variety import gathering

MAX_TOLD = 50  # tasks of one flush of which open pages are told by name; a page of more reads anew anyway
MAX_HEARD_WORKERS = 500  # of which it is kept how well they are heard


def keep(fleet: Fleet, heard: Heard, *, now: datetime) -> None:
    """Write what was heard of a fleet. Twice is safe: rows are completed, ends are counted once."""
    if heard.batch or heard.unreadable or heard.spells or heard.dropped:
        with transaction.atomic():
            written = store.write(fleet.pk, heard.batch)
            _note_spells(fleet, heard, now)
            _count(fleet, heard, now)
    if heard.batch:
        _note(fleet, heard.batch, written, now.timestamp())
        push(fleet.system_id, "tasks", str(fleet.pk), _news(heard))
    report = heard.report
    if report.metrics or report.heard:
        s1.hear_workers(fleet, report.metrics, heard=report.heard, now=now)
    if report.offline:
        s1.report_offline(fleet, report.offline, now=now)
    if report.again:
        watching.note_redeliveries(fleet, report.again)


def _note(fleet: Fleet, batch: Batch, written: store.Written, now: float) -> None:
    """Tell the operations and the variety of the fleet's workers what they did."""
    news = told(batch, written.ended, written.places, now)
    system, prefix = fleet.system_id, f"{fleet.name}/"
    notes = [
        gathering.Note(system, prefix + worker, task, outcome, milliseconds, at, words, False)
        for worker, task, outcome, milliseconds, at, words in news.ended
    ]
    states = [
        *(
            gathering.State(system, prefix + worker, gathering.Side.ENVIRONMENT, task, at, n)
            for (worker, task, at), n in news.asked.items()
        ),
        *(
            gathering.State(system, prefix + worker, gathering.Side.MANAGEMENT, "revoke", at, n)
            for (worker, at), n in news.revoked.items()
        ),
    ]
    gathering.note_all(notes, states)


def _news(heard: Heard) -> dict[str, Any]:
    """Return what open pages are told of a flush; they ask for what they show."""
    tasks = heard.batch.tasks
    return {
        "changed": len(tasks),
        "failed": sum(facts.state == State.FAILURE for facts in tasks.values()),
        "uuids": list(tasks)[:MAX_TOLD],
        "all_told": len(tasks) <= MAX_TOLD,
    }


def note_hearing(fleet: Fleet, hearing: Mapping[str, Any], *, now: datetime) -> None:
    """Keep how well a fleet is heard, and that it was until now."""
    since = _moment(hearing["since"])
    told = {
        "since": since,
        "last_event_at": _moment(hearing["last_event"]),
        "workers": dict(list(hearing["workers"].items())[:MAX_HEARD_WORKERS]),
        "hears_sending": hearing["hears_sending"],
        **({"written_at": now} if since else {}),  # a gap begins where this was written for the last time
    }
    missed = int(hearing["missed"])
    if not Listening.objects.filter(fleet_id=fleet.pk).update(**told, missed=F("missed") + missed):
        Listening.objects.create(fleet_id=fleet.pk, **{"written_at": now, **told}, missed=missed)


def masking_of(rules: HistoryRules | None) -> Masking:
    """Return what a fleet's rules hide; without any, what is hidden everywhere."""
    return masking((), ()) if rules is None else masking(tuple(rules.masked_names), tuple(rules.masked_tasks))


_COUNT = "UPDATE fleets_listening SET events = events + %s, unreadable = unreadable + %s WHERE fleet_id = %s"


def _count(fleet: Fleet, heard: Heard, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [heard.batch.events, heard.unreadable, fleet.pk])
        counted = cursor.rowcount
    if not counted:
        Listening.objects.create(
            fleet_id=fleet.pk, written_at=now, events=heard.batch.events, unreadable=heard.unreadable
        )


def _note_spells(fleet: Fleet, heard: Heard, now: datetime) -> None:
    rows = [_spell(fleet, spell) for spell in heard.spells]
    if heard.dropped:
        rows.append(
            BlindSpell(
                fleet_id=fleet.pk,
                reason=BlindSpell.Reason.OVERFLOW,
                began_at=now,
                ended_at=now,
                dropped=heard.dropped,
            )
        )
    if rows:
        BlindSpell.objects.bulk_create(rows)


def _spell(fleet: Fleet, spell: Spell) -> BlindSpell:
    return BlindSpell(
        fleet_id=fleet.pk,
        reason=spell.reason,
        began_at=datetime.fromtimestamp(spell.began, UTC),
        ended_at=datetime.fromtimestamp(spell.ended, UTC),
        lost=spell.lost,
    )


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


# --- Forgetting -----------------------------------------------------------------------------------------------------
BATCH = 2_000  # rows deleted in one transaction: a few dozen milliseconds in which writers wait
BREATH_SECONDS = 0.01  # between two of them, so that whoever waits comes first
OWN_KEEP_DAYS = 1  # the platform's own tasks: two each second, all alike
KEEP_ROLL_UPS = timedelta(days=90)
KEEP_SPELLS = timedelta(days=90)
MAX_GROUPS = 5_000  # kinds of failures of a fleet
_OLDEST = (
    "DELETE FROM {table} WHERE id IN "
    "(SELECT id FROM {table} WHERE fleet_id = %s AND {moment} < %s ORDER BY {moment} LIMIT %s)"
)
# A search for each fleet that has rows, where DISTINCT would read all of them.
_FLEETS_WITH_TASKS = (
    "WITH RECURSIVE found(id) AS (SELECT min(fleet_id) FROM fleets_task UNION ALL "
    "SELECT (SELECT min(fleet_id) FROM fleets_task WHERE fleet_id > found.id) FROM found WHERE found.id IS NOT NULL) "
    "SELECT id FROM found WHERE id IS NOT NULL"
)


def forget_old(*, now: datetime, count_too: bool = True, batches: int = 100) -> int:
    """Delete tasks past their time, beyond their number or of a fleet that is gone; return how many.

    In short transactions, at most *batches* of them: the next run goes on. Counting is what costs: *count_too* leaves
    it out.
    """
    rules = HistoryRules.objects.in_bulk()
    kept = {fleet.pk: rules.get(fleet.pk) or default_rules(fleet) for fleet in Fleet.objects.all()}
    gone = 0
    for fleet_id in _fleets_with_tasks():
        before = _cut(fleet_id, kept.get(fleet_id), now, count_too)
        gone += _delete_before("fleets_task", "seen_at", fleet_id, before, batches - gone // BATCH)
        _delete_before("fleets_taskretry", "at", fleet_id, before, batches)
    for fleet_id in kept:
        _forget_groups(fleet_id, now)
    TaskRollUp.objects.filter(at__lt=int((now - KEEP_ROLL_UPS).timestamp())).delete()
    BlindSpell.objects.filter(ended_at__lt=now - KEEP_SPELLS).delete()
    return gone


def _forget_groups(fleet_id: int, now: datetime) -> None:
    """Delete kinds of failures that have not been seen for long, and those beyond the number that anybody reads."""
    groups = ExceptionGroup.objects.filter(fleet_id=fleet_id)
    beyond = groups.order_by("-last_seen_at").values_list("last_seen_at", flat=True)[MAX_GROUPS : MAX_GROUPS + 1]
    groups.filter(last_seen_at__lt=max([now - KEEP_ROLL_UPS, *beyond])).delete()


def default_rules(fleet: Fleet) -> HistoryRules:
    """Return the rules of a fleet for which nobody made any."""
    return HistoryRules(fleet=fleet, keep_days=OWN_KEEP_DAYS if fleet.own else KEEP_DAYS)


def _fleets_with_tasks() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_FLEETS_WITH_TASKS)
        return [fleet_id for (fleet_id,) in cursor.fetchall()]


def _cut(fleet_id: int, rules: HistoryRules | None, now: datetime, count_too: bool) -> float:
    """Return the moment before which nothing of a fleet is kept."""
    if rules is None:
        return float("inf")  # the fleet is gone
    by_age = (now - timedelta(days=rules.keep_days)).timestamp()
    if not count_too:
        return by_age
    beyond = Task.objects.filter(fleet_id=fleet_id).order_by("-seen_at").values_list("seen_at", flat=True)
    last = beyond[rules.max_tasks : rules.max_tasks + 1]
    return max([by_age, *(float(moment.timestamp()) + 1e-6 for moment in last)])


def _delete_before(table: str, moment: str, fleet_id: int, before: float, batches: int) -> int:
    statement = _OLDEST.format(table=table, moment=moment)
    gone = 0
    for _ in range(max(0, batches)):
        with connection.cursor() as cursor:
            cursor.execute(statement, [fleet_id, before, BATCH])
            deleted = cursor.rowcount
        gone += deleted
        if deleted < BATCH:
            break
        time.sleep(BREATH_SECONDS)
    return gone


# --- Rules ----------------------------------------------------------------------------------------------------------
MAX_PATTERNS, MAX_PATTERN = 100, 100


def set_rules(fleet: Fleet, **changes: Any) -> HistoryRules:
    """Change what is kept of a fleet, what is hidden, and where its results are. Raises Invalid naming the field."""
    rules = HistoryRules.objects.filter(fleet=fleet).first() or default_rules(fleet)
    for name, value in changes.items():
        if name in {"masked_names", "masked_tasks"}:
            value = _checked_patterns(name, value)
        if name == "result_backend":
            _set_result_backend(rules, value)
        else:
            setattr(rules, name, value)
    rules.save()
    return rules


def _set_result_backend(rules: HistoryRules, url: str) -> None:
    """Take the address of a result backend, which is never shown again; an empty one takes it away."""
    url = results.check(url) if url else ""
    rules.result_backend_sealed = seal(url, settings.SECRET_KEY, results.PURPOSE) if url else ""
    rules.result_backend_display = broker_urls.display(url)[:300] if url else ""
    rules.result_backend_error = ""


def _checked_patterns(field: str, given: Sequence[str]) -> list[str]:
    patterns = [each.strip() for each in given]
    if len(patterns) > MAX_PATTERNS or not all(
        0 < len(each) <= MAX_PATTERN and each.isprintable() for each in patterns
    ):
        raise Invalid(f"At most {MAX_PATTERNS} texts of 1 to {MAX_PATTERN} printable characters.", field=field)
    return list(dict.fromkeys(patterns))
