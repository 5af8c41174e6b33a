"""What one request or one packet carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from subsystems.telemetry.families import Family

MAX_SAMPLES = 50_000  # of one export


@dataclass(frozen=True, slots=True)
class Payload:
    """A body, how many numbers it carries, and the headers that say what it is."""

    body: bytes
    samples: int
    headers: Mapping[str, str] = field(default_factory=dict)


def chosen(families: Iterable[Family], prefixes: Sequence[str]) -> list[Family]:
    """Return the families whose name begins with one of *prefixes* (none: all); an alias says nothing new."""
    wanted = tuple(prefixes)
    return [each for each in families if not each.alias and (not wanted or each.name.startswith(wanted))]


def bounded(families: Sequence[Family]) -> tuple[list[Family], int]:
    """Return *families* cut to what one export may carry, and how many numbers are too many."""
    room, kept, left_out = MAX_SAMPLES, [], 0
    for family in families:
        numbers = sum(len(part.rows) for part in family.parts())
        if numbers <= room:
            kept.append(family)
            room -= numbers
        elif family.rows and room:
            kept.append(replace(family, rows=family.rows[:room]))
            left_out, room = left_out + numbers - room, 0
        else:
            left_out += numbers
    return kept, left_out


def batches(rows: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield *rows* in lists of at most *size*."""
    rest = iter(rows)
    return iter(lambda: list(islice(rest, size)), [])
