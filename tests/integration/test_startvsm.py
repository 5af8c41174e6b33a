"""The starter: a project is written, passes its own tests, is installed, and its operation is carried out."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command

from subsystems.event_log import registry
from subsystems.event_log.models import Event, PendingEvent
from subsystems.kernel import telemetry_events
from subsystems.messaging import handlers, integration, operations
from subsystems.messaging.models import Message
from subsystems.messaging.services import publish
from tests.support.installed import install
from tests.support.waiting import wait_for

NAME = "cornershop"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    target = tmp_path / "corner-shop"
    call_command("startvsm", NAME, str(target), verbosity=0)
    return target


@pytest.fixture
def installed(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The project as a platform that starts finds it, and gone afterwards."""
    site = tmp_path / "site"
    site.mkdir()
    install(project, site)
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    _start_anew()
    apps.get_app_config("vsm_site").ready()
    yield importlib.import_module(f"{NAME}.telemetry")
    operations.remove(f"{NAME}.total")
    handlers.remove(f"{NAME}.pace")
    registry.forget(f"{NAME}.executed")
    telemetry_events.detach(f"{NAME}.durations")
    for module in [each for each in sys.modules if each.split(".")[0] == NAME]:
        del sys.modules[module]
    monkeypatch.undo()
    _start_anew()


def _start_anew() -> None:
    """Forget that plug-ins were looked for already, as in a new process."""
    for once in (operations.load_plug_ins, handlers.discover, registry._load):
        once.cache_clear()


def test_a_project_is_written_whole(project: Path) -> None:
    """With nothing left of the template's own words."""
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}

    assert files == {
        ".gitignore", "README.md", "pyproject.toml", "tests/conftest.py", "tests/test_project.py",
        *(f"src/{NAME}/{module}.py" for module in ("__init__", "operations", "events", "subscribers", "telemetry")),
    }  # fmt: skip
    assert not [path for path in project.rglob("*") if path.is_file() and re.search(r"\$(?!TOKEN)", path.read_text())]


def test_the_project_passes_its_own_tests(project: Path) -> None:
    """As its README says: with the platform's Python, and the platform on the path."""
    unset = {"VSM_HOME", "DJANGO_SETTINGS_MODULE", "VSM_PROFILE", "DATABASE_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment["PYTHONPATH"] = str(settings.BASE_DIR)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Shop", "cannot be a name"),
        ("corner-shop", "cannot be a name"),
        ("../shop", "cannot be a name"),
        ("s", "cannot be a name"),
        ("class", "meaning of its own"),
        ("tests", "meaning of its own"),
        ("json", "already"),
        ("django", "already"),
        ("subsystems", "already"),
    ],
)
def test_a_name_that_would_not_work_is_refused(name: str, says: str, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(CommandError, match=says):
        call_command("startvsm", name, str(tmp_path / "new"))

    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    """Neither a folder with something in it nor a file nor a link."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for taken in ("folder", "file", "link"):
        with pytest.raises(CommandError, match="there already"):
            call_command("startvsm", NAME, str(tmp_path / taken))

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "link", "mine"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    """People make the folder first."""
    call_command("startvsm", NAME, str(tmp_path), verbosity=0)

    assert (tmp_path / "pyproject.toml").exists()


def test_an_installed_project_is_found_by_every_register(installed: ModuleType) -> None:
    """Its entry points are all that the platform needs."""
    assert f"{NAME}.total" in operations.listed()
    assert f"{NAME}.pace" in [each.name for each in handlers.all_handlers()]
    assert f"{NAME}.executed" in registry.handlers()
    assert f"{NAME}.durations" in [each.id for each in telemetry_events.bus.handlers()]


@pytest.mark.django_db(transaction=True)
def test_its_operation_is_carried_out_by_a_worker_and_answered(installed: ModuleType, worker: object) -> None:
    """The whole road: request, outbox, broker, worker, the project's code, event and answer."""
    asked = publish(
        integration.operation_requested(f"{NAME}.total", {"amounts": [1.5, 2.5]}), reply_within=timedelta(seconds=30)
    )

    answer = wait_for(lambda: Message.objects.filter(correlation_id=asked.id, sender="s1").first())

    assert answer.payload["result"] == {"total": 4.0, "count": 2}
    assert answer.payload["handler"] == f"{NAME}.operations.handle_operation"
    kinds = {
        kind
        for rows in (PendingEvent.objects, Event.objects)
        for kind in rows.filter(correlation_id=asked.id).values_list("type", flat=True)
    }
    assert "OperationExecuted" in kinds
    assert len(installed.durations) == 1
