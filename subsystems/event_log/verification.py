"""Walking along the chain and telling where it is not as it was sealed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from subsystems.event_log.chain import GENESIS, HASH, POSITION, SEQUENCE, STREAM, link
from subsystems.event_log.checkpoints import EVERY_EVENTS, Checkpoint

MAX_FINDINGS = 100


class Kind(StrEnum):
    ALTERED = "altered"  # the row is not what was sealed, or the hash of the one before it is not
    MOVED = "moved"  # another event stands here than was sealed: inserted or reordered
    MISSING = "missing"
    TAIL_MISSING = "tail_missing"
    INSERTED = "inserted"  # behind the end
    REWRITTEN = "rewritten"  # the chain fits itself and does not fit a signed checkpoint
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_FORGED = "checkpoint_forged"
    HEAD_ALTERED = "head_altered"


@dataclass(frozen=True)
class Finding:
    """Something wrong, and the first position where it shows."""

    position: int
    kind: Kind
    detail: str

    def to_wire(self) -> dict[str, Any]:
        return {"position": self.position, "kind": str(self.kind), "detail": self.detail}


@dataclass(frozen=True)
class Verdict:
    """What a walk found between two positions."""

    from_position: int
    to_position: int
    head_position: int
    checked: int
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def first_bad(self) -> int | None:
        return self.findings[0].position if self.findings else None

    def to_wire(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "first_bad_position": self.first_bad,
            "from_position": self.from_position,
            "to_position": self.to_position,
            "head_position": self.head_position,
            "checked": self.checked,
            "findings": [finding.to_wire() for finding in self.findings],
        }


@dataclass
class Walk:
    """One walk: feed it rows by position, then ask for its findings.

    *previous* is the hash before the first row. In the middle of the log sequences are learned from the first event of
    each stream; they are hashed, so that nothing is lost by it.
    """

    start: int
    previous: bytes | None = GENESIS
    checkpoints: Mapping[int, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    checked: int = 0

    def __post_init__(self) -> None:
        self.expected = self.start
        self._whole = self.start == 1  # from the beginning without a hole: each stream starts at 1
        self._next: dict[str, int] = {}

    @property
    def full(self) -> bool:
        return len(self.findings) >= MAX_FINDINGS

    def feed(self, rows: Iterable[Sequence[Any]]) -> None:
        """Check the next *rows*."""
        for row in rows:
            if row[POSITION] != self.expected:
                self._skip(row[POSITION])
            if self.previous is not None and not _fits(self.previous, row):
                self._broken(row)
            elif self._wanted(row[STREAM]) not in (None, row[SEQUENCE]):
                self._find(Kind.MOVED, f"The stream {row[STREAM]} goes on with sequence {row[SEQUENCE]} out of turn.")
            self._pass(row)
            if self.full:
                return

    def _pass(self, row: Sequence[Any]) -> None:
        position = row[POSITION]
        if self.checkpoints and self.checkpoints.get(position, row[HASH]) != row[HASH]:
            self._find(Kind.REWRITTEN, "The signed checkpoint of this position has another hash: history up to here "
                       "was written anew.")  # fmt: skip
        if isinstance(row[SEQUENCE], int):
            self._next[row[STREAM]] = row[SEQUENCE] + 1
        self.previous = row[HASH] if isinstance(row[HASH], bytes) else None
        self.expected = position + 1
        self.checked += 1

    def _skip(self, position: int) -> None:
        last = position - 1
        which = f"Event {last} is" if last == self.expected else f"Events {self.expected} to {last} are"
        self._find(Kind.MISSING, f"{which} missing.")
        self.previous, self._whole, self._next = None, False, {}

    def _broken(self, row: Sequence[Any]) -> None:
        if self._wanted(row[STREAM]) in (None, row[SEQUENCE]):
            self._find(Kind.ALTERED, f"Not what was sealed here, unless {self.expected - 1} was changed with its hash.")
        else:
            self._find(Kind.MOVED, "Another event stands here than was sealed.")

    def _wanted(self, stream: str) -> int | None:
        return self._next.get(stream, 1 if self._whole else None)

    def _find(self, kind: Kind, detail: str) -> None:
        self.findings.append(Finding(self.expected, kind, detail))


def checkpoint_findings(
    found: Sequence[Checkpoint], keys: Sequence[str], start: int, end: int, *, complete: bool
) -> list[Finding]:
    """Tell which checkpoints from *start* to *end* nobody of ours signed, and, of a *complete* list, which lack."""
    forged = [
        Finding(each.position, Kind.CHECKPOINT_FORGED, "The platform did not sign this checkpoint.")
        for each in found
        if not each.genuine(keys)
    ]
    first = -(-start // EVERY_EVENTS) * EVERY_EVENTS
    wanted = set(range(first, end + 1, EVERY_EVENTS)) if complete else set()
    lacking = [
        Finding(position, Kind.CHECKPOINT_MISSING, "The checkpoint of this position is gone.")
        for position in sorted(wanted - {each.position for each in found})
    ]
    return forged + lacking


def end_findings(walk: Walk, end: int, head: tuple[int, bytes], newest: int, promised: int) -> list[Finding]:
    """Tell what is wrong at the end: *head* is the last event that the sealer knows of, *newest* the last that is there
    and *promised* the last that a checkpoint was signed for."""
    position, hash_ = head
    found = []
    if walk.expected <= end and not walk.full:
        kind = Kind.TAIL_MISSING if end == position else Kind.MISSING
        found.append(Finding(walk.expected, kind, f"Events {walk.expected} to {end} are missing."))
    if end != position:
        return found
    if walk.expected > end and walk.checked and walk.previous not in (None, hash_):
        found.append(Finding(position, Kind.HEAD_ALTERED, "The head of the chain names another hash."))
    if promised > max(position, newest):
        found.append(Finding(position + 1, Kind.TAIL_MISSING, f"A checkpoint was signed for event {promised}."))
    if newest > position:
        found.append(Finding(position + 1, Kind.INSERTED, f"Events up to {newest} were never sealed."))
    return found


def _fits(previous: bytes, row: Sequence[Any]) -> bool:
    try:
        return bool(link(previous, row) == row[HASH])
    except (TypeError, ValueError, OverflowError):  # somebody wrote what the platform never writes
        return False
