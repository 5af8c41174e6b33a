"""Samples as values: what a measurement is, and which ones are refused (000-42 to 000-45)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

import numpy as np
import numpy.typing as npt

HOT_SECONDS = 3600.0  # 000-43, 000-59
FUTURE_SECONDS = 60.0  # clocks differ a little; more than this is a wrong clock
MAX_LABELS = 16
MAX_LABEL_VALUE = 200
MAX_SOURCE = 200
METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_:.]{0,119}")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
Name = tuple[str, str, str]  # of a series: source, metric, labels as text
Refusal = tuple[str, str]  # a stable code, and the reason in words


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value of one metric at *at* (epoch seconds)."""

    metric: str
    at: float
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the sample at *index* of what was sent is not kept; *code* is stable."""

    index: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many samples were kept, and each that was not; *kept* tells which of a table's (None: all)."""

    accepted: int
    rejected: list[Rejection]
    kept: npt.NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)


def name_refusal(name: Name, labels: Mapping[str, str]) -> Refusal | None:
    """Return why nothing of the series *name* with *labels* can be kept, or None when it can."""
    source, metric, _ = name
    if no_source := source_refusal(source):
        return no_source
    if not isinstance(metric, str) or not METRIC_NAME.fullmatch(metric):
        return "bad_metric", f"A metric is letters, digits, '_', ':' and '.', 120 at most; got {metric!r:.80}."
    return _label_refusal(labels) if labels else None


def sample_refusal(at: float, value: float, *, now: float) -> Refusal | None:
    """Return why a sample with this time and value cannot be kept, or None when it can."""
    if not math.isfinite(value):
        return "bad_value", f"The value must be a finite number; got {value!r:.40}."
    if not math.isfinite(at):
        return "bad_time", f"The time must be finite epoch seconds; got {at!r:.40}."
    if at > now + FUTURE_SECONDS:
        return "future", f"The sample is {at - now:.0f} s in the future; {FUTURE_SECONDS:.0f} s are allowed."
    if at < now - HOT_SECONDS:
        return "too_old", f"The sample is {now - at:.0f} s old; {HOT_SECONDS:.0f} s are allowed."
    return None


def source_refusal(source: str) -> Refusal | None:
    """Return the code and the reason why nothing of *source* can be kept, or None when it can."""
    if not isinstance(source, str) or not 0 < len(source) <= MAX_SOURCE or not source.isprintable():
        return "bad_source", f"A source is 1 to {MAX_SOURCE} printable characters; got {source!r:.80}."
    return None


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels in one order and spelling, `a="1",b="2"`: what tells two series of one metric apart."""
    return _text_of(tuple(labels.items())) if labels else ""


@lru_cache(maxsize=50_000)  # senders repeat their labels
def _text_of(items: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(items))


def series_name(metric: str, labels: str) -> str:
    """Return `metric` or `metric{a="1"}`; *labels* as from `labels_text`."""
    return f"{metric}{{{labels}}}" if labels else metric


def series_key(system_id: int, source: str, metric: str, labels: str) -> str:
    """Return the hash by which the database knows a series."""
    return sha256(json.dumps([system_id, source, metric, labels]).encode()).hexdigest()


def counter_of(code: str) -> str:
    """Return the name of the counter of refusals with *code*."""
    return "dropped_old" if code == "too_old" else f"dropped_{code}"


def _label_refusal(labels: Mapping[str, str]) -> Refusal | None:
    if len(labels) > MAX_LABELS:
        return "bad_labels", f"A sample may have {MAX_LABELS} labels; got {len(labels)}."
    for name, value in labels.items():
        if not isinstance(name, str) or not LABEL_NAME.fullmatch(name):
            return "bad_labels", f"A label's name is letters, digits and '_', 64 at most; got {name!r:.80}."
        if not isinstance(value, str) or len(value) > MAX_LABEL_VALUE or "\0" in value:
            return "bad_labels", f"The label {name} must be text of at most {MAX_LABEL_VALUE} characters, without NUL."
    return None
