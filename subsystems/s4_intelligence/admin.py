"""Admin of S4: what was foretold and found, to be read only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from subsystems.recursion.administering import HistoryAdmin
from subsystems.s4_intelligence import scanning
from subsystems.s4_intelligence.models import (
    Finding,
    Forecast,
    Pattern,
    PatternCell,
    PatternDetection,
    PatternEngine,
    PatternInput,
    Source,
    Threat,
)


@admin.register(Pattern)
class PatternAdmin(HistoryAdmin):
    about = "What is looked for in the events, as somebody wrote it. A pattern is written and rehearsed on its page."
    list_display = ["name", "system", "enabled", "version", "origin", "changed_at", "changed_by"]
    list_filter = ["enabled", "system"]
    search_fields = ["name", "description"]
    actions = ["enable", "disable"]

    @admin.action(description="Put these patterns to work", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Pattern]) -> None:
        self._switch(request, queryset.filter(enabled=False), on=True)

    @admin.action(
        description="Put these patterns to rest: they forget what they have seen so far", permissions=["operate"]
    )
    def disable(self, request: HttpRequest, queryset: QuerySet[Pattern]) -> HttpResponse | None:
        asked = self.confirmed(
            request, queryset, title="Put these patterns to rest?",
            consequence="What they have seen so far is forgotten; at work again they begin anew.",
        )  # fmt: skip
        if asked is None:
            self._switch(request, queryset.filter(enabled=True), on=False)
        return asked

    def _switch(self, request: HttpRequest, patterns: QuerySet[Pattern], *, on: bool) -> None:
        from subsystems.s4_intelligence.patterns import services  # the engine, which few ever need

        now = timezone.now()
        self.each(
            request, patterns.select_related("system"),
            lambda row, by: services.switch(row, enabled=on, by=by, now=now), "at work" if on else "at rest",
        )  # fmt: skip


@admin.register(PatternDetection)
class PatternDetectionAdmin(HistoryAdmin):
    list_display = ["pattern", "key", "level", "system", "began_at", "ended_at", "confidence", "times", "verdict"]
    list_filter = ["level", "began_at", "system"]
    search_fields = ["pattern__name", "key"]
    ordering = ["-pk"]


@admin.register(PatternEngine)
class PatternEngineAdmin(HistoryAdmin):
    list_display = ["system", "turn", "updated_at"]
    search_fields = ["system__slug"]
    exclude = ["body"]  # packed: it says nothing to a reader


@admin.register(PatternCell)
class PatternCellAdmin(HistoryAdmin):
    list_display = ["pattern", "key", "version", "touched_at"]
    search_fields = ["pattern__name", "key"]
    ordering = ["-pk"]
    exclude = ["body"]  # packed: it says nothing to a reader


@admin.register(PatternInput)
class PatternInputAdmin(HistoryAdmin):
    list_display = ["type", "system", "at", "taken"]
    list_filter = ["taken", "system"]
    search_fields = ["=type"]
    ordering = ["-pk"]


@admin.register(Forecast)
class ForecastAdmin(HistoryAdmin):
    list_display = ["series", "span", "system", "used", "best", "skill", "compared", "judged"]
    list_filter = ["span", "system"]
    search_fields = ["series__source", "series__metric"]
    exclude = ["body", "held_body"]


@admin.register(Finding)
class FindingAdmin(HistoryAdmin):
    list_display = ["series", "kind", "name", "system", "score", "value", "usual", "started_at", "ended_at"]
    list_filter = ["kind", ("ended_at", admin.EmptyFieldListFilter), "system"]
    ordering = ["-pk"]
    search_fields = ["series__source", "series__metric"]


@admin.register(Threat)
class ThreatAdmin(HistoryAdmin):
    list_display = ["title", "kind", "system", "good", "chance", "impact", "first_at", "gone_at"]
    list_filter = ["kind", "good", "system"]
    search_fields = ["subject", "title"]


@admin.register(Source)
class SourceAdmin(HistoryAdmin):
    list_display = ["name", "kind", "system", "enabled", "every_seconds", "last_ok", "last_value", "last_scanned_at"]
    list_filter = ["kind", "last_ok", "enabled", "system"]
    search_fields = ["name", "address", "metric"]
    actions = ["enable", "disable"]

    @admin.action(description="Enable: scan these sources now and on schedule", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        self._switch(request, queryset.filter(enabled=False), on=True)

    @admin.action(description="Disable: scan these sources no more", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        self._switch(request, queryset.filter(enabled=True), on=False)

    def _switch(self, request: HttpRequest, sources: QuerySet[Source], *, on: bool) -> None:
        now = timezone.now()
        self.each(
            request, sources.select_related("system"),
            lambda row, by: scanning.save_source(row, by, now=now, enabled=on), "enabled" if on else "disabled",
        )  # fmt: skip
