"""A task whose end was counted just now: what everybody who counts ends is handed."""

from __future__ import annotations

from typing import NamedTuple


class Ended(NamedTuple):
    """Moments are epoch seconds, durations seconds; None is not known. Texts are masked already."""

    uuid: str
    state: int
    name: str
    queue: str
    finished_at: float
    runtime: float | None
    wait: float | None
    retries: int
    worker: str
    fingerprint: int | None
    exception: str | None
    traceback: str | None
