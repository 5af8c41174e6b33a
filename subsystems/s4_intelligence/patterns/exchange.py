"""Patterns as one file of YAML documents: as they leave a system, and as they come into another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.s4_intelligence.patterns import queries, services
from subsystems.s4_intelligence.patterns.language import MAX_CHARACTERS, Mistaken, read

BETWEEN = re.compile(r"^---[ \t]*$", re.MULTILINE)
MAX_FILE = MAX_CHARACTERS * services.MAX_PATTERNS


@dataclass
class Imported:
    """What came of a file: names that were added, changed and left as they are, and what was refused with why."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


def export(system: System) -> str:
    """Return every pattern of *system* as `import_patterns` reads it, in order of name."""
    return "---\n".join(text if text.endswith("\n") else f"{text}\n" for text in _texts(system))


@transaction.atomic
def import_patterns(system: System, text: str, *, by: User | None, now: datetime, dry_run: bool = False) -> Imported:
    """Add the patterns of a file; one whose name is taken takes the text of the file. Raises Invalid for what is none.

    What cannot be read is refused with its place in the file, and the others come in all the same.
    """
    if len(text) > MAX_FILE:
        raise Invalid(f"A file has at most {MAX_FILE:,} letters.", field="text")
    found, known = Imported(), {row.name: row for row in queries.of(system)}
    for place, part in enumerate(_parts(text), 1):
        try:
            name = read(part).pattern
            row = known.get(name)
            if row is not None and row.text.strip() == part.strip():
                found.unchanged.append(name)
            elif row is None:
                known[name] = services.create(system, part, by=by)
                found.added.append(name)
            else:
                services.update(row, part, by=by, now=now)
                found.changed.append(name)
        except (Mistaken, Invalid) as error:
            found.refused.append({"name": f"pattern {place}", "reason": error.detail})
    if dry_run:
        transaction.set_rollback(True)
    return found


def _parts(text: str) -> Iterator[str]:
    return (f"{part.strip()}\n" for part in BETWEEN.split(text) if part.strip())


def _texts(system: System) -> list[str]:
    return list(queries.of(system).order_by("name").values_list("text", flat=True))
