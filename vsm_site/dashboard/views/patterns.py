"""Event patterns: how they fare, writing them, rehearsing them, and what was detected."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext

from subsystems.kernel.errors import Invalid, Refused
from subsystems.s3_control.models import TaskRun
from subsystems.s3_control.services import cancel
from subsystems.s4_intelligence.models import Pattern, PatternDetection
from subsystems.s4_intelligence.patterns import queries
from vsm_site.dashboard.journeys import pretty
from vsm_site.dashboard.pattern_forms import CommonPatternForm, PatternForm
from vsm_site.dashboard.places import Place, in_system, operating, refuse_readers
from vsm_site.dashboard.reach import person
from vsm_site.dashboard.rehearsal_picture import picture
from vsm_site.dashboard.views.pages import page, parameters_without
from vsm_site.lazily import patterns as room

PAGE_SIZE, NEWEST, LISTED, MOST_EXPLAINED = 50, 10, 100, 20
BADGES = {"act": "unhealthy", "warn": "degraded", "watch": "severity-medium"}
SKELETON = """\
pattern: my_pattern
description: What it means, for whoever is called.
# key: source            # tell cases apart by this field of the event
when:
  frequency:
    event: alert.firing
    where: {severity: critical}
    count: 5
    within: 10m
levels: {watch: 0.5, warn: 0.8}
# actions:
#   - signal: {severity: medium}
"""


@in_system
def index(request: HttpRequest, place: Place) -> HttpResponse:
    """List the patterns with how they fare, and what was detected last."""
    rows = list(queries.of(place.system))
    known = queries.statistics(rows, now=timezone.now())
    taken = {row.name for row in rows}
    ready = room().builtin.BUILT_IN.values()
    newest = queries.detections().filter(system=place.system)[:NEWEST]
    return page(
        request, place, "dashboard/patterns.html",
        patterns=[_row(row, known[row.pk]) for row in rows],
        detections=[_detection(row) for row in newest],
        ready=[each for each in ready if each.name not in taken],
    )  # fmt: skip


@in_system
def add(request: HttpRequest, place: Place) -> HttpResponse:
    """Write a new pattern: from nothing, from a ready-made one, or from a few fields."""
    common = CommonPatternForm(request.GET if "kind" in request.GET else None)
    text = SKELETON
    if ready := room().builtin.BUILT_IN.get(request.GET.get("from", "")):
        text = ready.text
    elif common.is_bound and common.is_valid():
        import yaml

        text = yaml.safe_dump(common.definition(), sort_keys=False, allow_unicode=True)
    return _form(request, place, None, text, common)


@in_system
def edit(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Change a pattern."""
    pattern = get_object_or_404(Pattern, pk=pk, system=place.system)
    return _form(request, place, pattern, pattern.text)


@operating
def install(request: HttpRequest, place: Place) -> HttpResponse:
    """Add ready-made patterns, one or all."""
    name = request.POST.get("name", "")
    try:
        made = room().services.install(place.system, [name] if name else None, by=person(request))
    except Refused as error:
        messages.error(request, error.detail)
    else:
        messages.success(
            request,
            gettext("{count} patterns are at work: {names}.").format(
                count=len(made), names=", ".join(row.name for row in made) or gettext("none")
            ),
        )
    return redirect(f"/dashboard/patterns/{place.query}")


