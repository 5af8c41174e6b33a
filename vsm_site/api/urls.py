"""The addresses under `/api/`."""

from __future__ import annotations

from csp.decorators import csp_update
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.routers import DefaultRouter

from vsm_site.api.alertmanager import alerts as alertmanager_alerts
from vsm_site.api.ingest import ingest, view_of
from vsm_site.api.operations_door import operations as operations_door
from vsm_site.api.remote_write import remote_write
from vsm_site.api.views import (
    access,
    alerts,
    audit,
    bargains,
    checks,
    contact,
    coordination,
    escalations,
    events,
    health,
    history,
    intelligence,
    launchers,
    messages,
    notices,
    on_call,
    operations,
    patterns,
    policies,
    recommendations,
    scaling,
    schedules,
    scores,
    signals,
    steering,
    tasks,
    telemetry,
    variety,
    webhooks,
    workers,
)
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
router.register("workers", workers.WorkerViewSet, basename="worker")
router.register("queues", workers.QueueViewSet, basename="queue")
router.register("stuck", workers.StuckViewSet, basename="stuck")
router.register("expected-workers", workers.ExpectedWorkersViewSet, basename="expected-workers")
router.register("series", telemetry.SeriesViewSet, basename="series")
router.register("assessments", health.AssessmentViewSet, basename="assessment")
router.register("operations", variety.OperationViewSet, basename="operation")
router.register("variety/units", variety.UnitVarietyViewSet, basename="unit-variety")
router.register("variety", variety.ReadingViewSet, basename="variety")
router.register("forecasts", intelligence.ForecastViewSet, basename="forecast")
router.register("threats", intelligence.ThreatViewSet, basename="threat")
router.register("environment-sources", intelligence.EnvironmentSourceViewSet, basename="environment-source")
router.register("anomalies", intelligence.AnomalyViewSet, basename="anomaly")
router.register("alert-rules", alerts.AlertRuleViewSet, basename="alert-rule")
router.register("alerts", alerts.AlertViewSet, basename="alert")
router.register("checks", checks.CheckViewSet, basename="check")
router.register("silences", notices.SilenceViewSet, basename="silence")
router.register("maintenance-windows", notices.WindowViewSet, basename="maintenance-window")
router.register("notification-targets", notices.TargetViewSet, basename="notification-target")
router.register("notifications", notices.NotificationViewSet, basename="notification")
router.register("notification-log", notices.NoticeLineViewSet, basename="notification-log")
router.register("teams", on_call.TeamViewSet, basename="team")
router.register("rotas", on_call.RotaViewSet, basename="rota")
router.register("contact-methods", contact.ContactMethodViewSet, basename="contact-method")
router.register("escalation-policies", escalations.PolicyViewSet, basename="escalation-policy")
router.register("escalations", escalations.EscalationViewSet, basename="escalation")
router.register("messages", messages.MessageViewSet, basename="message")
router.register("dead-letters", messages.DeadLetterViewSet, basename="dead-letter")
router.register("channels", messages.ChannelViewSet, basename="channel")
router.register("events", events.EventViewSet, basename="event")
router.register("signals", signals.SignalViewSet, basename="signal")
router.register("policies", policies.PolicyViewSet, basename="policy")
router.register("emergencies", scores.EmergencyViewSet, basename="emergency")
router.register("decisions", policies.DecisionViewSet, basename="decision")
router.register("audit/findings", audit.FindingViewSet, basename="finding")
router.register("audit/runs", audit.AuditRunViewSet, basename="audit-run")
router.register("audit", audit.FleetAuditViewSet, basename="audit")
router.register("coordination/findings", coordination.CoordinationFindingViewSet, basename="coordination-finding")
router.register("coordination/dampers", coordination.DamperViewSet, basename="damper")
router.register("patterns/detections", patterns.DetectionViewSet, basename="pattern-detection")
router.register("patterns", patterns.PatternViewSet, basename="pattern")
router.register("schedules", schedules.ScheduleViewSet, basename="schedule")
router.register("actions", steering.ActionViewSet, basename="action")
router.register("recommendations", recommendations.RecommendationViewSet, basename="recommendation")
router.register("action-policies", recommendations.ActionPolicyViewSet, basename="action-policy")
router.register("holds", recommendations.HoldViewSet, basename="hold")
router.register("scaling-policies", scaling.ScalingPolicyViewSet, basename="scaling-policy")
router.register("launchers", launchers.LauncherViewSet, basename="launcher")
router.register("webhooks", webhooks.WebhookViewSet, basename="webhook")
router.register("resource-pools", bargains.ResourcePoolViewSet, basename="resource-pool")
router.register("bargains", bargains.BargainViewSet, basename="bargain")
router.register("standing-orders", steering.StandingOrderViewSet, basename="standing-order")
router.register("task-exceptions", history.ExceptionsViewSet, basename="task-exception")
router.register("tasks/runs", tasks.RunViewSet, basename="run")

