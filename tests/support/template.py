"""One migrated database for all processes of a run, copied by each: migrating takes longer than most files of tests."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:12]
TEMPLATE = f"test_vsm_template_{RUN}"


def copy_of_template() -> None:
    """Let the test database of this process be a copy of the run's migrated one, made by whoever comes first."""
    with _alone(shared := Path(os.environ["VSM_HOME"]).parent):
        if connection.vendor == "sqlite":
            _copy_file(shared / f"{TEMPLATE}.sqlite3", Path(connection.settings_dict["TEST"]["NAME"]))
        else:
            _name_template(shared / TEMPLATE)


def drop_template() -> None:
    """Drop the run's template; a process that comes later makes it anew."""
    if connection.vendor == "postgresql" and RUN:
        with _alone(shared := Path(os.environ["VSM_HOME"]).parent), connection.creation._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
            (shared / TEMPLATE).unlink(missing_ok=True)


def _copy_file(template: Path, own: Path) -> None:
    if not template.exists():
        _migrate(str(template))
    shutil.copy(template, own)


def _name_template(mark: Path) -> None:
    if not mark.exists():
        with connection.creation._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
            cursor.execute(f"CREATE DATABASE {TEMPLATE}")
        _migrate(TEMPLATE)
        mark.touch()
    connection.settings_dict["TEST"]["TEMPLATE"] = TEMPLATE


def _migrate(name: str) -> None:
    with _named(name):
        call_command("migrate", verbosity=0, interactive=False)


@contextmanager
def _named(name: str) -> Iterator[None]:
    settings: dict[str, Any] = connection.settings_dict
    own = settings["NAME"]
    connection.close()
    settings["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        settings["NAME"] = own


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