@in_system
def export_file(request: HttpRequest, place: Place) -> HttpResponse:
    """Hand out the patterns as YAML."""
    answer = HttpResponse(room().exchange.export(place.system), content_type="application/yaml; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="patterns-{place.system.slug}.yaml"'
    return answer


@operating
def import_file(request: HttpRequest, place: Place) -> HttpResponse:
    """Take the patterns of a file, or try what that would change."""
    text, dry_run = request.POST.get("text", ""), "try" in request.POST
    try:
        found = room().exchange.import_patterns(
            place.system, text, by=person(request), now=timezone.now(), dry_run=dry_run
        )  # fmt: skip
    except Refused as error:
        messages.error(request, error.detail)
    else:
        _tell_of(request, found, tried=dry_run)
    return redirect(f"/dashboard/patterns/{place.query}")


def _tell_of(request: HttpRequest, found: Any, *, tried: bool) -> None:
    """Say what became of a file, or would."""
    counts = ", ".join(
        f"{len(names)} {word}"
        for word, names in (
            (gettext("added"), found.added), (gettext("changed"), found.changed),
            (gettext("unchanged"), found.unchanged), (gettext("refused"), found.refused),
        )
    )  # fmt: skip
    if tried:
        messages.info(request, gettext("Tried, and nothing kept: %(counts)s.") % {"counts": counts})
    else:
        messages.success(request, f"{counts}.")
    for each in found.refused[:MOST_EXPLAINED]:
        messages.warning(request, f"{each['name']}: {each['reason']}")


def _working(pattern: Pattern, enabled: bool) -> str:
    text = gettext("{name} is at work.") if enabled else gettext("{name} is at rest.")
    return text.format(name=pattern.name)


@operating
def switch(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Put a pattern to work or to rest."""
    pattern = get_object_or_404(Pattern, pk=pk, system=place.system)
    on = request.POST.get("enabled") == "1"
    room().services.switch(pattern, enabled=on, by=person(request), now=timezone.now())
    messages.success(request, _working(pattern, on))
    return redirect(f"/dashboard/patterns/{place.query}")


@operating
def delete(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Drop a pattern with all that was detected of it."""
    pattern = get_object_or_404(Pattern, pk=pk, system=place.system)
    room().services.delete(pattern, by=person(request))
    messages.success(request, gettext("{name} is gone.").format(name=pattern.name))
    return redirect(f"/dashboard/patterns/{place.query}")


@in_system
def detections(request: HttpRequest, place: Place) -> HttpResponse:
    """List what was detected, newest first."""
    found = queries.detections().filter(system=place.system)
    if (name := request.GET.get("pattern", "").replace("\0", "")) != "":
        found = found.filter(pattern__name=name)
    if request.GET.get("level") == "act":
        found = found.filter(level=PatternDetection.Level.ACT)
    rows = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return page(
        request, place, "dashboard/pattern_detections.html", rows=rows, detections=[_detection(row) for row in rows],
        parameters=parameters_without(request, "page"), chosen=name, level=request.GET.get("level", ""),
        names=queries.of(place.system).values_list("name", flat=True),
    )  # fmt: skip


@in_system
def detection(request: HttpRequest, place: Place, pk: int) -> HttpResponse:
    """Show one detection with the events that made it; say whether it was so."""
    row = get_object_or_404(queries.detections(), pk=pk, system=place.system)
    if request.method == "POST":
        refuse_readers(place)
        try:
            room().services.judge(
                row, request.POST.get("verdict", ""), by=person(request), comment=request.POST.get("comment", ""),
                now=timezone.now(),
            )  # fmt: skip
        except Invalid as error:
            messages.error(request, error.detail)
        return redirect(f"/dashboard/patterns/detections/{pk}/{place.query}")
    evidence = [
        {**each, "moment": queries.moment_of(each["at"]), "text": pretty(each["data"])} for each in row.evidence
    ]
    return page(request, place, "dashboard/pattern_detection.html", row=row, shown=_detection(row), evidence=evidence)


def _form(
    request: HttpRequest, place: Place, pattern: Pattern | None, text: str, common: CommonPatternForm | None = None
) -> HttpResponse:
    run = _rehearsal(request, place)
    form = PatternForm(request.POST or None, initial={"text": run.arguments["text"] if run else text})
    mistakes: list[dict[str, Any]] = []
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data["text"]
        mistakes = room().services.validated(given)["mistakes"]
        if not mistakes and "save" in request.POST:
            refuse_readers(place)
            saved, mistakes = _saved(request, place, pattern, given)
            if saved:
                return redirect(f"/dashboard/patterns/{saved.pk}/{place.query}")
        if not mistakes:
            hours = float(form.cleaned_data["hours"] or 24)
            begun = room().rehearsing.begin(place.system, given, hours=hours, by=person(request))
            return redirect(f"{request.path}?{_with(place, run=begun.pk)}")
    told = run.result if run else None
    return page(
        request, place, "dashboard/pattern.html", form=form, pattern=pattern, mistakes=mistakes, told=told, run=run,
        picture=picture(told) if told else None, listed=told["detections"][-LISTED:][::-1] if told else [],
        common=common, ready=room().builtin.BUILT_IN.values(), status=400 if mistakes or form.errors else 200,
    )  # fmt: skip


def _rehearsal(request: HttpRequest, place: Place) -> TaskRun | None:
    """Return the person's own rehearsal that the address names, if it is of this system."""
    try:
        pk = UUID(request.GET.get("run", ""))
    except ValueError:
        return None
    mine = TaskRun.objects.filter(pk=pk, requested_by=person(request), name=rehearsal_task())
    return mine.filter(arguments__system=place.system.slug).first()


def _with(place: Place, **parameters: Any) -> str:
    system = {"system": place.system.slug} if place.query else {}
    return urlencode({**system, **parameters})


@in_system
def stop_rehearsal(request: HttpRequest, place: Place) -> HttpResponse:
    """Cancel one's own rehearsal and go back to the pattern."""
    run = _rehearsal(request, place)
    if request.method == "POST" and run is not None:
        with suppress(Refused):  # it ended meanwhile: that is as good
            cancel(run, now=timezone.now())
    back = request.POST.get("back", "")
    where = f"/dashboard/patterns/{int(back)}/" if back.isdecimal() and len(back) < 19 else "/dashboard/patterns/add/"
    return redirect(f"{where}?{_with(place, run=run.pk)}" if run else f"{where}{place.query}")


def rehearsal_task() -> str:
    """Return the name under which rehearsals run."""
    return str(room().rehearsing.TASK)


def _saved(
    request: HttpRequest, place: Place, pattern: Pattern | None, text: str
) -> tuple[Pattern | None, list[dict[str, Any]]]:
    services = room().services
    try:
        if pattern is None:
            saved = services.create(place.system, text, by=person(request))
        else:
            saved = services.update(pattern, text, by=person(request), now=timezone.now())
    except services.Mistaken as error:
        return None, [mistake.to_wire() for mistake in error.mistakes]
    except Refused as error:
        return None, [{"field": "", "line": 0, "message": error.detail}]
    messages.success(
        request,
        (gettext("{name} is saved and at work.") if saved.enabled else gettext("{name} is saved and at rest.")).format(
            name=saved.name
        ),
    )
    return saved, []


def _row(row: Pattern, known: dict[str, Any]) -> dict[str, Any]:
    return {"pattern": row, **known, "badge": BADGES.get(known["level"] or "", "healthy")}


def _detection(row: PatternDetection) -> dict[str, Any]:
    level = PatternDetection.Level(row.level).name.lower()
    return {"row": row, "level": level, "badge": BADGES[level], "key": row.key or "the whole system"}
