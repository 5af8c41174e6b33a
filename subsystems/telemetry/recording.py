"""Recording operations as they happen, from any thread, and telling whoever asked when one is far too slow.

A recorder is of this process; `taken` hands over what was counted since the last time, to be merged with
that of others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.telemetry.recorders import OK, Expectations, Slow, UnitRecorder

logger = logging.getLogger(__name__)
MAX_UNITS = 10_000  # the one unheard for longest gives way to a new one
STOPPED, RAISED = "vsm.s1.operation.stop", "vsm.s1.operation.exception"
HEARD = (STOPPED, RAISED)
Raise = Callable[[Slow], object]


class Recorders:
    """The recorders of all units that this process hears of."""

    def __init__(
        self, *, on_slow: Raise | None = None, expectations: Expectations | None = None, max_units: int = MAX_UNITS
    ) -> None:
        self.forgotten = 0
        self.refused = 0
        self._on_slow = on_slow
        self._expectations = expectations or Expectations()
        self._max_units = max_units
        self._units: OrderedDict[str, UnitRecorder] = OrderedDict()
        self._lock = threading.Lock()

    def record_operation(
        self, unit_id: str, operation: str, duration_ms: float, result: str = OK, *, now: float | None = None
    ) -> Slow | None:
        """Count one operation of a unit (000-47); one that took more than twice what was expected is told (000-52).

        Telling happens outside the lock and its failure is logged: it must not harm the operation. Raises Invalid.
        """
        at = time.time() if now is None else now
        with self._lock:
            slow = self._recorder(unit_id).record(operation, duration_ms, result, at=at)
        if slow is not None and self._on_slow is not None:
            self._tell(slow)
        return slow

    def get_metrics(self, unit_id: str, *, now: float | None = None) -> dict[str, Any]:
        """Return the documented summary of a unit (000-53). Raises NotListed for one that was never heard."""
        with self._lock:
            found = self._units.get(unit_id)
            if found is None:
                raise NotListed(f"Nothing was recorded of the unit {unit_id!r:.80}.", field="unit_id")
            return found.metrics(now=time.time() if now is None else now)

    def units(self) -> list[str]:
        """Return every unit that was heard."""
        with self._lock:
            return sorted(self._units)

    def taken(self) -> list[UnitRecorder]:
        """Hand over all recorders, and begin anew."""
        with self._lock:
            units, self._units = self._units, OrderedDict()
        return list(units.values())

    def hear(self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record what a telemetry event says of an operation that ended; attach it to `HEARD` (000-5, 000-6)."""
        unit_id, operation = metadata.get("unit_id"), metadata.get("operation")
        if unit_id is None or operation is None:
            return
        result = OK if event == STOPPED and measurements.get("success", True) else _failure(metadata)
        try:
            self.record_operation(str(unit_id), str(operation), measurements["duration"], result)
        except (Invalid, KeyError):
            self.refused += 1  # an event from outside the house; a line of log for each would be a flood

    def _recorder(self, unit_id: str) -> UnitRecorder:
        found = self._units.get(unit_id)
        if found is None:
            found = self._units[unit_id] = UnitRecorder(unit_id, expectations=self._expectations)
            if len(self._units) > self._max_units:
                self._units.popitem(last=False)
                self.forgotten += 1
        self._units.move_to_end(unit_id)
        return found

    def _tell(self, slow: Slow) -> None:
        assert self._on_slow is not None
        try:
            self._on_slow(slow)
        except Exception:
            logger.exception("The pain of %s (%s) could not be told.", slow.unit_id, slow.operation)


def _failure(metadata: Mapping[str, Any]) -> str:
    """Return what went wrong in words; never `ok`, and never the exception, which holds its traceback."""
    kind, words = metadata.get("error_type"), metadata.get("error_message")
    return ": ".join(str(each) for each in (kind, words) if each) or "failed"
