"""Not asking again and again what does not answer: a circuit breaker."""

from __future__ import annotations

import threading


class Breaker:
    """Closed while things work. After a failure only one caller in *rest_seconds* asks, until one is answered."""

    def __init__(self, rest_seconds: float) -> None:
        self._rest = rest_seconds
        self._ask_at: float | None = None  # None while closed
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        return self._ask_at is None

    def may_ask(self, *, now: float) -> bool:
        """Return whether this caller may ask; while open, saying yes is a turn that nobody else gets."""
        if self._ask_at is None:
            return True
        with self._lock:
            if self._ask_at is None:
                return True
            if now < self._ask_at:
                return False
            self._ask_at = now + self._rest
            return True

    def failed(self, *, now: float) -> bool:
        """Note that nobody answered; return whether that is news."""
        with self._lock:
            news = self._ask_at is None
            self._ask_at = now + self._rest
            return news

    def answered(self) -> bool:
        """Note that all is well; return whether that is news."""
        if self._ask_at is None:
            return False
        with self._lock:
            news, self._ask_at = self._ask_at is not None, None
            return news
