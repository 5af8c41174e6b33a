"""Getting behind the triggers that keep the event log and actions append-only: to empty a test's database, to tamper.

The platform itself has no such switch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

TABLES = ("event_log_event", "event_log_eventcheckpoint", "s3_control_action")


@contextmanager
def triggers_off() -> Iterator[None]:
    """Let the log be changed, as only the superuser of a database can."""
    with transaction.atomic():
        restore = _drop()
        yield
        with connection.cursor() as cursor:
            for statement in restore:
                cursor.execute(statement)


def _drop() -> list[str]:
    """Put the triggers out of work and return what puts them back."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for table in TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
            return [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only" for table in TABLES]
        marks = ", ".join(["%s"] * len(TABLES))
        cursor.execute(f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({marks})", TABLES)
        found = cursor.fetchall()
        for name, _ in found:
            cursor.execute(f"DROP TRIGGER {name}")
        return [sql for _, sql in found]
