"""Waiting for what happens elsewhere, without sleeping longer than it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], *, seconds: float = 60.0) -> T:
    """Return the first true value of *condition*. Raises AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"nothing came of it within {seconds:g} s"
        time.sleep(0.02)
