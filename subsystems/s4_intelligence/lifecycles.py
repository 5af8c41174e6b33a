"""Until when versions of what the platform stands on are supported by those who make them.

Written down on 2026-11-22 from the projects' own tables: devguide.python.org/versions, djangoproject.com/download and
postgresql.org/support/versioning. A month without a day counts to its last day. What is not here is unknown: RabbitMQ,
Redis and Celery are, for their support depends on contracts or on no date at all.
"""

from __future__ import annotations

from datetime import date

AS_OF = date(2026, 11, 22)
SUPPORTED_UNTIL: dict[str, dict[str, date]] = {
    "Python": {
        "3.10": date(2026, 10, 31),
        "3.11": date(2027, 10, 31),
        "3.12": date(2028, 10, 31),
        "3.13": date(2029, 10, 31),
        "3.14": date(2030, 10, 31),
    },
    "Django": {
        "4.2": date(2026, 4, 30),
        "5.0": date(2025, 4, 30),
        "5.1": date(2025, 12, 31),
        "5.2": date(2028, 4, 30),
        "6.0": date(2027, 4, 30),
    },
    "PostgreSQL": {
        "13": date(2025, 11, 13),
        "14": date(2026, 11, 12),
        "15": date(2027, 11, 11),
        "16": date(2028, 11, 9),
        "17": date(2029, 11, 8),
        "18": date(2030, 11, 14),
    },
}


def supported_until(name: str, version: str) -> date | None:
    """Return the last day of support of *version* of *name*; None where nobody told."""
    known = SUPPORTED_UNTIL.get(name, {})
    parts = version.split(".")
    return known.get(".".join(parts[:2])) or known.get(parts[0])
