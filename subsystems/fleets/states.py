"""The states of a task, numbered so that of two facts about one task the one that holds can be told."""

from __future__ import annotations

from enum import IntEnum

LEVEL = 10  # state // LEVEL: sent, on its way, ended. A higher level holds; within one the later fact does
FINAL = 20


class State(IntEnum):
    """Celery's states; `UNKNOWN` is a task that ended while nobody listened."""

    PENDING = 0
    RECEIVED = 10
    STARTED = 11
    RETRY = 12
    UNKNOWN = 13
    REJECTED = 20
    REVOKED = 21
    FAILURE = 22
    SUCCESS = 23


OPEN = (State.PENDING, State.RECEIVED, State.STARTED, State.RETRY)
