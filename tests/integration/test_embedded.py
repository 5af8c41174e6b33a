"""`manage.py vsm` as people run it: a process of its own, asked over HTTP, stopped by a signal."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300  # it ends as soon as it answers; a machine may be busy with a whole suite
pytestmark = pytest.mark.embedded


class Running(NamedTuple):
    process: subprocess.Popen[str]
    home: Path
    port: int
    flower_port: int

    def get(self, path: str, *, port: int = 0, login: str = "") -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}")
        if login:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def post(self, path: str, body: dict[str, Any], authorization: str) -> dict[str, Any]:
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))

    def stop(self, number: signal.Signals) -> tuple[int, float, str]:
        """Send a signal; return the exit code, the seconds it took, and what was printed."""
        started = time.monotonic()
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - started, output


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Path, port: int, flower_port: int) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VSM_", "DJANGO_"))}
    return subprocess.Popen(
        [sys.executable, "manage.py", "vsm", "--port", str(port), "--flower-port", str(flower_port)],
        cwd=ROOT,
        env={**inherited, "VSM_HOME": str(home), "VSM_PROFILE": "embedded"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Home:
    """A home for one platform at a time, which is started as seldom as the tests can do with: starting is slow."""

    def __init__(self, path: Path) -> None:
        self.path, self.port, self.flower_port = path, free_port(), free_port()
        self.starts = 0
        self._process: subprocess.Popen[str] | None = None

    def up(self) -> Running:
        """Return the platform that runs here, started where none does."""
        if self._process is None or self._process.poll() is not None:
            self._process = start(self.path, self.port, self.flower_port)
            self.starts += 1
            deadline = time.monotonic() + START_SECONDS
            while not listens(self.port):
                assert self._process.poll() is None, self._process.communicate()[0]
                assert time.monotonic() < deadline, "it did not start in time"
                time.sleep(0.1)
        return Running(self._process, self.path, self.port, self.flower_port)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    own = Home(tmp_path_factory.mktemp("home"))
    yield own
    own.kill()


@pytest.fixture
def platform(home: Home) -> Running:
    return home.up()


def listens(port: int) -> bool:
    """Ask for `/health`: the socket is bound long before anybody answers on it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_run_says_which_worker_carried_it_out(platform: Running) -> None:
    """By the name under which that worker is among the units."""
    user = subprocess.run(
        [sys.executable, "manage.py", "create_token", "admin", "--scopes", "operate,read"],
        cwd=ROOT, env={**os.environ, "VSM_HOME": str(platform.home)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    bearer = f"Bearer {user.stdout.split()[-1]}"
    run = platform.post("/api/v1/tasks/diagnostics.echo/trigger/", {"arguments": {"text": "who"}}, bearer)
    deadline = time.monotonic() + START_SECONDS
    while run["state"] in ("pending", "running"):
        assert time.monotonic() < deadline, run
        time.sleep(0.1)
        request = urllib.request.Request(
            f"http://127.0.0.1:{platform.port}/api/v1/tasks/runs/{run['id']}/", headers={"Authorization": bearer}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            run = json.load(answer)

    assert run["worker"] == run["result"]["worker"] == f"embedded@{socket.gethostname()}"


def test_it_serves_refuses_a_second_start_and_stops_cleanly(platform: Running) -> None:
    """What a newcomer sees in the first minute, up to Ctrl-C."""
    password = (platform.home / "flower_password").read_text()
    pages = [platform.get(path) for path in ("/health", "/admin/login/", "/static/admin/css/base.css")]
    flower = [platform.get("/workers", port=platform.flower_port, login=login) for login in ("", f"admin:{password}")]
    second = start(platform.home, free_port(), 0)
    refusal, _ = second.communicate(timeout=START_SECONDS)
    children = psutil.Process(platform.process.pid).children(recursive=True)

    code, seconds, output = platform.stop(signal.SIGINT)

    assert pages == [200, 200, 200]
    assert flower == [401, 200]
    assert (second.returncode, "is in use by another running platform" in refusal) == (2, True)
    assert (code, seconds < 5) == (0, True)
    assert not [child for child in children if child.is_running()]
    assert re.search(r"Admin password +\S+", output)
    assert password in output


def test_the_second_start_prints_no_password_and_ends_at_a_termination_signal(home: Home) -> None:
    """A password on every start ends up in every log."""
    if not home.starts:
        home.up().stop(signal.SIGTERM)

    code, _, output = home.up().stop(signal.SIGTERM)

    assert code == 0
    assert "Admin user" in output
    assert "password" not in output


def test_a_taken_port_is_named_with_the_variable_that_changes_it(tmp_path: Path) -> None:
    """The commonest way a first start fails."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, taken.getsockname()[1], 0)
        output, _ = process.communicate(timeout=START_SECONDS)

    assert process.returncode == 2
    assert "VSM_PORT" in output
    assert "Traceback" not in output
