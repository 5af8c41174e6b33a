"""Emptying a test's database: only the tables that hold rows, row by row.

Django's own flush truncates every table, each a new file on the disk of PostgreSQL: with all of ours, it takes longer
than most tests. What migrations filled for good (content types, permissions) stays, so nothing need be made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import TransactionTestCase

from tests.support.append_only import TABLES, triggers_off

LOOKS = 5
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


@pytest.fixture(scope="session", autouse=True)
def quickly_emptied() -> Iterator[None]:
    """Let each transactional test end by :func:`empty_database`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: empty_database())
        yield


def empty_database() -> None:
    """Delete every row that a test may have left, also what a thread that it started writes meanwhile."""
    for _ in range(LOOKS):
        with suppress(IntegrityError):
            return _empty()
    return _empty()


def _empty() -> None:
    names = [
        connection.ops.quote_name(name) for name in connection.introspection.django_table_names() if name not in KEPT
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in names))
        filled = [name for (name,) in cursor.fetchall()]
        guarded = {connection.ops.quote_name(table) for table in TABLES}
        with triggers_off() if guarded.intersection(filled) else nullcontext():
            for name in filled:
                cursor.execute(f"DELETE FROM {name}")
            connection.check_constraints()  # now: PostgreSQL puts no trigger back while checks are pending
