"""Fakes of the services that are told: each takes the requests that its documentation describes, and refuses others."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Shape = dict[str, Any]  # a field -> its type, or a set of values; a name with ? may be missing


@dataclass(frozen=True)
class Endpoint:
    """One documented request, and how it is answered."""

    method: str
    path: str  # a regular expression
    shape: Shape
    status: int
    answer: Any
    headers: dict[str, str] = field(default_factory=dict)  # a header -> a regular expression


SLACK_BODY: Shape = {"text": str, "attachments": list}
SLACK_SENT = {"ok": True, "channel": "C1", "ts": "1503435956.000247"}
BEARER = {"Authorization": r"Bearer xoxb-.+", "Content-Type": r"application/json.*"}
EMBEDS: Shape = {"embeds": list, "allowed_mentions": dict}
CHAT: Shape = {"chat_id": str, "text": str, "link_preview_options": dict}
PD = {"routing_key": str, "event_action": {"trigger", "acknowledge", "resolve"}, "dedup_key": str}
INCIDENT = {"summary": str, "source": str, "severity": {"critical", "error", "warning", "info"}, "custom_details": dict}
GENIE_ALERT: Shape = {"message": str, "alias": str, "description": str, "source": str, "details": dict,
                      "priority": {"P1", "P2", "P3", "P4", "P5"}}  # fmt: skip
NTFY: Shape = {"topic": str, "title": str, "message": str, "priority": int, "tags": list, "click?": str}
GENIE = {"Authorization": r"GenieKey .+"}
# api.slack.com/methods, discord.com/developers/docs/resources/webhook, core.telegram.org/bots/api,
# developer.pagerduty.com (Events API v2), docs.opsgenie.com/docs/alert-api, docs.ntfy.sh/publish, Teams workflows.
ENDPOINTS = [
    Endpoint("POST", "/slack/services/.+", SLACK_BODY, 200, "ok"),
    Endpoint("POST", "/slack/api/chat.postMessage", {**SLACK_BODY, "channel": str}, 200, SLACK_SENT, BEARER),
    Endpoint("POST", "/slack/api/chat.update", {**SLACK_BODY, "channel": str, "ts": str}, 200, SLACK_SENT, BEARER),
    Endpoint("POST", r"/discord/webhooks/1/t\?wait=true", EMBEDS, 200, {"id": "99"}),
    Endpoint("PATCH", "/discord/webhooks/1/t/messages/99", EMBEDS, 200, {"id": "99"}),
    Endpoint("POST", "/bot123456:[A-Za-z-]+/sendMessage", CHAT, 200, {"ok": True, "result": {"message_id": 7}}),
    Endpoint("POST", "/bot123456:[A-Za-z-]+/editMessageText", {**CHAT, "message_id": int}, 200,
             {"ok": True, "result": {"message_id": 7}}),
    Endpoint("POST", "/pagerduty", {**PD, "payload?": INCIDENT, "client?": str, "client_url?": str}, 202,
             {"status": "success", "message": "Event processed", "dedup_key": "x"}),
    Endpoint("POST", "/genie/v2/alerts", GENIE_ALERT, 202, {"result": "Request will be processed"}, GENIE),
    Endpoint("POST", r"/genie/v2/alerts/[^/]+/close\?identifierType=alias", {"source": str, "note": str}, 202, {},
             GENIE),
    Endpoint("POST", "/ntfy/", NTFY, 200, {"id": "abc"}, {"Authorization": "Bearer tk_.+"}),
    Endpoint("POST", "/teams/.+", {"type": {"message"}, "attachments": list}, 202, ""),
    Endpoint("POST", "/hook.*", {}, 200, {}),
]  # fmt: skip


class Fake:
    """What was asked, and answers that a test can put in the way."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.raw: list[bytes] = []
        self.answers: list[tuple[int, Any]] = []  # given first, in order, whatever is asked
        self.url = ""

    def answer(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> tuple[int, Any]:
        body = json.loads(raw)
        self.requests.append((method, path, headers, body))
        self.raw.append(raw)
        if self.answers:
            return self.answers.pop(0)
        for each in ENDPOINTS:
            if each.method == method and re.fullmatch(each.path, path):
                wrong = list(misfits(each, headers, body))
                return (422, {"wrong": wrong}) if wrong else (each.status, each.answer)
        return 404, {"wrong": "no such address"}


def misfits(endpoint: Endpoint, headers: dict[str, str], body: Any) -> Iterator[str]:
    """Yield in what a request is not as documented."""
    for name, pattern in endpoint.headers.items():
        if not re.fullmatch(pattern, headers.get(name, "")):
            yield f"header {name}"
    if endpoint.shape:
        yield from unshaped(endpoint.shape, body, "")


def unshaped(shape: Shape, body: Any, where: str) -> Iterator[str]:
    if not isinstance(body, dict):
        yield f"{where} is no object"
        return
    known = {name.removesuffix("?") for name in shape}
    yield from (f"{where}{name} is unknown" for name in body if name not in known)
    for name, wanted in shape.items():
        plain = name.removesuffix("?")
        if plain not in body:
            if plain == name:
                yield f"{where}{name} is missing"
        elif isinstance(wanted, dict):
            yield from unshaped(wanted, body[plain], f"{plain}.")
        elif not (body[plain] in wanted if isinstance(wanted, set) else isinstance(body[plain], wanted)):
            yield f"{where}{plain} is {body[plain]!r}"


@contextmanager
def serving() -> Iterator[Fake]:
    """Run the fakes on a port of this machine."""
    fake = Fake()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake.answer))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(answer: Callable[[str, str, dict[str, str], bytes], tuple[int, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answer(self.command, self.path, dict(self.headers), raw)
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/hook/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PATCH = do_POST

        def log_message(self, *_: object) -> None: ...

    return Handler
