"""Writing what was folded: one statement for a batch, whatever the rows knew before.

The rules of `folding.py` in SQL. PostgreSQL takes the whole batch as one JSON document and SQLite as rows; both
insert or complete. What has ended and is in no roll-up yet is claimed in the same transaction, so that it is counted
once, however often its events come and however many receivers there are. Most tasks come whole in one batch: of these
the batch itself says all that is counted, and they are written as counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from django.db import connection, transaction

from subsystems.fleets import counting, rolling_up
from subsystems.fleets.ended import Ended
from subsystems.fleets.fingerprints import split
from subsystems.fleets.folding import Batch, Facts
from subsystems.fleets.models import Task
from subsystems.fleets.rolling_up import among, listed
from subsystems.fleets.states import FINAL, State

TYPES = {
    "state": "smallint", "fingerprint": "bigint", "retries": "smallint", "clock": "bigint", "runtime_told": "float8",
    **dict.fromkeys(
        ["seen_at", "changed_at", "finished_at", "sent_at", "received_at", "started_at", "last_started_at", "eta_at",
         "expires_at"], "float8"),
}  # fmt: skip
COLUMNS = list(Facts.__struct_fields__)
TOGETHER = COLUMNS[COLUMNS.index("state") : COLUMNS.index("name")]  # what the fact that holds says
LEAST = {"seen_at", "sent_at", "received_at", "started_at", "eta_at", "expires_at"}
GREATEST = {"last_started_at", "retries", "clock", "name", "queue", "exchange", "routing_key", "args", "kwargs",
            "parent_id", "root_id"}  # fmt: skip
TEXT = {"name", "queue", "exchange", "routing_key", "args", "kwargs", "parent_id", "root_id"}
_HOLDS = "(excluded.state / 10, excluded.changed_at, excluded.state) > (t.state / 10, t.changed_at, t.state)"
MOST = 5_000  # rows in one statement
FAMILY = ["group_id", "chord_id", "trace_id"]  # what no event tells
_FAILURE = int(State.FAILURE)


def _rule(column: str, *, least: str, greatest: str, collation: str) -> str:
    """Return how a column that is there is completed by one that comes."""
    if column in TOGETHER:
        return f"{column} = CASE WHEN {_HOLDS} THEN excluded.{column} ELSE t.{column} END"
    ours, theirs = f"t.{column}", f"excluded.{column}"
    if column in TEXT:
        ours, theirs = f"{ours}{collation}", f"{theirs}{collation}"
    return f"{column} = COALESCE({least if column in LEAST else greatest}({ours}, {theirs}), t.{column}, {theirs})"


def _upsert(vendor: str) -> str:
    postgresql = vendor == "postgresql"
    words = {"least": "LEAST", "greatest": "GREATEST", "collation": ' COLLATE "C"'} if postgresql else {
        "least": "min", "greatest": "max", "collation": ""}  # fmt: skip
    rules = ", ".join(_rule(column, **words) for column in COLUMNS if column != "uuid")
    names = ", ".join(COLUMNS)
    if postgresql:
        columns = ", ".join(f"{column} {TYPES.get(column, 'text')}" for column in COLUMNS)
        told = f"json_to_recordset(%s::json) AS told ({columns})"
        source = f"SELECT %s, %s AND state >= {FINAL}, '', {names} FROM {told} ORDER BY uuid"  # noqa: S608
    else:
        source = f"VALUES (%s, %s, '', {', '.join(['%s'] * len(COLUMNS))})"
    return (
        f"INSERT INTO fleets_task AS t (fleet_id, counted, trace_id, {names}) {source} "
        f"ON CONFLICT (fleet_id, uuid) DO UPDATE SET {rules}"
    )


UPSERT = {vendor: _upsert(vendor) for vendor in ("postgresql", "sqlite")}
# The plus keeps SQLite from reading all that ever ended along the index by state.
CLAIM = (
    "UPDATE fleets_task SET counted = true WHERE fleet_id = %s AND uuid {among} AND +state >= {final} AND NOT counted "
    "RETURNING uuid, state, name, queue, finished_at, runtime_seconds, wait_seconds, retries, worker, fingerprint, "
    "CASE WHEN state = {failure} THEN exception END, CASE WHEN state = {failure} THEN traceback END"
)
THERE = "SELECT uuid FROM fleets_task WHERE fleet_id = %s AND uuid {among}"
RETRY = (
    "INSERT INTO fleets_taskretry (fleet_id, uuid, at, worker, exception) VALUES (%s, %s, %s, %s, %s) "
    "ON CONFLICT (fleet_id, uuid, at) DO NOTHING"
)
GROUP = (
    "INSERT INTO fleets_exceptiongroup AS t (fleet_id, fingerprint, type, message, task_name, traceback, first_seen_at,"
    " last_seen_at, last_uuid, count) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (fleet_id, fingerprint) DO UPDATE SET count = t.count + excluded.count,"
    " message = excluded.message, traceback = excluded.traceback, last_uuid = excluded.last_uuid,"
    " task_name = excluded.task_name,"
    " first_seen_at = CASE WHEN excluded.first_seen_at < t.first_seen_at THEN excluded.first_seen_at"
    " ELSE t.first_seen_at END,"
    " last_seen_at = CASE WHEN excluded.last_seen_at > t.last_seen_at THEN excluded.last_seen_at"
    " ELSE t.last_seen_at END"
)


class Written(NamedTuple):
    """What a batch has changed: the ends that were not counted before, and name and queue of who did not tell them."""

    ended: Sequence[Ended] = ()
    places: Mapping[str, tuple[str, str]] = MappingProxyType({})


def write(fleet_id: int, batch: Batch) -> Written:
    """Complete the rows of a batch, and count what ended. One transaction."""
    if not batch:
        return Written()
    with transaction.atomic(savepoint=False):
        rolling_up.one_at_a_time(fleet_id)
        there = _there(fleet_id, batch)
        old = [facts for uuid, facts in batch.tasks.items() if uuid in there]
        new = [facts for uuid, facts in batch.tasks.items() if uuid not in there] if there else [*batch.tasks.values()]
        _write(fleet_id, old, counted=False)
        _write(fleet_id, new, counted=True)
        _write_retries(fleet_id, batch)
        ended = [ended_by(facts) for facts in new if facts.state >= FINAL] + _claimed(fleet_id, old)
        if ended:
            _count_failures(fleet_id, ended)
            rolling_up.note(fleet_id, ended)
        return Written(ended, counting.count(fleet_id, batch, ended))


def write_families(fleet_id: int, families: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Write group, chord and trace of tasks, by uuid and column, where events have told of them; return of whom."""
    with transaction.atomic():
        rolling_up.one_at_a_time(fleet_id)
        rows = list(Task.objects.filter(fleet_id=fleet_id, uuid__in=list(families)).only("uuid", *FAMILY))
        for row in rows:
            for column, value in families[row.uuid].items():
                setattr(row, column, value)
        Task.objects.bulk_update(rows, FAMILY, batch_size=500)
    return [row.uuid for row in rows]


