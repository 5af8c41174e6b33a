"""One migrated database for all processes, copied by each: migrating takes longer than most files of tests."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:12]
KEPT = 8
TEMPLATE = f"test_vsm_template_{RUN}"


def copy_of_template() -> None:
    """Let the test database of this process be a copy of a migrated one, made by whoever comes first."""
    if connection.vendor == "sqlite":
        with _alone(kept := _kept_folder()):
            _copy_file(kept, Path(connection.settings_dict["TEST"]["NAME"]))
    else:
        with _alone(shared := Path(os.environ["VSM_HOME"]).parent):
            _name_template(shared / TEMPLATE)


def kept_database() -> Path:
    """Return the migrated SQLite file; only for reading, and only after a copy of it was asked for."""
    return _kept_folder() / f"{_migrations()}.sqlite3"


def drop_template() -> None:
    """Drop the run's template; a process that comes later makes it anew."""
    if connection.vendor == "postgresql" and RUN:
        with _alone(shared := Path(os.environ["VSM_HOME"]).parent), connection.creation._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
            (shared / TEMPLATE).unlink(missing_ok=True)


def _copy_file(folder: Path, own: Path) -> None:
    kept = kept_database()
    if not kept.exists():
        half = folder / "half.sqlite3"
        half.unlink(missing_ok=True)
        _migrate(str(half))
        half.rename(kept)
        for old in sorted(folder.glob("*.sqlite3"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            old.unlink()
    shutil.copy(kept, own)


def _kept_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"vsm-migrated-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _migrations() -> str:
    """Return what tells one set of migrations, and of the packages that run them, from another."""
    digest = hashlib.sha256((ROOT / "requirements" / "test.txt").read_bytes())
    for app in sorted(apps.get_app_configs(), key=lambda app: app.name):
        for path in sorted(Path(app.path, "migrations").glob("*.py")):
            digest.update(f"{app.name}/{path.name}".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


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
