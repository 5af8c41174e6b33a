"""A real platform in processes of its own, and a person and a program who may use it."""

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
import psutil

START_SECONDS = 240  # the first start migrates the database, beside whatever else this machine does


@dataclass(frozen=True)
class Server:
    """Where it listens, who may come in, and the process that answers."""

    url: str
    password: str
    pid: int

    def token(self, *scopes: str) -> str:
        """Return the secret of a new token."""
        body = {"name": "benchmark", "scopes": list(scopes)}
        answer = httpx.post(f"{self.url}/api/v1/tokens/", json=body, auth=("admin", self.password), timeout=120)
        answer.raise_for_status()
        found = answer.json()
        return str(found.get("secret") or found["token"])

    def session(self) -> str:
        """Log in as a browser does and return its cookies."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
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
def server(*, flower: bool = False, statsd_port: int = 0, services: bool = False) -> Iterator[Server]:
    """Run the platform until the block ends: all in one process, or with *services* one for each part of it.

    The latter is on the RabbitMQ, Redis and PostgreSQL that the environment names, which must be empty.
    """
    port, password = free_port(), secrets.token_urlsafe(12)
    environment = {
        **os.environ, "VSM_ADMIN_PASSWORD": password, "VSM_STATSD_PORT": str(statsd_port), "VSM_PORT": str(port),
        "VSM_FLOWER_PORT": str(free_port() if flower else 0),
    }  # fmt: skip
    command = [sys.executable, *(["scripts/run_services.py"] if services else ["manage.py", "vsm"])]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield Server(url, password, _listener(process.pid, port))
    finally:
        process.terminate()
        process.wait(120)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with {process.returncode}.")
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"The server did not answer within {START_SECONDS} s.")


def _listener(pid: int, port: int) -> int:
    """Return which process of the platform answers at *port*."""
    started = psutil.Process(pid)
    for process in (started, *started.children(recursive=True)):
        if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in process.net_connections()):
            return int(process.pid)
    raise RuntimeError(f"Nobody listens at {port}.")
