"""What a replica says of operations that ended: the same words from a process of the platform and from an application.

A replica (a process, an application) tells its totals beside what is new, so that a batch that comes twice is known:
the totals are a counter of its own that only grows (`telemetry.crdt`). It lives for half a day and then begins anew
under another name, so that names that have been quiet for long can be folded into one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.crdt import LARGEST, GCounter
from subsystems.telemetry.recorders import MAX_NAME, OK, OperationRecorder, checked_name
from subsystems.telemetry.samples import FUTURE_SECONDS

LIFE_SECONDS = 12 * 3600.0
FOLD_AFTER_SECONDS = 36 * 3600.0  # after its birth: it has been dead for a day
FOLDED = "folded"
MAX_LIVING = 500
MAX_OPERATIONS = 1_000  # of one batch
MAX_AT_ONCE = 1_000_000  # operations that ended, in one batch
MAX_OUTCOME = 80
MAX_AGE_SECONDS = 3_600.0

Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
Some = Annotated[int, msgspec.Meta(ge=1, le=MAX_AT_ONCE)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Outcome = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_OUTCOME)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class Ended(msgspec.Struct, forbid_unknown_fields=True):
    """One operation: its totals at this replica, and what ended since its last batch."""

    operation: Name
    total: Count
    total_ok: Count
    ends: Annotated[list[tuple[float, Outcome, Some]], msgspec.Meta(min_length=1, max_length=10_000)]  # second, outcome
    durations_ms: Annotated[list[tuple[Milliseconds, Some]], msgspec.Meta(max_length=10_000)]  # to three digits
    total_ms: Milliseconds
    errors: Annotated[list[tuple[float, str]], msgspec.Meta(max_length=10)] = []  # at, in words; newest first

    @property
    def count(self) -> int:
        """Return how many ended."""
        return sum(n for _, _, n in self.ends)

    @property
    def success(self) -> int:
        """Return how many of them ended well."""
        return sum(n for _, outcome, n in self.ends if outcome == OK)


class Pushed(msgspec.Struct, forbid_unknown_fields=True):
    """A batch as an application sends it."""

    source: Name
    replica: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{8,40}$")]
    since: float
    number: Count
    operations: Annotated[list[Ended], msgspec.Meta(min_length=1, max_length=MAX_OPERATIONS)]
    system: str | None = None


class OfUnit(msgspec.Struct):
    """An operation of one unit; *asked* where its end is also the first that is known of it."""

    unit: str
    ended: Ended
    asked: bool = True


class Kept(msgspec.Struct):
    """A batch as it waits in the database. States are (unit, side, second, name, how often)."""

    operations: list[OfUnit] = []
    states: list[tuple[str, str, float, str, int]] = []


_pushed, _kept, _encoder = msgspec.json.Decoder(Pushed), msgspec.json.Decoder(Kept), msgspec.json.Encoder()


def pushed(body: bytes, *, now: float) -> Pushed:
    """Return the batch in the body of a request. Raises Invalid naming the field."""
    try:
        batch = _pushed.decode(body)
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$")
        raise Invalid(words, field=place.strip("`.") or "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("The body is no JSON.", code="malformed_json") from None
    if not now - LIFE_SECONDS - MAX_AGE_SECONDS <= batch.since <= now + FUTURE_SECONDS:
        raise Invalid(
            "A replica begins anew every twelve hours, and not in the future.", field="since", code="replica_too_old"
        )
    if sum(each.count for each in batch.operations) > MAX_AT_ONCE:
        raise Invalid(f"A batch tells of at most {MAX_AT_ONCE:,} operations.", field="operations")
    for index, each in enumerate(batch.operations):
        _check(each, f"operations[{index}]", now)
    return batch


def replica_of(batch: Pushed) -> str:
    """Return the name under which an application's counts are kept; nobody can speak for another source."""
    source = hashlib.blake2b(batch.source.encode(), digest_size=8).hexdigest()
    return named(f"{source}/{batch.replica}", batch.since)


def named(writer: str, since: float) -> str:
    """Return the replica id of *writer*, born at *since*, which the id tells."""
    return f"{writer}:{int(since)}"


def encode(kept: Kept) -> bytes:
    """Return a batch as it is stored."""
    return _encoder.encode(kept)


def decode(body: bytes) -> Kept:
    """Return a stored batch."""
    return _kept.decode(body)


def recorder_of(ended: Ended) -> OperationRecorder:
    """Return the recorder of what is new in a batch."""
    made = OperationRecorder()
    if ended.durations_ms:
        values, counts = zip(*ended.durations_ms, strict=True)
        made.durations.add_many(np.repeat(np.array(values), np.array(counts)))
    made.record_many([(at, outcome == OK, n) for at, outcome, n in ended.ends], ended.total_ms, errors=ended.errors)
    return made


def counted(counter: GCounter, replica: str, total: int, *, now: float) -> GCounter:
    """Return *counter* after *replica* has told its total, with those long dead under one name."""
    merged = counter.merge(GCounter({replica: total})) if total else counter
    eldest = sorted((name for name in merged.counts if name not in {replica, FOLDED}), key=_born)
    old = set(eldest[: max(0, len(eldest) - MAX_LIVING)])  # so many only where each lives for a moment
    old |= {name for name in eldest if _born(name) < now - FOLD_AFTER_SECONDS}
    if not old:
        return merged
    kept = {name: n for name, n in merged.counts.items() if name not in old}
    return folded(GCounter(kept), sum(merged.counts[name] for name in old))


def folded(counter: GCounter, n: int) -> GCounter:
    """Return *counter* with *n* more of those who have no name of their own."""
    return counter.increment(FOLDED, n)


def rounded(milliseconds: float) -> float:
    """Return a duration to three digits: equal ones then travel as one, and quantiles are right to 1 % anyway."""
    return float(f"{milliseconds:.3g}")


def _born(replica: str) -> float:
    tail = replica.rpartition(":")[2]
    return float(tail) if tail.isdecimal() else math.inf


def _check(ended: Ended, place: str, now: float) -> None:
    checked_name(ended.operation, f"{place}.operation")
    times = [at for at, _, _ in ended.ends] + [at for at, _ in ended.errors]
    if not all(now - MAX_AGE_SECONDS <= at <= now + FUTURE_SECONDS for at in times):
        raise Invalid("Times are epoch seconds of the last hour.", field=f"{place}.ends")
    if any(not outcome.isprintable() for _, outcome, _ in ended.ends):
        raise Invalid("An outcome is ok or the name of what went wrong.", field=f"{place}.ends")
    if not _finite([value for value, _ in ended.durations_ms]) or not math.isfinite(ended.total_ms):
        raise Invalid("Durations are finite.", field=f"{place}.durations_ms")
    if sum(n for _, n in ended.durations_ms) not in {0, ended.count}:
        raise Invalid("There is a duration for each end, or none at all.", field=f"{place}.durations_ms")
    if ended.total < ended.count or ended.total_ok < ended.success or ended.total_ok > ended.total:
        raise Invalid("A total counts this batch too.", field=f"{place}.total")


def _finite(values: Sequence[Any]) -> bool:
    return bool(np.isfinite(np.asarray(values, np.float64)).all())
