"""Alerts that another program sends: labels and times as Prometheus posts them, and how two reports become one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from subsystems.kernel.errors import Invalid

RESOLVE_TIMEOUT = timedelta(minutes=5)
MAX_ALERTS, MAX_LABELS, MAX_NAME, MAX_VALUE, MAX_ANNOTATION = 10_000, 64, 128, 1024, 8 * 1024
SEVERITIES = {"critical": "critical", "page": "critical", "error": "critical", "warning": "warning", "info": "info",
              "none": "info"}  # fmt: skip
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Report:
    """One alert as it was posted. *timeout*: its end was not said, and is that of the silence that follows."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    received_at: datetime
    timeout: bool = False
    generator_url: str = ""

    @property
    def fingerprint(self) -> str:
        """Return what tells this alert from all others: its labels."""
        text = json.dumps(sorted(self.labels.items()), ensure_ascii=False)
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def resolved(self, now: datetime) -> bool:
        return self.ends_at <= now

    def severity(self) -> str:
        """Return how bad it is in our three words; what says nothing of the kind is a warning."""
        return SEVERITIES.get(self.labels.get("severity", "").lower(), "warning")


def read_report(given: object, *, now: datetime) -> Report:
    """Read one alert of Alertmanager's API, version 2. Raises Invalid naming the field."""
    if not isinstance(given, Mapping):
        raise Invalid("An alert is an object with labels.", field="alert")
    labels = _texts(given.get("labels"), "labels", MAX_VALUE)
    if not labels:
        raise Invalid("At least one label with a value.", field="labels")
    starts, ends = _moment(given.get("startsAt"), "startsAt"), _moment(given.get("endsAt"), "endsAt")
    timeout = ends is None
    starts = starts or ends or now
    ends = ends or now + RESOLVE_TIMEOUT
    if ends < starts:
        raise Invalid("The end lies before the start.", field="endsAt")
    url = given.get("generatorURL", "")
    if not isinstance(url, str) or len(url) > 2000 or "\0" in url:
        raise Invalid("This is an address.", field="generatorURL")
    annotations = _texts(given.get("annotations", {}), "annotations", MAX_ANNOTATION)
    return Report(labels, annotations, starts, ends, now, timeout, url)


def merged(before: Report | None, after: Report) -> Report:
    """Return what is now known of an alert: two reports whose times overlap are one, as in Alertmanager."""
    if before is None or not _overlap(before, after):
        return after
    starts = min(before.starts_at, after.starts_at)
    ends = after.ends_at
    if after.resolved(after.received_at):
        if before.resolved(after.received_at) and before.ends_at > ends:
            ends = before.ends_at
    elif before.ends_at > ends and not before.timeout:
        ends = before.ends_at
    return replace(after, starts_at=starts, ends_at=ends)


def _overlap(before: Report, after: Report) -> bool:
    ends_within = before.starts_at < after.ends_at < before.ends_at
    return ends_within or before.starts_at < after.starts_at < before.ends_at


def _texts(given: object, field: str, longest: int) -> dict[str, str]:
    if not isinstance(given, Mapping) or len(given) > MAX_LABELS:
        raise Invalid(f"This is an object of at most {MAX_LABELS} texts.", field=field)
    found = {}
    for name, value in given.items():
        if not isinstance(name, str) or len(name) > MAX_NAME or not _LABEL.fullmatch(name):
            raise Invalid(f"{str(name)[:60]!r} is no name of a label.", field=field)
        if not isinstance(value, str) or len(value) > longest or "\0" in value:
            raise Invalid(f"{name} is a text of at most {longest} characters.", field=field)
        if value:
            found[name] = value
    return found


def _moment(given: object, field: str) -> datetime | None:
    """Return a time; the year 1, which is how Go writes none, is none."""
    if given in (None, ""):
        return None
    if not isinstance(given, str) or len(given) > 40:
        raise Invalid("A time is like 2026-11-20T09:00:00Z.", field=field)
    try:
        read = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", given))
        if read.tzinfo is None:
            raise ValueError
        return None if read.year < 1970 else read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("A time is like 2026-11-20T09:00:00Z.", field=field) from None