def _there(fleet_id: int, batch: Batch) -> set[str]:
    """Return which tasks of a batch have a row already."""
    with connection.cursor() as cursor:
        cursor.execute(THERE.format(among=among()), [fleet_id, listed(list(batch.tasks))])
        return {uuid for (uuid,) in cursor.fetchall()}


def ended_by(facts: Facts) -> Ended:
    failed = facts.state == _FAILURE
    return Ended(
        facts.uuid, facts.state, facts.name, facts.queue, facts.finished_at or 0.0, facts.runtime, facts.wait,
        facts.retries, facts.worker, facts.fingerprint, facts.exception if failed else None,
        facts.traceback if failed else None,
    )  # fmt: skip


def _claimed(fleet_id: int, facts: Sequence[Facts]) -> list[Ended]:
    """Return those of *facts* that have ended and were not counted before; they are now."""
    if not facts:
        return []
    statement = CLAIM.format(among=among(), final=FINAL, failure=_FAILURE)
    with connection.cursor() as cursor:
        cursor.execute(statement, [fleet_id, listed([each.uuid for each in facts])])
        return [Ended._make(row) for row in cursor.fetchall()]


def _write(fleet_id: int, facts: Sequence[Facts], *, counted: bool) -> None:
    """Insert or complete rows; *counted* says that the ends of new ones are counted with them."""
    statement = UPSERT[connection.vendor]
    with connection.cursor() as cursor:
        for start in range(0, len(facts), MOST):
            part = facts[start : start + MOST]
            if connection.vendor == "postgresql":
                cursor.execute(statement, [fleet_id, counted, msgspec.json.encode(part).decode()])
            else:  # by uuid: neighbours in the index are written together
                rows = [
                    (fleet_id, counted and each.state >= FINAL, *msgspec.structs.astuple(each))
                    for each in sorted(part, key=_uuid_of)
                ]
                cursor.executemany(statement, rows)


def _uuid_of(facts: Facts) -> str:
    return facts.uuid


def _write_retries(fleet_id: int, batch: Batch) -> None:
    if batch.retries:
        rows = sorted((fleet_id, each.uuid, each.at, each.worker, each.exception) for each in batch.retries)
        with connection.cursor() as cursor:
            cursor.executemany(RETRY, rows)


def _count_failures(fleet_id: int, ended: Iterable[Ended]) -> None:
    kinds: dict[int, list[Ended]] = defaultdict(list)
    for each in ended:
        if each.fingerprint is not None and each.state == State.FAILURE:
            kinds[each.fingerprint].append(each)
    rows = []
    for kind, failures in sorted(kinds.items()):
        last = max(failures, key=lambda each: each.finished_at)
        first = min(each.finished_at for each in failures)
        type_, message = split(last.exception or "")
        told = (type_[:200], message, last.name, last.traceback or "", first, last.finished_at, last.uuid)
        rows.append((fleet_id, kind, *told, len(failures)))
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(GROUP, rows)
