"""A bar on the terminal for work that takes a while."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Protocol

WIDTH = 30
EVERY_SECONDS = 0.1


class Screen(Protocol):
    def write(self, msg: str = "", style_func: None = None, ending: str | None = None) -> None: ...
    def isatty(self) -> bool: ...


class Bar:
    """`Verifying [#####     ]  50 %  500,000 of 1,000,000`, drawn over itself; where nobody looks, nothing is drawn."""

    def __init__(self, title: str, screen: Screen) -> None:
        self._title, self._screen = title, screen
        self._shown_at = 0.0
        self._drawn = False

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._screen.write("")

    def show(self, done: int, total: int) -> None:
        """Draw how much of *total* is *done*."""
        now = monotonic()
        if not self._screen.isatty() or (done < total and now - self._shown_at < EVERY_SECONDS):
            return
        share = min(1.0, done / total) if total else 1.0
        filled = "#" * round(share * WIDTH)
        line = f"\r{self._title} [{filled:<{WIDTH}}] {share:4.0%}  {done:,} of {total:,}"
        self._screen.write(line, ending="")
        self._shown_at, self._drawn = now, True
