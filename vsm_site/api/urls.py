"""The addresses under `/api/`."""

from __future__ import annotations

from csp.decorators import csp_update
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.routers import DefaultRouter

from vsm_site.api.ingest import ingest, view_of
from vsm_site.api.views import access, alerts, events, health, messages, operations, signals, tasks, telemetry
from vsm_site.api.views.root import RootView, SchemaView


class Router(DefaultRouter):
    """Typed ids in paths: what is no id never reaches a query. The root is ours, for it lists plain views too."""

    include_root_view = False
    include_format_suffixes = False

    def __init__(self) -> None:
        super().__init__(use_regex_path=False)


router = Router()
router.register("systems", access.SystemViewSet, basename="system")
router.register("members", access.MemberViewSet, basename="member")
router.register("tokens", access.TokenViewSet, basename="token")
router.register("units", operations.UnitViewSet, basename="unit")
router.register("fleets", operations.FleetViewSet, basename="fleet")
router.register("series", telemetry.SeriesViewSet, basename="series")
router.register("assessments", health.AssessmentViewSet, basename="assessment")
router.register("alert-rules", alerts.AlertRuleViewSet, basename="alert-rule")
router.register("alerts", alerts.AlertViewSet, basename="alert")
router.register("messages", messages.MessageViewSet, basename="message")
router.register("dead-letters", messages.DeadLetterViewSet, basename="dead-letter")
router.register("channels", messages.ChannelViewSet, basename="channel")
router.register("events", events.EventViewSet, basename="event")
router.register("signals", signals.SignalViewSet, basename="signal")
router.register("tasks/runs", tasks.RunViewSet, basename="run")

# Its script is a file of its own; the page that it draws is styled from within.
docs = csp_update({"style-src": ["'unsafe-inline'"]})(SpectacularSwaggerSplitView.as_view(url_name="api:schema"))
app_name = "api"
urlpatterns = [
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    path("v1/", RootView.as_view(), name="root"),
    path("v1/me/", access.MeView.as_view(), name="me"),
    path("v1/ingest/", view_of(ingest), name="ingest"),
    path("v1/query/", telemetry.QueryView.as_view(), name="query"),
    path("v1/export/", telemetry.ExportView.as_view(), name="export"),
    path("v1/viability/", health.ViabilityView.as_view(), name="viability"),
    path("v1/events/verify/", events.VerifyView.as_view(), name="events-verify"),
    path("v1/events/replay/", events.ReplayView.as_view(), name="events-replay"),
    path("v1/signals/dry-run/", signals.DryRunView.as_view(), name="signals-dry-run"),
    path("v1/signals/lane/", signals.LaneView.as_view(), name="signals-lane"),
    path("v1/tasks/", tasks.TasksView.as_view(), name="tasks"),
    path("v1/tasks/<str:name>/trigger/", tasks.TriggerView.as_view(), name="trigger"),
    path("v1/", include(router.urls)),
]
