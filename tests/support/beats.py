"""Real beats in processes of their own, on the test's database and broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


class BeatProcess:
    """One `celery beat`; `kill` is kill -9, `pause` and `go_on` stop and continue it."""

    def __init__(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self.log = home / "log"
        command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "vsm_site", "beat", "--pidfile=", "-l", "INFO"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=_environment(home), stdout=log, stderr=log)

    @property
    def name_part(self) -> str:
        return f":{self.process.pid}:"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def _environment(home: Path) -> dict[str, str]:
    settings = connection.settings_dict
    if connection.vendor == "postgresql":
        where = f"{settings['HOST'] or '127.0.0.1'}:{settings['PORT'] or 5432}"
        url = f"postgres://{settings['USER']}:{settings['PASSWORD']}@{where}/{settings['NAME']}"
    else:
        url = f"sqlite:///{settings['NAME']}"
    return {
        **os.environ, "DJANGO_SETTINGS_MODULE": "vsm_site.settings", "DATABASE_URL": url, "VSM_HOME": str(home),
        "VSM_SECRET_KEY": "beats-of-a-test",
    }  # fmt: skip
