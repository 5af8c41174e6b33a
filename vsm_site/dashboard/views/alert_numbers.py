"""Thirty days of alerts as numbers, and what is silenced or maintained when."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext_lazy as _

from alerts.numbers import queries
from alerts.numbers.weeks import Week, percentile
from vsm_site.dashboard import calendars
from vsm_site.dashboard.journeys import lapse
from vsm_site.dashboard.places import Place, in_system
from vsm_site.dashboard.views.pages import page, parameters_without

SEVERITIES = ("critical", "warning", "info")
SORTS = {
    "fired": lambda each: -each.fired, "minutes": lambda each: -each.minutes, "told": lambda each: -each.told,
    "acknowledged": lambda each: -(each.acknowledged or 0), "by_itself": lambda each: -(each.by_itself or 0),
    "false_alarms": lambda each: -each.false_alarms, "name": lambda each: each.rule.name.lower(),
}  # fmt: skip
COLUMNS = [
    ("name", _("Rule")), ("fired", _("Fired")), ("minutes", _("Minutes firing")), ("told", _("Notifications")),
    ("acknowledged", _("Acknowledged")), ("by_itself", _("Over by itself in 5 min")),
    ("false_alarms", _("False alarms")),
]  # fmt: skip
FEW_SHARES = 8  # of the picture; the rest is drawn as one


@in_system
def noise(request: HttpRequest, place: Place) -> HttpResponse:
    """Rank the rules by how much they say."""
    wanted = request.GET.get("sort", "fired")
    rows = sorted(queries.noise(place.system, now=timezone.now()), key=SORTS.get(wanted, SORTS["fired"]))
    if request.GET.get("format") == "csv":
        head = ["rule", "fired", "minutes", "notifications", "acknowledged", "by_itself", "false_alarms"]
        return _csv("noise", head, ([each.rule.name, each.fired, round(each.minutes, 1), each.told, each.acknowledged,
                                     each.by_itself, each.false_alarms] for each in rows))  # fmt: skip
    return page(
        request, place, "dashboard/noise.html", tab="noise", rows=rows, columns=COLUMNS, sort=wanted,
        shares=_shares(rows), query=parameters_without(request, "sort"),
    )  # fmt: skip


@in_system
def statistics(request: HttpRequest, place: Place) -> HttpResponse:
    """Tell week by week how much fired, how long answers took, and when it is busiest."""
    told = queries.statistics(place.system, now=timezone.now())
    weeks = [_week(each) for each in told.weeks]
    if request.GET.get("format") == "csv":
        head = ["week", *SEVERITIES, "acknowledge_p50", "acknowledge_p90", "resolve_p50", "resolve_p90", "false_rate"]
        return _csv("alerts", head, ([each[name] for name in head] for each in weeks))
    most = max(max(row) for row in told.hours)
    hours = [
        (day, [(hour, n, _band(n, most)) for hour, n in enumerate(row)])
        for day, row in zip(WEEKDAYS_ABBR.values(), told.hours, strict=False)
    ]
    return page(
        request, place, "dashboard/alert_statistics.html", tab="statistics", weeks=weeks, hours=hours, most=most,
        any=any(each.total for each in told.weeks), range24=range(24),
    )  # fmt: skip


@in_system
def calendar(request: HttpRequest, place: Place) -> HttpResponse:
    """Show silences and maintenance windows in one calendar, a month or a week."""
    wanted = calendars.read(request.GET, now=timezone.now())
    days = calendars.days(place.system, wanted, now=timezone.now())
    if request.GET.get("format") == "csv":
        head = ["kind", "name", "starts_at", "ends_at"]
        entries = {(each.kind, each.title, each.starts, each.ends) for day in days for each in day.entries}
        return _csv("calendar", head, sorted(entries, key=lambda each: each[2]))
    return page(
        request, place, "dashboard/calendar.html", tab="calendar", wanted=wanted, weekdays=WEEKDAYS_ABBR.values(),
        weeks=[days[at : at + 7] for at in range(0, len(days), 7)], any=any(day.entries for day in days),
        mistake=wanted.mistake,
    )  # fmt: skip


def _week(week: Week) -> dict[str, Any]:
    return {
        "week": week.begins, **{name: week.severities.get(name, 0) for name in SEVERITIES}, "total": week.total,
        "acknowledge_p50": percentile(week.acknowledged, 0.5), "acknowledge_p90": percentile(week.acknowledged, 0.9),
        "resolve_p50": percentile(week.resolved, 0.5), "resolve_p90": percentile(week.resolved, 0.9),
        **{f"{name}_words": words for name, words in _spans(week)}, "false_rate": week.false_rate,
    }  # fmt: skip


def _spans(week: Week) -> Iterator[tuple[str, str]]:
    for name, values in (("acknowledge", week.acknowledged), ("resolve", week.resolved)):
        for share in (0.5, 0.9):
            found = percentile(values, share)
            yield f"{name}_p{round(100 * share)}", "" if found is None else lapse(found)


def _band(number: int, most: int) -> int:
    """Return how dark a cell is: 0 for nothing, 1 to 4."""
    return 0 if not number else 1 + min(3, 4 * number // (most + 1))


def _shares(rows: Sequence[queries.Noise]) -> list[dict[str, Any]]:
    """Return the bar of the noisiest rules, from left to right, in hundredths."""
    loud = sorted((each for each in rows if each.fired), key=SORTS["fired"])
    parts = [(each.rule.name, each.share) for each in loud[:FEW_SHARES]]
    if rest := sum(each.share for each in loud[FEW_SHARES:]):
        parts.append((f"{len(loud) - FEW_SHARES} others", rest))
    found, at = [], 0.0
    for index, (name, share) in enumerate(parts):
        found.append({"name": name, "x": at, "width": 100 * share, "part": index % 6 + 1, "percent": 100 * share})
        at += 100 * share
    return found


def _csv(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    writer = csv.writer(answer)
    writer.writerow(head)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return answer


def _cell(value: Any) -> Any:
    """Return a value as a spreadsheet may take it: no text begins a formula."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
