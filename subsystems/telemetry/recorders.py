"""What the operational units of S1 do: counts, durations and errors per unit and operation (000-46 to 000-53).

Durations are milliseconds (2-20). The documented health counts latency twice, because its throughput is the reciprocal
of the mean duration; that one is called `service_rate`, and the true throughput, operations of the window by its
seconds, stands beside it (2-37). Life-time averages never decay, so health is also given for the last five minutes.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.sketch import Sketch

OK = "ok"
EXPECTED_MS: Mapping[str, float] = {"process": 50.0, "transform": 100.0, "validate": 20.0}  # 000-51
EXPECTED_ELSE_MS = 75.0
SLOW_FACTOR = 2.0  # 000-52
ERRORS_KEPT, ERRORS_SHOWN = 10, 3  # 000-48, 000-53
MAX_ERROR = 500  # letters
MAX_NAME = 200
MAX_OPERATIONS = 200  # of one unit: names come from outside
OTHER = "(other)"
WINDOW_SECONDS, BUCKET_SECONDS = 300.0, 5.0
BUCKETS = int(WINDOW_SECONDS / BUCKET_SECONDS)


@dataclass(frozen=True, slots=True)
class Expectations:
    """How long each operation should take, in ms, and from which multiple of that on it hurts."""

    by_operation: Mapping[str, float] = field(default_factory=lambda: dict(EXPECTED_MS))
    otherwise: float = EXPECTED_ELSE_MS
    slow_factor: float = SLOW_FACTOR

    def of(self, operation: str) -> float:
        """Return the expected duration of *operation*."""
        return self.by_operation.get(operation, self.otherwise)

    def is_slow(self, operation: str, duration_ms: float) -> bool:
        """Return whether *duration_ms* is worth pain: strictly more than the multiple (000-52)."""
        return duration_ms > self.slow_factor * self.of(operation)


@dataclass(frozen=True, slots=True)
class Slow:
    """An operation that took more than twice what was expected: medium pain (000-52)."""

    unit_id: str
    operation: str
    duration_ms: float
    expected_ms: float

    def to_signal(self) -> dict[str, Any]:
        """Return the fields of the signal to raise."""
        data = {"operation": self.operation, "duration": self.duration_ms, "expected": self.expected_ms}
        return {"type": "pain", "source": f"s1:{self.unit_id}", "severity": "medium", "data": data}


@dataclass(frozen=True, slots=True)
class Totals:
    """Operations counted together."""

    count: int = 0
    success: int = 0
    duration_ms: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.count + other.count, self.success + other.success, self.duration_ms + other.duration_ms)

    @property
    def success_rate(self) -> float | None:
        """Return the share that succeeded; None of none."""
        return self.success / self.count if self.count else None

    @property
    def avg_duration(self) -> float | None:
        """Return the mean duration in ms; None of none."""
        return self.duration_ms / self.count if self.count else None

    @property
    def service_rate(self) -> float | None:
        """Return operations by second of work (000-49's throughput); None where none took any time."""
        return 1000 * self.count / self.duration_ms if self.duration_ms else None


def unit_health(success_rate: float, avg_duration_ms: float, rate: float | None) -> float:
    """Return the documented health of a unit, 0 to 100 (000-50); *rate* None is too fast to measure.

    100 x success rate, less a tenth of the duration (20 at most), plus operations a second (10 at most).
    """
    bonus = 10.0 if rate is None else min(10.0, rate)
    return max(0.0, min(100.0, 100 * success_rate - min(20.0, avg_duration_ms / 10) + bonus))


def health_of(totals: Totals, *, throughput: float | None = None) -> float | None:
    """Return the documented health of what was counted, None of nothing: silence is not health.

    With *throughput* the true one takes the place of the service rate, a setting that 2-37 allows.
    """
    rate, duration = totals.success_rate, totals.avg_duration
    if rate is None or duration is None:
        return None
    return unit_health(rate, duration, totals.service_rate if throughput is None else throughput)


class OperationRecorder:
    """One operation of one unit: life-time totals, a window of five minutes, durations, and its last ten errors."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.durations = Sketch()
        self.errors: deque[tuple[float, str]] = deque(maxlen=ERRORS_KEPT)  # (at, what), newest first
        self.slow = 0
        self._ids = np.full(BUCKETS, -1, np.int64)
        self._window = np.zeros((BUCKETS, 3))

    def record(self, duration_ms: float, result: str, *, at: float) -> None:
        """Count one operation that ended at *at* (epoch seconds)."""
        success = result == OK
        self.totals += Totals(1, int(success), duration_ms)
        self.durations.add(duration_ms)
        if not success:
            self.errors.appendleft((at, result[:MAX_ERROR]))
        self._count_recent(at, (1.0, float(success), duration_ms))

    def record_many(
        self,
        ends: Sequence[tuple[float, bool, int]],
        total_ms: float,
        *,
        errors: Sequence[tuple[float, str]] = (),
    ) -> None:
        """Count operations that were counted elsewhere: (at, whether well, how many), and how long all took together.

        Their durations are merged by the caller; a mean stands for each in the window. *errors* are newest first.
        """
        count, success = sum(n for _, _, n in ends), sum(n for _, well, n in ends if well)
        self.totals += Totals(count, success, total_ms)
        for at, well, n in ends:
            self._count_recent(at, (float(n), float(n * well), total_ms * n / count))
        self.errors.extendleft((at, what[:MAX_ERROR]) for at, what in reversed(errors))

    def _count_recent(self, at: float, sums: tuple[float, float, float]) -> None:
        bucket = int(at // BUCKET_SECONDS)
        row = bucket % BUCKETS
        if self._ids[row] < bucket:
            self._ids[row], self._window[row] = bucket, 0.0
        if self._ids[row] == bucket:  # else it is older than the window
            self._window[row] += sums

    def recent(self, now: float) -> Totals:
        """Return the totals of the last five minutes."""
        newest = int(now // BUCKET_SECONDS)
        rows = (self._ids > newest - BUCKETS) & (self._ids <= newest)
        count, success, duration = self._window[rows].sum(axis=0)
        return Totals(int(count), int(success), float(duration))

    def merge(self, other: OperationRecorder) -> None:
        """Count what *other* counted elsewhere: another process, another replica."""
        self.totals += other.totals
        self.durations.merge(other.durations)
        self.slow += other.slow
        newest_first = sorted([*self.errors, *other.errors], reverse=True)[:ERRORS_KEPT]
        self.errors = deque(newest_first, maxlen=ERRORS_KEPT)
        used = other._ids >= 0
        for bucket, row in zip(other._ids[used].tolist(), other._window[used], strict=True):
            mine = bucket % BUCKETS
            if bucket > self._ids[mine]:
                self._ids[mine], self._window[mine] = bucket, 0.0
            if bucket == self._ids[mine]:
                self._window[mine] += row

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        used = self._ids >= 0
        buckets = zip(self._ids[used].tolist(), self._window[used].tolist(), strict=True)
        return {
            "totals": [self.totals.count, self.totals.success, self.totals.duration_ms], "slow": self.slow,
            "durations": base64.b64encode(self.durations.to_bytes()).decode(),
            "errors": [list(each) for each in self.errors],
            "window": [[bucket, *row] for bucket, row in buckets],
        }  # fmt: skip

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> OperationRecorder:
        """Return what `to_wire` wrote. Raises Invalid."""
        made = cls()
        try:
            count, success, duration = wire["totals"]
            made.totals, made.slow = Totals(int(count), int(success), float(duration)), int(wire["slow"])
            made.durations = Sketch.from_bytes(base64.b64decode(wire["durations"], validate=True))
            made.errors.extend((float(at), str(what)[:MAX_ERROR]) for at, what in wire["errors"])
            for bucket, *row in wire["window"]:
                made._ids[bucket % BUCKETS], made._window[bucket % BUCKETS] = bucket, row
            if not np.isfinite(made._window).all() or not math.isfinite(duration):
                raise ValueError("not finite")
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise Invalid(f"This is no recorder of an operation: {error!r:.80}.", field="operation") from None
        return made


class UnitRecorder:
    """All operations of one unit. Not for several threads at once without a lock.

    Of a unit that did nothing the documents say a success rate of 1.0 (000-49); here it is None, because what was not
    measured is not healthy.
    """

    def __init__(self, unit_id: str, *, expectations: Expectations | None = None) -> None:
        self.unit_id = checked_name(unit_id, "unit_id")
        self.expectations = expectations or Expectations()
        self.operations: dict[str, OperationRecorder] = {}
        self.folded = 0  # operations counted as `(other)`

    def record(self, operation: str, duration_ms: float, result: str = OK, *, at: float) -> Slow | None:
        """Count one operation; *result* is `ok` or what went wrong. Return the pain it is worth, if any (000-47).

        Beyond MAX_OPERATIONS names further ones are counted as `(other)`. Raises Invalid naming the field.
        """
        checked_name(operation, "operation")
        duration_ms = checked_duration(duration_ms)
        if not isinstance(result, str):
            raise Invalid("A result is 'ok' or what went wrong, in words.", field="result")
        recorder = self._recorder(operation)
        recorder.record(duration_ms, result, at=at)
        if not self.expectations.is_slow(operation, duration_ms):
            return None
        recorder.slow += 1
        return Slow(self.unit_id, operation, duration_ms, self.expectations.of(operation))

    def merge(self, other: UnitRecorder) -> None:
        """Count what *other* counted of the same unit elsewhere."""
        for name, each in other.operations.items():
            self._recorder(name).merge(each)
        self.folded += other.folded

    def metrics(self, *, now: float) -> dict[str, Any]:
        """Return the documented summary (000-53), with window, quantiles and what was expected beside it."""
        life = sum((each.totals for each in self.operations.values()), Totals())
        recent = sum((each.recent(now) for each in self.operations.values()), Totals())
        throughput = recent.count / WINDOW_SECONDS
        health, latest = health_of(life), health_of(recent)
        return {
            "unit_id": self.unit_id,
            "performance": _performance(life, throughput),
            "recent": {**_performance(recent, throughput), "count": recent.count, "window_seconds": WINDOW_SECONDS},
            "operations": {name: self._summary(name, each) for name, each in sorted(self.operations.items())},
            "health": health,
            "health_ratio": None if health is None else health / 100,
            "health_recent": latest,
            "health_by_throughput": health_of(recent, throughput=throughput),
            "status": "measured" if life.count else "no_data",
        }

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        told = {name: each.to_wire() for name, each in self.operations.items()}
        return {"unit_id": self.unit_id, "operations": told, "folded": self.folded}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any], *, expectations: Expectations | None = None) -> UnitRecorder:
        """Return what `to_wire` wrote. Raises Invalid."""
        try:
            made = cls(wire["unit_id"], expectations=expectations)
            made.folded = int(wire["folded"])
            told = {str(name): OperationRecorder.from_wire(each) for name, each in wire["operations"].items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Invalid(f"This is no recorder of a unit: {error!r:.80}.", field="unit") from None
        made.operations = dict(list(told.items())[: MAX_OPERATIONS + 1])
        return made

    def _recorder(self, operation: str) -> OperationRecorder:
        found = self.operations.get(operation)
        if found is not None:
            return found
        if len(self.operations) >= MAX_OPERATIONS:
            self.folded += 1
            return self.operations.setdefault(OTHER, OperationRecorder())
        return self.operations.setdefault(operation, OperationRecorder())

    def _summary(self, name: str, recorder: OperationRecorder) -> dict[str, Any]:
        half, most, nearly_all = recorder.durations.quantiles([0.5, 0.95, 0.99])
        return {
            "count": recorder.totals.count,
            "success_rate": recorder.totals.success_rate,
            "avg_duration": recorder.totals.avg_duration,
            "recent_errors": [what for _, what in list(recorder.errors)[:ERRORS_SHOWN]],
            "expected_duration": self.expectations.of(name),
            "slow": recorder.slow,
            "p50": half,
            "p95": most,
            "p99": nearly_all,
            "max": recorder.durations.max,
        }


def checked_name(name: object, field_name: str) -> str:
    """Return *name* if it can name a unit or an operation. Raises Invalid."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"A name is 1 to {MAX_NAME} printable characters.", field=field_name)
    return name


def checked_duration(duration_ms: object) -> float:
    """Return *duration_ms* if it is a finite number from 0. Raises Invalid."""
    number = isinstance(duration_ms, int | float | np.number) and not isinstance(duration_ms, bool)
    try:
        value = float(duration_ms) if number else math.nan  # type: ignore[arg-type]
    except OverflowError:
        value = math.inf
    if not 0 <= value < math.inf:
        raise Invalid("A duration is a finite number of milliseconds from 0.", field="duration_ms")
    return value


def _performance(totals: Totals, throughput: float) -> dict[str, float | None]:
    return {
        "success_rate": totals.success_rate,
        "avg_duration": totals.avg_duration,
        "service_rate": totals.service_rate,
        "throughput": throughput,
    }
