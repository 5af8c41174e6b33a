"""Choosing series by name, source and labels, and putting the chosen together by what they share."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.samples import LABEL_NAME

MAX_MATCHERS = 16
_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(!=|=)(.*)", re.DOTALL)
OWN = ("source", "metric", "system")  # may be grouped by like labels


class SeriesInfo(NamedTuple):
    """What a series is called."""

    source: str
    metric: str
    labels: dict[str, str]
    system: str = ""
    kind: str = ""


class Matcher(NamedTuple):
    """A label, or the source, that is (or is not) like a pattern with `*` and `?`; an absent label is empty."""

    name: str
    pattern: str
    negated: bool = False

    def accepts(self, info: SeriesInfo) -> bool:
        """Return whether a series is among the chosen."""
        value = info.labels.get(self.name, "") if self.name != "source" else info.source
        return fnmatch.fnmatchcase(value, self.pattern) is not self.negated


def matchers(text: str) -> list[Matcher]:
    """Read `queue=mail*,core!=0`. Raises Invalid (field `match`)."""
    found = []
    for part in text.split(",") if text.strip() else []:
        read = _MATCHER.fullmatch(part)
        if read is None:
            raise Invalid("A matcher is name=pattern or name!=pattern, such as queue=mail*.", field="match")
        found.append(Matcher(read[1], read[3].strip(), read[2] == "!="))
    if len(found) > MAX_MATCHERS:
        raise Invalid(f"At most {MAX_MATCHERS} matchers.", field="match")
    return found


def group_names(text: str) -> tuple[str, ...]:
    """Read `core,source`. Raises Invalid (field `group_by`)."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(names) > MAX_MATCHERS or not all(LABEL_NAME.fullmatch(name) for name in names):
        raise Invalid("Grouping is by names of labels, source, metric or system, with commas.", field="group_by")
    return names


def chosen(
    infos: Mapping[int, SeriesInfo], labels: Mapping[str, str] | None, match: Sequence[Matcher]
) -> dict[int, SeriesInfo]:
    """Return the series with all *labels* that every matcher accepts."""
    wanted = (labels or {}).items()
    return {
        pk: info
        for pk, info in infos.items()
        if wanted <= info.labels.items() and all(matcher.accepts(info) for matcher in match)
    }


def groups(infos: Mapping[int, SeriesInfo], names: Iterable[str]) -> tuple[dict[int, int], dict[int, SeriesInfo]]:
    """Return the group of each series, and what each group is called: what its series share by *names*."""
    by = list(names)
    numbers: dict[tuple[str, ...], int] = {}
    of: dict[int, int] = {}
    named: dict[int, SeriesInfo] = {}
    for pk, info in infos.items():
        key = tuple(_value(info, name) for name in by)
        group = of[pk] = numbers.setdefault(key, len(numbers))
        if group not in named:
            shared = dict(zip(by, key, strict=True))
            labels = {name: value for name, value in shared.items() if name not in ("source", "metric") and value}
            named[group] = SeriesInfo(shared.get("source", ""), info.metric, labels)
    return of, named


def _value(info: SeriesInfo, name: str) -> str:
    return str(getattr(info, name)) if name in OWN else info.labels.get(name, "")
