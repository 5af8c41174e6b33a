"""A real embedded platform in a process of its own, as `make up` runs it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-password-for-the-browser"
START_SECONDS = 300
STOP_SECONDS = 60
ASK_SECONDS = 60  # for an answer: a machine that runs everything else beside is slow


def until(met: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait for another process: ask until *met* says yes. Raises AssertionError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Platform:
    """Starts with an empty home or a copy of *database* in it, and *variables*; `stop` is the Ctrl-C of `make up`."""

    def __init__(self, home: Path, database: Path | None = None, **variables: str) -> None:
        if database:
            shutil.copy(database, home / "vsm.sqlite3")
        self.port, self.flower_port, self.statsd_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "log"
        self._tokens: dict[tuple[str, ...], str] = {}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "vsm"], cwd=ROOT, env=self._environment(home) | variables, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            until(self._answers, seconds=START_SECONDS, what="the platform answers")
        except AssertionError:
            self._kill()
            raise

    def stop(self) -> int:
        """Interrupt it as a person would, and return its exit status."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self._kill()

    def _kill(self) -> int:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait(STOP_SECONDS)

    def push(self, source: str, *, ago: float = 0.0, **values: float) -> None:
        """Send one sample per metric, as an agent does, of now or of *ago* seconds before."""
        answer = self.offer(source, ago=ago, **values)
        assert answer.json()["accepted"] == len(values), answer.text

    def offer(self, source: str, *, ago: float = 0.0, **values: float) -> httpx.Response:
        """Send one sample per metric, and return what was answered."""
        at = time.time() - ago
        samples = [{"metric": metric, "value": value, "at": at} for metric, value in values.items()]
        return self._post("/api/v1/ingest/", {"source": source, "samples": samples})

    def ask(self, path: str) -> Any:
        """Return what the API answers to a program that reads."""
        headers = {"Authorization": f"Bearer {self.token('read')}"}
        answer = httpx.get(f"{self.url}/api/v1/{path}", headers=headers, timeout=ASK_SECONDS)
        assert answer.is_success, answer.text
        return answer.json()

    def send(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what the API answers to a program that operates."""
        return self._post(f"/api/v1/{path}", body).json()

    def say(self, message: Mapping[str, Any]) -> None:
        """Send one message, as a program does."""
        self._post("/api/v1/messages/", message)

    def hurt(self, source: str) -> None:
        """Raise a pain that somebody must answer."""
        self._post(
            "/api/v1/signals/", {"type": "pain", "severity": "high", "source": source, "description": "It hurts"}
        )

    def watch(self, rule: Mapping[str, Any]) -> None:
        """Add an alert rule."""
        self._post("/api/v1/alert-rules/", rule)

    def trigger(self, task: str) -> None:
        """Ask a worker to run *task* now, instead of waiting until it is due."""
        self._post(f"/api/v1/tasks/{task}/trigger/", {})

    def token(self, *scopes: str) -> str:
        """Return the secret of a token that may do this; without scopes, one that pushes and operates."""
        scopes = scopes or ("ingest", "operate")
        if scopes not in self._tokens:
            wanted = {"name": "agent", "scopes": scopes}
            made = httpx.post(f"{self.url}/api/v1/tokens/", json=wanted, auth=("admin", PASSWORD), timeout=ASK_SECONDS)
            assert made.status_code == 201, made.text
            self._tokens[scopes] = made.json()["secret"]
        return self._tokens[scopes]

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token()}"}
        answer = httpx.post(self.url + path, json=body, headers=headers, timeout=ASK_SECONDS)
        assert answer.is_success, answer.text
        return answer

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/health", timeout=ASK_SECONDS).is_success
        except httpx.TransportError:
            return False

    def _environment(self, home: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VSM_", "DATABASE_URL"))}
        return {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "vsm_site.settings",
            "VSM_PROFILE": "embedded",
            "VSM_HOME": str(home),
            "VSM_PORT": str(self.port),
            "VSM_FLOWER_PORT": str(self.flower_port),
            "VSM_STATSD_PORT": str(self.statsd_port),
            "VSM_ADMIN_USER": "admin",
            "VSM_ADMIN_PASSWORD": PASSWORD,
        }
