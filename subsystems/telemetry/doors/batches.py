"""What one request brings, whatever its format."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.samples import Name, Outcome, labels_text
from subsystems.telemetry.tables import Layout, Remembered, Table

MAX_SAMPLES = 100_000  # of one request
LAYOUTS: Remembered[Layout] = Remembered(max_items=512, max_size=64_000_000)
NAME_BYTES = 300  # that a series takes in a layout, about
NO_SOURCE = "The source must be a text that is not empty."
_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Batch:
    """The samples of one request; *system* is the slug that it names, or whatever stands in its place."""

    table: Table
    system: object = None


def check_source(source: object) -> str:
    """Return *source* when it is a text that is not blank. Raises Invalid naming it."""
    if not isinstance(source, str) or not source.strip():
        raise Invalid(NO_SOURCE, field="source")
    return source


def too_many(field: str) -> Invalid:
    """Return the refusal of a request with too many samples."""
    return Invalid(f"A request may bring {MAX_SAMPLES} samples.", field=field, code="too_many")


def layout_of(source: str, metrics: Sequence[str], labels: Sequence[Mapping[str, str]] | None) -> Layout:
    """Return the layout of one source's *metrics*, each with the labels at its place."""
    given = labels if labels is not None else [{} for _ in metrics]
    names: list[Name] = [(source, metric, labels_text(of)) for metric, of in zip(metrics, given, strict=True)]
    return Layout(names, given)


def remember(key: Hashable, layout: Layout, key_size: int) -> None:
    """Keep *layout* under *key*, for the next time that the same series come."""
    LAYOUTS.keep(key, layout, key_size + NAME_BYTES * len(layout.names))


def answer(outcome: Outcome) -> bytes:
    """Return the answer's body: how many were accepted, and each that was not by the sender's own index."""
    return _encoder.encode({"accepted": outcome.accepted, "rejected": outcome.rejected})
