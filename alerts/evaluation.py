"""The words of rules and alerts: comparisons, metrics, subjects, fingerprints."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from operator import ge, gt, le, lt

STALE_SECONDS = 30.0  # a series silent for longer says nothing about now
COMPARISONS: dict[str, Callable[[float, float], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
WORDS = {"gt": "above", "gte": "at least", "lt": "below", "lte": "at most"}


def base_metric(rule_metric: str) -> str:
    """Return the metric's name without labels."""
    return rule_metric.partition("{")[0]


def subject_of(source: str, series: str) -> str:
    """Return how a series is named to people: its source, with its labels where there are any."""
    _, brace, labels = series.partition("{")
    return f"{source}{brace}{labels}"


def fingerprint(type_: str, *parts: object) -> str:
    """Return the key of what "similar" means: type and subject; severity is compared beside it (2-29)."""
    return sha256("\x1f".join([type_, *map(str, parts)]).encode()).hexdigest()
