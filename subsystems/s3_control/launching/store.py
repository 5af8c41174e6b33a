"""What an actuator gets of the platform: its settings, secrets by their names, and which processes were started."""

from __future__ import annotations

import socket
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from subsystems.s3_control.launching.adapters import actuator_of
from subsystems.s3_control.launching.adapters.base import Actuator, LauncherRefuses, Process, Surroundings
from subsystems.s3_control.launching.configs import checked
from subsystems.s3_control.launching.models import LaunchedProcess, Launcher

MAX_CREDENTIAL = 64_000  # characters: a bundle of certificates is the longest of them
SYSTEMCTL = "systemctl"


def actuator(launcher: Launcher) -> Actuator:
    """Return what starts and stops its workers. Raises Refused when it is switched off, here or altogether."""
    if launcher.kind not in settings.LAUNCHERS:
        raise LauncherRefuses(f"This installation starts no workers as {launcher.kind}: VSM_LAUNCHERS would permit it.")
    if not launcher.enabled:
        raise LauncherRefuses(f"The launcher {launcher.name} is switched off.")
    around = Surroundings(
        host=socket.gethostname(), home=Path(settings.HOME), most=launcher.most, key=f"launcher-{launcher.pk}",
        credential=credential, processes=KeptProcesses(launcher), systemctl=SYSTEMCTL,
    )  # fmt: skip
    return actuator_of(launcher.name, checked(launcher.kind, launcher.config), around)


def credential(reference: str) -> str:
    """Return the secret that *reference* names. Raises LauncherRefuses, telling the name and never a value."""
    where, _, name = reference.partition(":")
    if where == "env":
        found = settings.CREDENTIALS.get(name)
        if not found:
            raise LauncherRefuses(f"The variable VSM_CREDENTIAL_{name} is not set.")
        return str(found)
    try:
        with (Path(settings.CREDENTIALS_DIR) / Path(name).name).open() as file:
            return file.read(MAX_CREDENTIAL).strip()
    except (OSError, UnicodeDecodeError):
        raise LauncherRefuses(f"There is no readable file {name} in VSM_CREDENTIALS_DIR.") from None


class KeptProcesses:
    """Which processes were started, in the database: it is known to whoever carries on after a restart."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def all(self) -> list[Process]:
        rows = LaunchedProcess.objects.filter(launcher=self._launcher)
        return [Process(row.name, row.host, row.pid, row.began) for row in rows]

    def claim(self, name: str) -> bool:
        try:
            with transaction.atomic():
                LaunchedProcess.objects.create(launcher=self._launcher, name=name, host=socket.gethostname())
        except IntegrityError:
            return False
        return True

    def note(self, name: str, pid: int, began: float) -> None:
        LaunchedProcess.objects.filter(launcher=self._launcher, name=name).update(pid=pid, began=began)

    def forget(self, name: str) -> None:
        LaunchedProcess.objects.filter(launcher=self._launcher, name=name).delete()
