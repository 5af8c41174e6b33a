"""The picture of a task's life: bars of what it did when, on one scale. Pure: moments are epoch seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, LEAST = 1000.0, 4.0  # of the picture, and of a bar that would be too thin to see
WORDS = {
    "held": "Held until its ETA",
    "queued": "In the queue",
    "reserved": "With the worker, not started",
    "running": "Running",
    "between": "Waited for another try",
}


@dataclass(frozen=True)
class Bar:
    """One stretch of a task's life, placed on the picture."""

    kind: str
    start: float
    end: float
    x: float = 0.0
    width: float = 0.0

    @property
    def words(self) -> str:
        return WORDS[self.kind]

    @property
    def seconds(self) -> float:
        return self.end - self.start


def bars(
    *,
    sent: float | None,
    received: float | None,
    eta: float | None,
    started: float | None,
    tries: Sequence[float],
    last_started: float | None,
    ended: float | None,
    now: float,
) -> list[Bar]:
    """Return the bars of one task. *tries* are the ends of the tries that were followed by another."""
    made: list[Bar] = []

    def add(kind: str, start: float | None, end: float | None) -> None:
        if start is not None and end is not None and end > start:
            made.append(Bar(kind, start, end))

    first_end = started if started is not None else ended if ended is not None else now
    begin = sent if sent is not None else received
    if begin is not None and eta is not None and eta > begin:
        add("held", begin, min(eta, first_end))
        begin = min(eta, first_end)
    fetched = first_end if received is None else max(received, begin or received)
    add("queued", begin, min(fetched, first_end))
    add("reserved", min(fetched, first_end), first_end)
    _add_tries(add, started, sorted(tries), last_started, ended if ended is not None else now)
    return _placed(made)


def _add_tries(
    add: object, started: float | None, tries: list[float], last_started: float | None, ended: float
) -> None:
    """Add the runs and the pauses between them; of the runs between the first and the last only the end is known."""
    assert callable(add)
    if started is None:
        return
    if not tries:
        add("running", started, ended)
        return
    add("running", started, tries[0])
    runs_again = last_started is not None and last_started >= tries[-1]
    add("between", tries[0], last_started if runs_again else ended)
    if runs_again:
        add("running", last_started, ended)


def _placed(made: list[Bar]) -> list[Bar]:
    if not made:
        return []
    low, high = made[0].start, max(bar.end for bar in made)
    scale = WIDTH / max(high - low, 1e-9)
    placed = []
    for bar in made:
        width = max(LEAST, (bar.end - bar.start) * scale)
        x = min((bar.start - low) * scale, WIDTH - width)
        placed.append(Bar(bar.kind, bar.start, bar.end, round(x, 1), round(width, 1)))
    return placed
