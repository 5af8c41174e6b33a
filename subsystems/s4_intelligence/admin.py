"""Admin of S4: what was foretold and found, to be read only."""

from __future__ import annotations

from django.contrib import admin

from subsystems.messaging.admin import HistoryAdmin
from subsystems.s4_intelligence.models import Finding, Forecast, Source, Threat


@admin.register(Forecast)
class ForecastAdmin(HistoryAdmin):
    list_display = ["series", "span", "system", "used", "best", "skill", "compared", "judged"]
    list_filter = ["span", "used", "system"]
    list_select_related = ["series", "system"]
    search_fields = ["series__source", "series__metric"]
    exclude = ["body", "held_body"]


@admin.register(Finding)
class FindingAdmin(HistoryAdmin):
    list_display = ["series", "kind", "name", "system", "score", "value", "usual", "started_at", "ended_at"]
    list_filter = ["kind", "name", "system"]
    list_select_related = ["series", "system"]
    search_fields = ["series__source", "series__metric"]


@admin.register(Threat)
class ThreatAdmin(HistoryAdmin):
    list_display = ["title", "kind", "system", "good", "chance", "impact", "first_at", "gone_at"]
    list_filter = ["kind", "good", "system"]
    list_select_related = ["system"]
    search_fields = ["subject", "title"]


@admin.register(Source)
class SourceAdmin(HistoryAdmin):
    list_display = ["name", "kind", "system", "enabled", "every_seconds", "last_ok", "last_value", "last_scanned_at"]
    list_filter = ["kind", "last_ok", "enabled", "system"]
    list_select_related = ["system"]
    search_fields = ["name", "address", "metric"]
