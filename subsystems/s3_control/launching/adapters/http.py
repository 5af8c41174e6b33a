"""Questions to an HTTP API of what runs workers, over a Unix socket or TLS; a no is told in the API's own words."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ssl import SSLContext
from typing import Any
from urllib.parse import urlencode, urlsplit

from subsystems.s3_control.launching.adapters.base import SECONDS, LauncherRefuses, LauncherUnreachable

MAX_BYTES = 16_000_000  # of one answer: a list of many pods


class Conflict(LauncherRefuses):
    """It is there already, or was changed by somebody else meanwhile."""

    code = "launcher_conflict"


class Missing(LauncherRefuses):
    """What is named is not there."""


class NotAllowed(LauncherRefuses):
    """The credential does not permit it."""


REFUSALS: dict[int, type[LauncherRefuses]] = {401: NotAllowed, 403: NotAllowed, 404: Missing, 409: Conflict}


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect, within the time of one question."""
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connecting.settimeout(self.timeout)
            connecting.connect(self._path)
        except OSError:
            connecting.close()
            raise
        self.sock = connecting


class Api:
    """One API, by the name that people know it by. Each question has a connection of its own."""

    def __init__(
        self, who: str, *, url: str = "", tls: SSLContext | None = None, unix: str = "", token: str = ""
    ) -> None:
        self._who, self._unix, self._tls = who, unix, tls
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "localhost", parts.port or 443
        self._headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}

    def __call__(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        seconds: float = SECONDS,
    ) -> Any:
        """Return the answer's JSON, None without a body. Raises LauncherUnreachable, LauncherRefuses and its kinds."""
        query = f"?{urlencode(params)}" if params else ""
        headers = self._headers | ({} if body is None else {"Content-Type": content_type})
        data = None if body is None else json.dumps(body).encode()
        connection = self._connection(seconds)
        try:
            connection.request(method, path + query, data, headers)
            answer = connection.getresponse()
            told = answer.read(MAX_BYTES)
        except (OSError, HTTPException) as error:
            raise LauncherUnreachable(f"{self._who} does not answer: {type(error).__name__}.") from None
        finally:
            connection.close()
        return self._read(answer, told)

    def _connection(self, seconds: float) -> HTTPConnection:
        if self._unix:
            return UnixConnection(self._unix, seconds)
        return HTTPSConnection(self._host, self._port, timeout=seconds, context=self._tls)

    def _read(self, answer: HTTPResponse, told: bytes) -> Any:
        status = answer.status
        try:
            found = json.loads(told) if told else None
        except ValueError:
            found = None
        words = f"{self._who} answered {status}"
        if isinstance(found, dict) and found.get("message") and status >= 400:
            words += f": {str(found['message'])[:300]}"
        if status >= 500 or status == 429:
            raise LauncherUnreachable(words)
        if status >= 300 and status != 304:
            raise REFUSALS.get(status, LauncherRefuses)(words)
        if told and found is None:
            raise LauncherRefuses(f"{words} with something that is no JSON.")
        return found
