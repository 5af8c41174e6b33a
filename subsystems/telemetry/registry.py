"""Series and their ids: looked up in this process first, made in bulk, bounded per system."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.db import transaction

from subsystems.telemetry.columns import Ids
from subsystems.telemetry.models import Series
from subsystems.telemetry.samples import Name, labels_text, series_key
from subsystems.telemetry.tables import Layout

CHUNK = 5_000
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A series that a sample names."""

    source: str
    metric: str
    labels: Mapping[str, str]
    kind: str = ""  # gauge, counter or delta; "" where the sender did not say

    @property
    def name(self) -> Name:
        return self.source, self.metric, labels_text(self.labels)


_ids: dict[int, dict[Name, int]] = {}  # by system
_generation = 0  # of what is remembered: rises whenever it is forgotten
_lock = threading.Lock()


def known_ids(system_id: int, names: Sequence[Name], layout: Layout | None = None) -> Ids:
    """Return the ids of the series that this process has met, UNKNOWN for the others."""
    if layout is not None:
        generation, ids = layout.ids.get(system_id, (UNKNOWN, None))
        if ids is not None and generation == _generation:
            return ids
    known, generation = _ids.get(system_id, {}), _generation
    found = np.fromiter((known.get(name, UNKNOWN) for name in names), np.int64, len(names))
    if layout is not None and len(found) and found.min() != UNKNOWN:
        layout.ids[system_id] = (generation, found)
    return found


def series_ids(system_id: int, wanted: Iterable[Wanted], *, limit: int | None = None) -> dict[Name, int]:
    """Return the ids of *wanted*, making those that are new; what would exceed *limit* series is left out.

    The limit is `VSM_MAX_SERIES` unless told. What a sender says of a series' kind is kept with it.
    """
    missing = {series_key(system_id, *item.name): item for item in wanted}
    found = _stored(missing)
    new = {key: item for key, item in missing.items() if item.name not in found}
    if new:
        found |= _created(system_id, new, settings.MAX_SERIES if limit is None else limit)
    _remember(system_id, found)
    return found


def forget_ids() -> None:
    """Empty this process's memory of ids."""
    global _generation
    with _lock:
        _generation += 1
        _ids.clear()


def _stored(missing: Mapping[str, Wanted]) -> dict[Name, int]:
    found: dict[Name, int] = {}
    for keys in _chunks(list(missing)):
        rows = list(Series.objects.filter(key__in=keys).values_list("key", "pk", "kind").order_by())
        found |= {missing[key].name: pk for key, pk, _ in rows}
        _learn_kinds((pk, missing[key].kind) for key, pk, kind in rows if missing[key].kind not in ("", kind))
    return found


def _learn_kinds(found: Iterable[tuple[int, str]]) -> None:
    """Note the kinds of series that were known without one, or as another."""
    by_kind: dict[str, list[int]] = {}
    for pk, kind in found:
        by_kind.setdefault(kind, []).append(pk)
    for kind, keys in by_kind.items():
        Series.objects.filter(pk__in=keys).update(kind=kind)


def _created(system_id: int, new: Mapping[str, Wanted], limit: int) -> dict[Name, int]:
    """Insert series; where another process was first, its row's id comes back."""
    room = max(0, limit - Series.objects.filter(system_id=system_id, merged_into=None).count())
    rows = [
        Series(
            system_id=system_id,
            source=item.source,
            metric=item.metric,
            labels=dict(item.labels),
            key=key,
            kind=item.kind,
        )
        for key, item in list(new.items())[:room]
    ]
    made = Series.objects.bulk_create(rows, update_conflicts=True, unique_fields=["key"], update_fields=["metric"])
    return {new[row.key].name: row.pk for row in made}


def _remember(system_id: int, found: Mapping[Name, int]) -> None:
    """Keep ids once they are committed: a rollback would leave ids of rows that never were."""

    def keep() -> None:
        with _lock:
            _ids.setdefault(system_id, {}).update(found)

    transaction.on_commit(keep)


def _chunks(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
