"""What telemetry tells in this process, kept until the patterns hear it: only what one of them asks for.

Telemetry events are of one process and are not in the event log; the patterns are heard wherever the log is. So each
process writes what is asked for to a table, every few seconds. One that is killed loses what it has not written yet.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from subsystems.kernel import telemetry_events
from subsystems.recursion.queries import root_system
from subsystems.s4_intelligence.models import Pattern, PatternInput

logger = logging.getLogger(__name__)
HANDLER = "vsm-s4-patterns"
FLUSH_SECONDS, ASK_SECONDS = 2.0, 20.0
MAX_WAITING = 5_000  # told and not yet written
MAX_FIELDS, MAX_TEXT = 30, 300
# The event log tells these, and for good; readings of variety are gathered whole.
ELSEWHERE = ("vsm.algedonic.", "vsm.s2.coordination.", "vsm.s4.pattern.", "vsm.variety.calculated")
PLAIN = (str, int, float, bool, type(None))
Check = Callable[[Mapping[str, Any]], bool]
Wanted = Mapping[str, Sequence[Check]]
Told = tuple[int | None, float, str, dict[str, Any]]


class Listener:
    """What one process hears."""

    def __init__(self) -> None:
        self.dropped = 0
        self._wanted: Wanted | None = None  # nobody has asked yet: everything may be wanted
        self._told: deque[Told] = deque()
        self._asked_at = 0.0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def hear(self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Note an event that a pattern asks for; never waits."""
        wanted = self._wanted
        if wanted is not None and event not in wanted:
            return
        if event.startswith(ELSEWHERE):
            return
        if len(self._told) >= MAX_WAITING:
            self.dropped += 1
            return
        system_id = metadata.get("system_id")
        said = {name: _plain(value) for name, value in [*metadata.items(), *measurements.items()][:MAX_FIELDS]
                if isinstance(value, PLAIN)}  # fmt: skip
        self._told.append((system_id if isinstance(system_id, int) else None, time.time(), event, said))
        self._ensure_running()

    def flush(self, *, now: float) -> int:
        """Write what was noted; return how many."""
        if self._wanted is None or now - self._asked_at >= ASK_SECONDS:
            self._wanted, self._asked_at = wanted(), now
        told = [self._told.popleft() for _ in range(len(self._told))]
        rows = [each for each in told if _is_wanted(self._wanted.get(each[2]), each[3])]
        if not rows:
            return 0
        try:
            return write(rows)
        except (DatabaseError, InterfaceError):
            self._told.extendleft(reversed(rows[: MAX_WAITING - len(self._told)]))
            raise

    def _ensure_running(self) -> None:
        if self._thread is not None or not settings.RECORD_OPERATIONS:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="patterns-listener", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(FLUSH_SECONDS)
            now = time.time()
            if not self._told and now - self._asked_at < ASK_SECONDS:
                continue
            try:
                self.flush(now=now)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("What telemetry told waits for the patterns: %s", error)
            finally:
                connections.close_all()


def wanted() -> Wanted:
    """Return the telemetry events that a pattern at work asks for, and under which conditions: any of them will do.

    What meets none is not written: most of what is told is of no interest to anybody.
    """
    known = [event.name for event in telemetry_events.bus.events() if not event.name.startswith(ELSEWHERE)]
    found: dict[str, set[Check | None]] = {}
    for text, names in Pattern.objects.filter(enabled=True).values_list("text", "names"):
        if any(_named(name, names) for name in known):
            for asked, where in _asked(text):
                for name in known:
                    if _named(name, asked):
                        found.setdefault(name, set()).add(where)
    return {name: () if None in checks else tuple(filter(None, checks)) for name, checks in found.items()}


def _named(name: str, asked: Iterable[str]) -> bool:
    return any(name == each or (each.endswith("*") and name.startswith(each[:-1])) for each in asked)


@lru_cache(maxsize=200)
def _asked(text: str) -> Sequence[tuple[Sequence[str], Check | None]]:
    """Return which events a pattern asks for, each with its conditions."""
    from subsystems.s4_intelligence.patterns.compiling import plan_of  # only where a pattern asks for telemetry
    from subsystems.s4_intelligence.patterns.language import Mistaken, read

    try:
        plan = plan_of(read(text))
    except Mistaken:  # written by an earlier release that took it: it is not at work
        return ()
    return [(wanted.names, wanted.where) for asking in plan.askings for wanted in asking.wanted]


def _is_wanted(checks: Sequence[Check] | None, said: Mapping[str, Any]) -> bool:
    """Return whether any of *checks* is met; an empty list is met by everything, None by nothing."""
    return checks is not None and (not checks or any(check(said) for check in checks))


def write(rows: Iterable[Told]) -> int:
    """Keep what was told until the patterns hear it; what no system is named for is the root system's."""
    root = root_system().pk
    told = [
        PatternInput(system_id=system_id or root, at=at, type=name[:80], data=json.dumps(data, default=str))
        for system_id, at, name, data in rows
    ]
    PatternInput.objects.bulk_create(told, batch_size=settings.TELEMETRY_BATCH_SIZE)
    return len(told)


_listener = Listener()


def _anew() -> None:
    """Begin anew in a process that was forked: it must not say again what its parent says."""
    global _listener
    _listener = Listener()


def hear(event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Note a telemetry event of this process."""
    _listener.hear(event, measurements, metadata)


def attach() -> None:
    """Begin to listen, unless nobody will hear."""
    if not settings.EVENT_PROCESSING:
        return
    os.register_at_fork(after_in_child=_anew)
    telemetry_events.attach(HANDLER, telemetry_events.EVERY, hear)


def _plain(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value
