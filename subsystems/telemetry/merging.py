"""Sources that come and go, such as workers in containers: what is left of them goes to the series of their role.

Otherwise every restart would leave its series behind. A series that went is kept by name for as long as the archive may
hold minutes of it, which are read as its role's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from subsystems.telemetry import chunk_table, registry, warm
from subsystems.telemetry.aggregates import merged
from subsystems.telemetry.columns import Ids, fuller, joined_pieces
from subsystems.telemetry.models import RollupChunk, Series
from subsystems.telemetry.samples import Name
from subsystems.telemetry.steps import STEPS, Step

KEEP_NAMES = timedelta(days=30)  # at least: a process may still know the series by its id
FOREVER = 1 << 40  # epoch seconds


def merge_sources(system_id: int, roles: Mapping[str, str]) -> int:
    """Give the history of each source to the series of its role; return how many series that were.

    A series and all its roll-ups go in one transaction, so that running twice, or again after any death, adds nothing
    twice. One that finds no room for its role's series stays.
    """
    left = Series.objects.filter(system_id=system_id, source__in=roles).exclude(source__in=set(roles.values()))
    members: dict[Name, list[Series]] = defaultdict(list)
    wanted: dict[Name, registry.Wanted] = {}
    for each in left.order_by("pk"):
        of_role = _of_role(each, roles[each.source])
        wanted[of_role.name] = of_role
        members[of_role.name].append(each)
    targets = registry.series_ids(system_id, wanted.values())
    found = [(targets[name], series) for name, series in members.items() if name in targets]
    for target, series in found:
        _merge(target, series)
    return sum(len(series) for _, series in found)


def members_of(series_ids: Ids) -> tuple[dict[int, int], set[int]]:
    """Return into which of *series_ids* others went, and which of those others are counters."""
    rows = Series.objects.filter(merged_into__in=series_ids.tolist()).order_by()
    found = list(rows.values_list("pk", "merged_into", "metric", "kind"))
    return {pk: target for pk, target, _, _ in found if target is not None}, {
        pk for pk, _, *told in found if _is_counter(*told)
    }


def come_back(system_id: int, sources: Iterable[str]) -> int:
    """Let series that went to a role be series of their own again, because their sources are heard again."""
    went = Series.objects.filter(system_id=system_id, source__in=list(sources), merged_into__isnull=False)
    return went.update(merged_into=None, merged_at=None)


def forget_names(*, now: datetime) -> int:
    """Delete series that went to a role so long ago that no tier holds anything of them; return how many."""
    keep = max(KEEP_NAMES, timedelta(days=settings.ARCHIVE_DAYS if settings.ARCHIVE_URL else 0))
    return Series.objects.filter(merged_at__lt=now - keep).delete()[0]


def _of_role(series: Series, role: str) -> registry.Wanted:
    kind = "delta" if _is_counter(series.metric, series.kind) else series.kind
    return registry.Wanted(role, series.metric, series.labels, kind)


def _is_counter(metric: str, kind: str) -> bool:
    """Return whether a series counts up, by its name where nobody said."""
    return kind == "counter" or (not kind and metric.endswith("_total"))


@transaction.atomic
def _merge(target: int, series: Sequence[Series]) -> None:
    chunk_table.lock()
    ids = [each.pk for each in series]
    counters = {each.pk for each in series if _is_counter(each.metric, each.kind)}
    for step in STEPS.values():
        _merge_step(target, ids, counters, step)
    RollupChunk.objects.filter(series_id__in=ids).delete()
    Series.objects.filter(pk__in=ids).update(merged_into=target, merged_at=timezone.now())


def _merge_step(target: int, ids: list[int], counters: set[int], step: Step) -> None:
    """Add up what the members have of one step, and what their role has of the same times."""
    packed = chunk_table.read(ids, 0, FOREVER, step, sketches=True)
    whole = fuller(warm.take(ids, 0, FOREVER, step), packed)
    if not len(whole):
        return
    own = chunk_table.read([target], 0, FOREVER, step, sketches=True)
    into = dict.fromkeys(ids, target)
    chunk_table.write(merged(joined_pieces([own, whole]), into, counters, step.seconds), step)
