"""The timelines of `test_notice_timelines` through the real Alertmanager: what it says is what we are held to.

All timelines are played side by side in one Alertmanager, kept apart by a label, each with webhooks of its own. It
takes some seconds, because the clock of another program cannot be passed in.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.support.timelines import MARK, Heard, Timeline, timelines
from tests.support.waiting import wait_for

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
UNITS = (0.5, 1.0, 2.5)  # seconds that a unit of time lasts: a run on a busy machine is repeated more slowly
LATE = 0.2  # units that an event may be late before a run says nothing
pytestmark = [
    pytest.mark.embedded,  # it is of no profile: once is enough
    pytest.mark.skipif(BINARY is None, reason="needs Alertmanager (Debian: prometheus-alertmanager)"),
]


class Server(ThreadingHTTPServer):
    request_queue_size = 256  # all timelines speak at the same moments: one that is turned away comes a second later


class Webhooks:
    """One address per timeline and receiver; remembers what came when."""

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self.heard: dict[str, Heard] = {}
        self.started_at = 0.0
        self._server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        webhooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhooks.take(self.path, body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        return Handler

    def take(self, path: str, body: dict[str, Any]) -> None:
        at = (time.time() - self.started_at) / self.unit
        _, mark, receiver = path.split("/")
        said = {"firing": set(), "resolved": set()}
        for alert in body["alerts"]:
            said[alert["status"]].add(alert["labels"]["name"])
        heard = self.heard.setdefault(mark, {}).setdefault(receiver, [])
        heard.append((at, frozenset(said["firing"]), frozenset(said["resolved"])))


class Alertmanager:
    """A real one, on a port of its own; each timeline is a branch of its routes."""

    def __init__(self, home: Path, played: list[Timeline], webhooks: str, unit: float) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        (home / "config.yml").write_text(yaml.safe_dump(configuration(played, webhooks, unit)))
        address = f"--web.listen-address={self.url.removeprefix('http://')}"
        command = [
            str(BINARY), f"--config.file={home / 'config.yml'}", f"--storage.path={home}", address,
            "--cluster.listen-address=", "--log.level=error",
        ]  # fmt: skip
        self._log = (home / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        wait_for(self._ready)

    def post(self, path: str, body: Any) -> None:
        request = Request(f"{self.url}/api/v2/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=5) as answer:
            assert answer.status == 200

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    def _ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


class Played:
    """Plays one timeline in the real Alertmanager."""

    def __init__(self, timeline: Timeline, alertmanager: Alertmanager, started_at: float, unit: float) -> None:
        self.timeline, self.unit = timeline, unit
        self._alertmanager, self._started_at = alertmanager, started_at
        self.latest = 0.0  # how late the latest event was, in units

    def alert(self, at: float, labels: dict[str, str], starts_at: float | None, ends_at: float | None) -> None:
        body: dict[str, Any] = {"labels": {**labels, MARK: self.timeline.mark}}
        if starts_at is not None or ends_at != at:
            body["startsAt"] = self._text(at if starts_at is None else starts_at)
        body["endsAt"] = self._text(1000.0 if ends_at is None else ends_at)
        self._alertmanager.post("alerts", [body])
        self._note(at)

    def silence(self, at: float, matchers: list[str], ends_at: float) -> None:
        from alerts.notices.matchers import read_matchers

        wanted = [each.to_wire() for each in read_matchers([*matchers, f'{MARK}="{self.timeline.mark}"'])]
        body = {"matchers": wanted, "startsAt": self._text(at), "endsAt": self._text(ends_at)}
        self._alertmanager.post("silences", {**body, "createdBy": "test", "comment": "a timeline"})
        self._note(at)

    def _text(self, at: float) -> str:
        return datetime.fromtimestamp(self._started_at + at * self.unit, UTC).isoformat()

    def _note(self, at: float) -> None:
        self.latest = max(self.latest, (time.time() - self._started_at) / self.unit - at)


def configuration(played: list[Timeline], webhooks: str, unit: float) -> dict[str, Any]:
    """Return Alertmanager's configuration: one branch per timeline."""
    routes, receivers, rules = [], [{"name": "nobody"}], []
    for timeline in played:
        document = timeline.document(unit)
        own = f'{MARK}="{timeline.mark}"'
        routes.append({**named(document["route"], timeline.mark), "matchers": [own]})
        for each in document["receivers"]:
            url = f"{webhooks}/{timeline.mark}/{each['name']}"
            hook = {"url": url, "send_resolved": each.get("send_resolved", True)}
            receivers.append({"name": f"{timeline.mark}/{each['name']}", "webhook_configs": [hook]})
        for rule in document["inhibit_rules"]:
            equal = [*rule["equal"], MARK]
            both = {name: [*rule[name], own] for name in ("source_matchers", "target_matchers")}
            rules.append({**both, "equal": equal})
    return {"route": {"receiver": "nobody", "routes": routes}, "receivers": receivers, "inhibit_rules": rules}


def named(route: dict[str, Any], mark: str) -> dict[str, Any]:
    """Return *route* with the receivers of this timeline."""
    found = {**route, "routes": [named(child, mark) for child in route["routes"]]}
    return {**found, "receiver": f"{mark}/{route['receiver']}"} if "receiver" in route else found


def heard_in_time(home: Path, unit: float) -> dict[str, Heard]:
    """Play every timeline in a new Alertmanager; return what was heard, or nothing where this machine was too slow."""
    played, webhooks = timelines(), Webhooks(unit)
    alertmanager = Alertmanager(home, played, webhooks.url, unit)
    try:
        webhooks.started_at = started_at = time.time() + 0.3
        players = [Played(each, alertmanager, started_at, unit) for each in played]
        threads = [threading.Thread(target=play, args=(player, started_at)) for player in players]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        alertmanager.close()
        webhooks.close()
    return {} if max(player.latest for player in players) > LATE else webhooks.heard


def play(player: Played, started_at: float) -> None:
    for at in player.timeline.play(player):
        time.sleep(max(0.0, started_at + at * player.unit - time.time()))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Heard]:
    """What the real one said; a run in which this busy machine was late is run again."""
    for unit in UNITS:
        found = heard_in_time(tmp_path_factory.mktemp("alertmanager"), unit)
        if found:
            return found
    pytest.skip("this machine was too busy to keep the time of an Alertmanager beside it")


def close_to(expected: Heard, found: Heard) -> Iterator[bool]:
    for receiver, said in expected.items():
        got = found.get(receiver, [])
        yield [each[1:] for each in got] == [each[1:] for each in said]
        yield all(abs(ours[0] - theirs[0]) < 0.9 for ours, theirs in zip(said, got, strict=False))


@pytest.mark.parametrize("timeline", timelines(), ids=lambda timeline: timeline.name)
def test_alertmanager_says_the_same(timeline: Timeline, heard: dict[str, Heard]) -> None:
    """The timelines are no invention of ours: whoever moves here from Alertmanager hears what they heard before."""
    found = heard.get(timeline.mark, {})

    assert all(close_to(timeline.expected(), found)), found
