"""A real embedded platform in a process of its own, and a person and a program who may use it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """Where it listens, who may come in, and its process."""

    url: str
    password: str
    pid: int

    def token(self, *scopes: str) -> str:
        """Return the secret of a new token."""
        body = {"name": "benchmark", "scopes": list(scopes)}
        answer = httpx.post(f"{self.url}/api/v1/tokens/", json=body, auth=("admin", self.password))
        answer.raise_for_status()
        found = answer.json()
        return str(found.get("secret") or found["token"])

    def session(self) -> str:
        """Log in as a browser does and return its cookies."""
        with httpx.Client(base_url=self.url) as client:
            client.get("/admin/login/")
            form = {
                "username": "admin",
                "password": self.password,
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
                "next": "/admin/",
            }
            client.post("/admin/login/", data=form, headers={"Referer": f"{self.url}/admin/login/"})
            return f"sessionid={client.cookies['sessionid']}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(*, flower: bool = False, statsd_port: int = 0) -> Iterator[Server]:
    """Run `manage.py vsm` until the block ends."""
    port, password = free_port(), secrets.token_urlsafe(12)
    flower_port = free_port() if flower else 0
    environment = {**os.environ, "VSM_ADMIN_PASSWORD": password, "VSM_STATSD_PORT": str(statsd_port)}
    command = [sys.executable, "manage.py", "vsm", "--port", str(port), "--flower-port", str(flower_port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    running = Server(f"http://127.0.0.1:{port}", password, process.pid)
    try:
        _wait(running, process)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _wait(running: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with {process.returncode}.")
        try:
            if httpx.get(f"{running.url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"The server did not answer within {START_SECONDS} s.")
