"""Partitions of the warm tier by day, on PostgreSQL alone: SQLite has plain tables and none of this."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection, transaction

from subsystems.telemetry.steps import DAY, STEPS, Step, floor

AHEAD = 3  # days that are made before they are needed
_LOCK = 0x76736D_74656C  # of those that make partitions; any number that nobody else takes
_BOUNDS = re.compile(r"FROM \('(-?\d+)'\) TO \('(-?\d+)'\)")
_LISTED = """
SELECT child.relname, pg_get_expr(child.relpartbound, child.oid)
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = %s::regclass
"""


def partitioned() -> bool:
    """Return whether this database has partitions at all."""
    return connection.vendor == "postgresql"


def ensure(step: Step, moments: Iterable[float]) -> int:
    """Make the partitions that *moments* fall into where they are missing; return how many were made."""
    if not partitioned():
        return 0
    wanted = {_name(step, start): start for start in {floor(at, DAY) for at in moments}}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL", [list(wanted)])
        missing = [name for (name,) in cursor.fetchall()]
    for name in sorted(missing):
        _make(step, name, wanted[name])
    return len(missing)


def ensure_ahead(*, now: float) -> int:
    """Make the partitions of the coming days; return how many were made."""
    return sum(ensure(step, [now + day * DAY for day in range(AHEAD + 1)]) for step in STEPS.values())


def spans(step: Step) -> list[tuple[int, int]]:
    """Return [start, end) of each partition, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_LISTED, [step.table])
        bounds = [_BOUNDS.search(text) for _, text in cursor.fetchall()]
    return sorted((int(found[1]), int(found[2])) for found in bounds if found)


@transaction.atomic
def drop_empty(step: Step, start: int) -> bool:
    """Drop the partition that starts at *start* unless it still has rows; return whether it went."""
    name = _name(step, start)
    with connection.cursor() as cursor:
        cursor.execute(
            f"LOCK TABLE {step.table}, {name} IN ACCESS EXCLUSIVE MODE"
        )  # from here on nobody writes into it
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {name})")  # noqa: S608
        if cursor.fetchone()[0]:
            return False
        cursor.execute(f"DROP TABLE {name}")
    return True


def _name(step: Step, start: int) -> str:
    moment = datetime.fromtimestamp(start, UTC)
    return f"{step.table}_d{moment:%Y%m%d}"


def _make(step: Step, name: str, start: int) -> None:
    """Make a table and attach it: readers and writers of the other partitions need not wait for that."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s), to_regclass(%s)", [_LOCK, name])
        if cursor.fetchone()[1] is None:
            cursor.execute(f"CREATE TABLE {name} (LIKE {step.table} INCLUDING ALL)")
            cursor.execute(
                f"ALTER TABLE {step.table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({start + DAY})"
            )
