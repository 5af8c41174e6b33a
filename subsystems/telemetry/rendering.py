"""Families as pages: Prometheus' text format and OpenMetrics.

A page of many series is mostly one template filled in again and again. Whether anything must be escaped is asked once
for a whole family, and hardly ever it must.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from subsystems.telemetry.families import Family, Part, Row, Values

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OFFERS = {"application/openmetrics-text": OPEN_METRICS, "text/plain": TEXT, "text/*": TEXT, "*/*": TEXT}
ODD = ("\\", '"', "\n")


def chosen_type(accept: str) -> str:
    """Return which of the two a scraper prefers; text for who accepts neither, because an answer beats none."""
    best, found = 0.0, TEXT
    for offer in accept.split(","):
        name, *parameters = (each.strip() for each in offer.split(";"))
        known, quality = _OFFERS.get(name.lower()), _quality(parameters)
        if known is not None and quality > best:
            best, found = quality, known
    return found


def page(families: Iterable[Family], content_type: str = TEXT) -> bytes:
    """Return the page that shows *families*, those without a number left out."""
    strict = content_type == OPEN_METRICS
    shown = [_family(each, strict) for each in families if not (strict and each.alias)]
    return ("".join(shown) + ("# EOF\n" if strict else "")).encode()


def _family(family: Family, strict: bool) -> str:
    parts = [part for each in _alone(family) for part in each.parts()]
    if not any(part.rows for part in parts):
        return ""
    name = family.name if strict or family.kind != "counter" else f"{family.name}_total"
    kind = "untyped" if family.kind == "unknown" and not strict else family.kind
    head = f"# HELP {name} {_help(family.text, strict)}\n# TYPE {name} {kind}\n"
    return head + "".join(chain.from_iterable(map(_lines, parts)))


def _alone(family: Family) -> Iterable[Family]:
    """Return *family* with one distribution at a time: its buckets, count and sum must stand together."""
    if not family.distributions:
        return [family]
    return [replace(family, rows=[], distributions=[each]) for each in family.distributions]


def _lines(part: Part) -> Iterable[str]:
    rows = _spelled(_escaped(part.rows))
    if not part.labels:
        return [f"{part.name} {number}\n" for _, number in rows]
    pairs = ",".join(f'{label}="%s"' for label in part.labels)
    template = f"{part.name}{{{pairs}}} %s\n"
    return [template % (*values, number) for values, number in rows]


def _spelled(rows: Sequence[Row]) -> Sequence[tuple[Values, float | str]]:
    """Return *rows* with those numbers as text that Python spells otherwise; a finite sum has finite parts."""
    if math.isfinite(sum(number for _, number in rows)):
        return rows
    return [(values, number_text(number)) for values, number in rows]


def _escaped(rows: Sequence[Row]) -> Sequence[Row]:
    joined = "".join(chain.from_iterable(values for values, _ in rows))
    if not any(odd in joined for odd in ODD):
        return rows
    return [(tuple(map(_escape, values)), number) for values, number in rows]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number_text(number: float) -> str:
    """Return a number as both formats spell it."""
    if math.isfinite(number):
        return str(number)
    if math.isnan(number):
        return "NaN"
    return "+Inf" if number > 0 else "-Inf"


def _help(text: str, strict: bool) -> str:
    plain = text.replace("\\", r"\\").replace("\n", r"\n")
    return plain.replace('"', r"\"") if strict else plain


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
