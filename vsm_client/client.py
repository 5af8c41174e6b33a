"""The client: a buffer, and a thread that sends it."""

from __future__ import annotations

import atexit
import gzip
import http.client
import json
import logging
import random
import threading
import urllib.error
import urllib.request
from typing import Any

from vsm_client.buffer import Buffer, Labels
from vsm_client.operations import Operation
from vsm_client.tallies import Tallies

logger = logging.getLogger(__name__)
BATCH = 5_000
GZIP_FROM_BYTES = 1_000
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
TRY_AGAIN = {408, 429, 500, 502, 503, 504}


class Client:
    """Sends one source's samples to the platform at *url* every *flush_seconds*.

    *token* needs the scope `ingest`. At most *max_samples* wait; `dropped` tells how many had to go, `rejected` how
    many the platform did not take.
    """

    def __init__(
        self, url: str, *, token: str, source: str, system: str | None = None, flush_seconds: float = 5.0,
        max_samples: int = 50_000, timeout_seconds: float = 10.0,
    ) -> None:  # fmt: skip
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"The platform's address starts with http:// or https://; got {url!r}.")
        self.rejected = 0
        self._address = url.rstrip("/") + "/api/v1/ingest/"
        self._token, self._source, self._system = token, source, system
        self._flush_seconds, self._timeout = flush_seconds, timeout_seconds
        self._buffer = Buffer(max_samples)
        self._tallies = Tallies()
        self._failures = 0
        self._unsendable = 0
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        atexit.register(self.close)

    @property
    def dropped(self) -> int:
        """How many samples, and ends of operations, had to go unsent."""
        return self._buffer.dropped + self._unsendable + self._tallies.dropped

    def gauge(self, metric: str, value: float, labels: Labels = None, at: float | None = None) -> None:
        """Say that *metric* is *value* now, or was at *at* (epoch seconds)."""
        self._buffer.put(metric, value, labels, at)
        self._ensure_running()

    def count(self, metric: str, n: float = 1.0, labels: Labels = None) -> None:
        """Add *n* to the total of *metric*, which is sent as it stands."""
        self._buffer.count(metric, n, labels)
        self._ensure_running()

    def operation(self, name: str, **labels: str) -> Operation:
        """Return what measures a piece of work, as a decorator or in a `with`: how many, how long, how many failed."""
        return Operation(self.count, self._tallies.note, name, labels)

    def flush(self) -> bool:
        """Send what waits, now; return whether all of it was taken off our hands."""
        with self._sending:
            return self._send_samples() and self._send_operations()

    def close(self) -> None:
        """Send what waits, once, and stop."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        atexit.unregister(self.close)
        if self._thread is not None:
            self._thread.join(self._timeout)
        self.flush()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ensure_running(self) -> None:
        """Start the thread with the first sample, and again in a process that was forked."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._starting:
            if not self._closed and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="vsm-client", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = self._flush_seconds
        while not self._closed:
            self._wake.wait(pause)
            if self._closed:
                return
            pause = self._flush_seconds if self.flush() else max(self._flush_seconds, self._pause())

    def _pause(self) -> float:
        """Return how long to wait after failures: twice as long each time, and never all clients at once."""
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
        return longest * (0.5 + random.random() / 2)

    def _send_samples(self) -> bool:
        while samples := self._buffer.take(BATCH):
            why, answer = self._post("", {"samples": samples})
            if why is None:
                self._unsendable += 0 if answer is not None else len(samples)
                self._taken(answer or {})
            else:
                self._buffer.put_back(samples)
                return self._failed(why)
        return True

    def _send_operations(self) -> bool:
        """Send what operations did. A batch goes as it is until it is taken: one that comes twice is known."""
        while batch := self._tallies.batch():
            why, answer = self._post("operations/", batch)
            if why is not None:
                return self._failed(why)
            if answer is None:
                self._tallies.refused()
            else:
                self._tallies.taken()
        return True

    def _post(self, place: str, body: dict[str, Any]) -> tuple[str | None, dict[str, Any] | None]:
        """Send one body; return why it should be tried again (None: it should not), and the answer if it was taken."""
        try:
            with urllib.request.urlopen(self._request(place, body), timeout=self._timeout) as answer:  # noqa: S310
                taken: dict[str, Any] = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return self._refused(error.code, error.read(500))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return str(error), None
        self._failures = 0
        return None, taken

    def _request(self, place: str, body: dict[str, Any]) -> urllib.request.Request:
        body = {"source": self._source, **body} if self._source else dict(body)
        if self._system:
            body["system"] = self._system
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        raw = json.dumps(body).encode()
        if len(raw) >= GZIP_FROM_BYTES:
            raw, headers["Content-Encoding"] = gzip.compress(raw, 1), "gzip"
        return urllib.request.Request(self._address + place, raw, headers, method="POST")  # noqa: S310 (checked above)

    def _taken(self, outcome: dict[str, Any]) -> None:
        rejected = outcome.get("rejected", [])
        self.rejected += len(rejected)
        if rejected:
            logger.warning("%d samples were not taken, the first because: %s", len(rejected), rejected[0].get("detail"))

    def _refused(self, status: int, told: bytes) -> tuple[str | None, None]:
        if status in TRY_AGAIN:
            return f"status {status}", None
        logger.error("A batch was dropped, status %d: %s", status, told.decode("utf-8", "replace"))
        return None, None  # the next batch may fare better, this one never will

    def _failed(self, why: str) -> bool:
        self._failures += 1
        if self._failures == 1:
            logger.warning("The VSM platform takes nothing (%s); what is told waits and is sent later.", why)
        return False