# Its script is a file of its own; the page that it draws is styled from within.
docs = csp_update({"style-src": ["'unsafe-inline'"]})(SpectacularSwaggerSplitView.as_view(url_name="api:schema"))
app_name = "api"
urlpatterns = [
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    path("v2/alerts", alertmanager_alerts, name="v2-alerts"),
    path("v1/", RootView.as_view(), name="root"),
    path("v1/me/", access.MeView.as_view(), name="me"),
    path("v1/ingest/", view_of(ingest), name="ingest"),
    path("v1/ingest/operations/", view_of(operations_door), name="ingest-operations"),
    path("v1/variety/now/", variety.VarietyView.as_view(), name="variety-now"),
    path("v1/write", view_of(remote_write), name="write"),
    path("v1/query/", telemetry.QueryView.as_view(), name="query"),
    path("v1/export/", telemetry.ExportView.as_view(), name="export"),
    path("v1/viability/", health.ViabilityView.as_view(), name="viability"),
    path("v1/forecasts/accuracy/", intelligence.AccuracyView.as_view(), name="forecast-accuracy"),
    path("v1/capacity/", intelligence.CapacityView.as_view(), name="capacity"),
    path("v1/events/verify/", events.VerifyView.as_view(), name="events-verify"),
    path("v1/events/replay/", events.ReplayView.as_view(), name="events-replay"),
    path("v1/signals/dry-run/", signals.DryRunView.as_view(), name="signals-dry-run"),
    path("v1/signals/lane/", signals.LaneView.as_view(), name="signals-lane"),
    path("v1/audit/rules/", audit.AuditRulesView.as_view(), name="audit-rules"),
    path("v1/coordination/", coordination.CoordinationView.as_view(), name="coordination"),
    path("v1/coordination/damping/", coordination.DampingView.as_view(), name="damping"),
    path("v1/schedules/leader/", schedules.ScheduleLeaderView.as_view(), name="schedule-leader"),
    path("v1/schedules/preview/", schedules.SchedulePreviewView.as_view(), name="schedules-preview"),
    path(
        "v1/schedules/<int:schedule>/runs/",
        schedules.ScheduleRunsView.as_view({"get": "list"}),
        name="schedule-runs",
    ),
    path("v1/configuration/", scores.ConfigurationView.as_view(), name="configuration"),
    path("v1/components/", scores.ComponentsView.as_view(), name="components"),
    path("v1/scores/", scores.ScoresView.as_view(), name="scores"),
    path("v1/goals/", policies.GoalsView.as_view(), name="goals"),
    path("v1/goals/<int:pk>/values/", policies.GoalValueView.as_view(), name="goal-values"),
    path("v1/identity/", policies.IdentityView.as_view(), name="identity"),
    path("v1/notification-routing/", notices.RoutingView.as_view(), name="notification-routing"),
    path("v1/contact-rules/", contact.ContactRulesView.as_view(), name="contact-rules"),
    path("v1/tasks/", tasks.TasksView.as_view(), name="tasks"),
    path("v1/tasks/retry/", steering.RetryView.as_view(), name="tasks-retry"),
    path("v1/tasks/revoke/", steering.RevokeView.as_view(), name="tasks-revoke"),
    path("v1/captures/", steering.CapturesView.as_view(), name="captures"),
    path("v1/tasks/<str:name>/trigger/", tasks.TriggerView.as_view(), name="trigger"),
    path("v1/task-history/", history.HistoryView.as_view(), name="task-history"),
    path("v1/task-history/export/", history.HistoryExportView.as_view(), name="task-history-export"),
    path("v1/task-history/<int:pk>/", history.HistoryTaskView.as_view(), name="task-history-task"),
    path("v1/task-latencies/", history.LatenciesView.as_view(), name="task-latencies"),
    path("v1/fleets/<int:pk>/hearing/", history.HearingView.as_view(), name="fleet-hearing"),
    path("v1/fleets/<int:pk>/history-rules/", history.HistoryRulesView.as_view(), name="fleet-history-rules"),
    path("v1/", include(router.urls)),
]
