"""A real embedded platform in a process of its own, as `make up` runs it."""

from __future__ import annotations

import os
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
    """Starts with an empty home; `stop` is the Ctrl-C of `make up`."""

    def __init__(self, home: Path) -> None:
        self.port, self.flower_port, self.statsd_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "log"
        self._token = ""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "vsm"], cwd=ROOT, env=self._environment(home), stdout=log, stderr=log,
                start_new_session=True,
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

    def push(self, source: str, **values: float) -> None:
        """Send one sample per metric, as an agent does."""
        samples = [{"metric": metric, "value": value, "at": time.time()} for metric, value in values.items()]
        answer = self._post("/api/v1/ingest/", {"source": source, "samples": samples})
        assert answer.json()["accepted"] == len(samples), answer.text

    def say(self, message: Mapping[str, Any]) -> None:
        """Send one message, as a program does."""
        self._post("/api/v1/messages/", message)

    def watch(self, rule: Mapping[str, Any]) -> None:
        """Add an alert rule."""
        self._post("/api/v1/alert-rules/", rule)

    def trigger(self, task: str) -> None:
        """Ask a worker to run *task* now, instead of waiting until it is due."""
        self._post(f"/api/v1/tasks/{task}/trigger/", {})

    def token(self) -> str:
        """Return the secret of a token that pushes and operates."""
        if not self._token:
            wanted = {"name": "agent", "scopes": ["ingest", "operate"]}
            made = httpx.post(f"{self.url}/api/v1/tokens/", json=wanted, auth=("admin", PASSWORD))
            assert made.status_code == 201, made.text
            self._token = made.json()["secret"]
        return self._token

    def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        answer = httpx.post(self.url + path, json=body, headers={"Authorization": f"Bearer {self.token()}"})
        assert answer.is_success, answer.text
        return answer

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/health").is_success
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
