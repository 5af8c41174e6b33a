"""Celery's consumer, quick to come back to a broker that was away, and quiet about it."""

from __future__ import annotations

from typing import Any

from celery.worker import consumer
from kombu import Connection

FIRST_WAIT_SECONDS, LONGER_BY_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 0.5, 3.0


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Tries again after half a second at first, three at most; Celery waits up to thirty, and pain with it."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """Return *conn* once it stands; say once, not at each try, that it does not."""
        ask = conn.ensure_connection

        def ask_sooner(tell: Any, most: int | None, **options: Any) -> Connection:
            told = False

            def tell_once(error: Exception, interval: float) -> None:
                nonlocal told
                if not told:
                    tell(error, interval)
                told = True

            return ask(
                tell_once, most, interval_start=FIRST_WAIT_SECONDS, interval_step=LONGER_BY_SECONDS,
                interval_max=LONGEST_WAIT_SECONDS, **options,
            )  # fmt: skip

        conn.ensure_connection = ask_sooner
        return super().ensure_connected(conn)
