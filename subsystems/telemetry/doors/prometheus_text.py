"""Pages of Prometheus exporters: its text format and OpenMetrics.

An exporter shows the same series at each scrape, so what stands before a value is looked up as it lies; only a line
whose beginning was never seen is taken apart. The time of a sample is that of the scrape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from subsystems.telemetry.doors.batches import MAX_SAMPLES
from subsystems.telemetry.samples import Name, labels_text
from subsystems.telemetry.tables import Layout, Table

COMMENT = ord("#")
COUNTERS = {b"counter", b"histogram", b"summary"}
_LINE = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*(?:\{((?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?[ \t]+"
    rb"([^ \t#]+)(?:[ \t]+[-+.0-9eE]+)?[ \t]*(?:# .*)?"
)
_LABEL = re.compile(rb'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)')
_ESCAPED = re.compile(r'\\(["\\n])')


@dataclass(slots=True)
class Page:
    """What is known of one exporter: its series by how their lines begin."""

    source: str
    heads: dict[bytes, int] = field(default_factory=dict)
    names: dict[Name, int] = field(default_factory=dict)
    labels: list[Mapping[str, str]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    layout: Layout = field(default_factory=lambda: Layout([], []))

    def size(self) -> int:
        """Return how many bytes this takes, about."""
        return 1000 + 600 * len(self.names)


@dataclass(frozen=True, slots=True)
class Read:
    """The samples of a page, and how many of its lines could not be read or were too many."""

    table: Table
    bad: int


def read_page(raw: bytes, page: Page, *, now: float) -> Read:
    """Return the samples on a page; *page* learns the series that it had not seen."""
    codes: list[int] = []
    values: list[float] = []
    told = raw.split(b"\n")
    lines = [line for line in told if line and line[0] != COMMENT]
    bad, heads, counters = 0, page.heads, _counters(told) if len(lines) < len(told) else set()
    for line in lines:
        head, _, value = line.rpartition(b" ")
        code = heads.get(head)
        try:
            if code is None:
                code, value = _learn(line, head, page, counters)
            values.append(float(value))
            codes.append(code)
        except ValueError:
            bad += 1
    if len(page.layout.names) != len(page.names):
        page.layout = Layout(list(page.names), list(page.labels))
    return Read(_table(page, codes, values, now), bad)


def _table(page: Page, codes: list[int], values: list[float], now: float) -> Table:
    found = np.array(values, np.float64)
    there = ~np.isnan(found)  # NaN is how an exporter says that there is nothing yet
    known = np.array(codes, np.int32)[there]
    return Table(
        page.layout.names, known, np.full(len(known), now), found[there], page.layout.labels,
        kinds=page.kinds, layout=page.layout,
    )  # fmt: skip


def _learn(line: bytes, head: bytes, page: Page, counters: set[bytes]) -> tuple[int, bytes]:
    """Return a line's series and value. Raises ValueError for a line that is none."""
    found = _LINE.fullmatch(line.rstrip(b"\r"))
    if found is None:
        raise ValueError(line)
    metric, inner, value = found.groups()
    labels = _labels(inner or b"")
    name = (page.source, metric.decode(), labels_text(labels))
    code = page.names.get(name)
    if code is None:
        if len(page.names) >= MAX_SAMPLES:
            raise ValueError(line)
        code = page.names[name] = len(page.names)
        page.labels.append(labels)
        page.kinds.append("counter" if _family(metric) in counters or metric in counters else "gauge")
    if line == head + b" " + value:  # neither a time nor an exemplar comes after the value
        page.heads[head] = code
    return code, value


def _labels(inner: bytes) -> dict[str, str]:
    labels: dict[str, str] = {}
    at = 0
    while at < len(inner):
        found = _LABEL.match(inner, at)
        if found is None:
            raise ValueError(inner)
        text = found[2].decode()
        labels[found[1].decode()] = _ESCAPED.sub(lambda m: "\n" if m[1] == "n" else m[1], text)
        at = found.end()
    return labels


def _counters(lines: list[bytes]) -> set[bytes]:
    """Return the families whose values only rise."""
    types = [line.split() for line in lines if line[:7] == b"# TYPE "]
    return {words[2] for words in types if len(words) == 4 and words[3] in COUNTERS}


def _family(metric: bytes) -> bytes:
    for suffix in (b"_total", b"_bucket", b"_count", b"_sum"):
        if metric.endswith(suffix):
            return metric.removesuffix(suffix)
    return metric
