"""A small picture of a value that swings: one line, and its mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, EDGE = 240.0, 40.0, 2.0


@dataclass(frozen=True)
class Picture:
    """Lines as SVG has them (a hole parts one from the next), where the mean lies, and a sentence about all."""

    lines: list[str]
    mean: float
    label: str


def picture(evidence: Mapping[str, Any]) -> Picture | None:
    """Return the picture of a finding's evidence, or None where it has no points."""
    points = evidence.get("points_shown") or []
    known = [value for value in points if value is not None]
    if len(known) < 2:
        return None
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    lines: list[list[str]] = [[]]
    for number, value in enumerate(points):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{WIDTH * number / (len(points) - 1):.1f},{_height(value, low, span):.1f}")
    mean = sum(known) / len(known)
    minutes = round(len(points) * float(evidence.get("points_step") or 0) / 60)
    label = f"From {low:g} to {high:g}, last {minutes} minutes"
    return Picture([" ".join(line) for line in lines if len(line) > 1], round(_height(mean, low, span), 1), label)


def _height(value: float, low: float, span: float) -> float:
    return HEIGHT - EDGE - (value - low) / span * (HEIGHT - 2 * EDGE)
