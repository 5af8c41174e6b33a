"""Where each model stands in the index of the admin, and where the dashboard shows it."""

from __future__ import annotations

from dataclasses import dataclass

INNER = "inner"


@dataclass(frozen=True)
class Group:
    """Models that people look for together, under the name of their part of the viable system."""

    key: str
    title: str
    about: str
    page: str  # of the dashboard, by name
    models: tuple[str, ...]


GROUPS = (
    Group("s1", "S1 Operations", "The units that do the work, and the fleets they belong to.", "fleets", (
        "s1_operations.Unit", "s1_operations.Fleet", "fleets.ExpectedWorkers", "fleets.DetectionRules",
        "fleets.HistoryRules", "fleets.StuckFinding", "fleets.WorkerState", "fleets.QueueState", "fleets.Task",
        "fleets.ExceptionGroup", "fleets.Redelivery", "fleets.BlindSpell", "variety.Operation",
        "s1_operations.CollectionFailure",
    )),
    Group("s2", "S2 Coordination", "What damps swings and shares out what is common; schedules.", "coordination", (
        "django_celery_beat.PeriodicTask", "s2_coordination.ScheduleRun", "django_celery_beat.CrontabSchedule",
        "django_celery_beat.IntervalSchedule", "django_celery_beat.ClockedSchedule", "s2_coordination.DampingRules",
        "s2_coordination.TenantShare", "s2_coordination.CoordinationFinding", "s2_coordination.Damper",
        "s2_coordination.Clearing",
    )),
    Group("s3", "S3 Control", "Steering here and now, what is advised, and the audit of fleets.", "actions", (
        "s3_control.Recommendation", "s3_control.Action", "s3_control.TaskRun", "s3_control.ScalingPolicy",
        "s3_control.ResourcePool", "s3_control.PoolUnit", "s3_control.Bargain", "s3_control.Allocation",
        "s3_control.Launcher", "s3_control.Webhook", "s3_control.ActionPolicy", "s3_control.SteeringRule",
        "s3_control.Hold", "s3_control.StandingOrder",
        "s3_control.FleetAudit", "s3_control.Finding", "s3_control.AuditRun",
    )),
    Group("s4", "S4 Intelligence", "Outside and future: patterns, forecasts, sources, threats.", "intelligence", (
        "s4_intelligence.Pattern", "s4_intelligence.PatternDetection", "s4_intelligence.Source",
        "s4_intelligence.Threat", "s4_intelligence.Forecast", "s4_intelligence.Finding",
    )),
    Group("s5", "S5 Policy", "What the whole is to be: policy with its versions, decisions, emergencies.", "policy", (
        "s5_policy.Policy", "s5_policy.PolicyVersion", "s5_policy.Decision", "s5_policy.GoalValue",
        "s5_policy.Emergency",
    )),
    Group("algedonic", "Algedonic signals", "Pain and pleasure on their way to S5.", "signals", (
        "algedonic.Signal", "algedonic.SignalPolicy", "algedonic.SignalNote", "algedonic.SignalRoute",
        "algedonic.CanaryRun", "algedonic.Lane",
    )),
    Group("alerts", "Alerts", "Rules that watch, and what they found.", "alerts", (
        "alerts.AlertRule", "alerts.Alert", "alerts.RuleVersion", "alerts.Silence", "alerts.MaintenanceWindow",
        "alerts.AlertComment", "alerts.Check", "alerts.Ping", "alerts.Heartbeat",
    )),
    Group("notices", "Notices and people", "Who is told of alerts, by what, and who is on call.", "notifications", (
        "alerts.Target", "alerts.Routing", "alerts.Notification", "alerts.AlertNotice", "alerts.EscalationPolicy",
        "alerts.EscalationRun", "alerts.EscalationStep", "alerts.Rota", "alerts.RotaOverride", "alerts.Team",
        "alerts.ContactSettings", "alerts.Page",
    )),
    Group("health", "Health and variety", "What the vital signs of S1 to S5 come to.", "scores", (
        "health.Assessment", "variety.VarietyPolicy", "variety.UnitVariety", "variety.Reading",
        "s2_coordination.CoordinationReading", "s1_operations.CollectionCycle",
    )),
    Group("nerves", "Nerves", "Messages, the event log, and limits on what may be said.", "events", (
        "messaging.Message", "messaging.DeadLetter", "messaging.Delivery", "messaging.RateLimit", "event_log.Event",
        "event_log.EventCheckpoint",
    )),
    Group("telemetry", "Telemetry", "Which series exist, and where numbers are sent and kept.", "history", (
        "telemetry.Series", "telemetry.ExportTarget", "telemetry.ArchivedDay",
    )),
    Group("access", "Systems and access", "Who belongs where, and what was done in this admin.", "overview", (
        "recursion.System", "recursion.Membership", "recursion.ApiToken", "auth.User", "auth.Group",
        "dashboard.SavedView", "dashboard.Preferences", "dashboard.ChosenColumns",
        "admin.LogEntry", "axes.AccessAttempt", "axes.AccessFailureLog", "axes.AccessLog",
    )),
    Group(INNER, "Inner works", "What the platform keeps for itself; of use when something is explained.", "events", (
        "alerts.Incoming", "alerts.Group", "alerts.GroupMember", "alerts.GroupTold", "alerts.ExternalAlert",
        "health.ScoreSheet", "s4_intelligence.PatternEngine", "s4_intelligence.PatternCell",
        "s4_intelligence.PatternInput", "s3_control.ActionItem", "s3_control.Confirmation",
        "s3_control.CapturedTask", "s3_control.ResentTask", "s3_control.LaunchedProcess", "s2_coordination.Schedule",
        "s2_coordination.BeatLease",
        "s2_coordination.BeatProcess", "fleets.Listening", "fleets.TaskRetry", "fleets.TaskRollUp",
        "fleets.TaskCount", "fleets.EndedTasks", "variety.Batch", "variety.Subject", "variety.EventCursor",
        "telemetry.Rollup", "telemetry.FiveMinuteRollup", "telemetry.HourRollup", "telemetry.RollupChunk",
        "telemetry.DueWindow", "algedonic.SignalPattern", "algedonic.SignalTally", "messaging.MessageTally",
        "messaging.SlotRun", "event_log.PendingEvent", "event_log.ChainHead", "event_log.HandlerPosition",
        "event_log.EventCount",
    )),
)  # fmt: skip
GROUP_OF = {label: (at, number) for at, group in enumerate(GROUPS) for number, label in enumerate(group.models)}

# The page that lists rows of a model, by name in the dashboard; of the others the page of their group.
LISTS = {
    "s1_operations.Fleet": "fleets", "s1_operations.Unit": "overview", "fleets.ExpectedWorkers": "workers",
    "fleets.WorkerState": "workers", "fleets.QueueState": "queues", "fleets.Task": "tasks",
    "fleets.ExceptionGroup": "task-exceptions", "fleets.TaskRollUp": "task-latencies",
    "django_celery_beat.PeriodicTask": "schedules", "s2_coordination.ScheduleRun": "schedules",
    "s2_coordination.Schedule": "schedules", "s3_control.Recommendation": "inbox", "s3_control.Hold": "inbox",
    "s3_control.TaskRun": "runs", "s3_control.ScalingPolicy": "scaling", "s3_control.Launcher": "launchers",
    "s3_control.Webhook": "webhooks", "s3_control.ResourcePool": "bargains", "s3_control.Bargain": "bargains",
    "s3_control.FleetAudit": "audit",
    "s3_control.Finding": "audit", "s3_control.AuditRun": "audit", "s4_intelligence.Pattern": "patterns",
    "s4_intelligence.PatternDetection": "pattern-detections", "s5_policy.Decision": "decisions",
    "s5_policy.GoalValue": "goals", "s5_policy.Emergency": "emergencies", "algedonic.CanaryRun": "lane",
    "algedonic.Lane": "lane", "alerts.AlertRule": "rules", "alerts.RuleVersion": "rules", "alerts.Check": "checks",
    "alerts.Ping": "checks", "alerts.Silence": "silences", "alerts.MaintenanceWindow": "maintenance-windows",
    "alerts.Target": "targets", "alerts.EscalationPolicy": "on-call", "alerts.EscalationRun": "escalations",
    "alerts.Rota": "on-call", "alerts.RotaOverride": "on-call", "alerts.Team": "on-call",
    "alerts.ContactSettings": "contact", "variety.VarietyPolicy": "variety", "variety.Operation": "variety",
    "variety.UnitVariety": "variety", "variety.Reading": "variety", "s2_coordination.CoordinationReading":
    "coordination", "messaging.DeadLetter": "dead-letters", "event_log.EventCheckpoint": "chain",
}  # fmt: skip

# The page of one row: its name in the dashboard, and the field by which it is asked for.
DETAILS = {
    "s1_operations.Unit": ("unit", "pk"), "s1_operations.CollectionFailure": ("unit", "unit_id"),
    "fleets.Task": ("task", "pk"), "s2_coordination.Schedule": ("schedule", "task_id"),
    "django_celery_beat.PeriodicTask": ("schedule", "pk"), "s3_control.Recommendation": ("recommendation", "pk"),
    "s3_control.Action": ("action", "pk"), "s3_control.ActionItem": ("action", "action_id"),
    "s3_control.ScalingPolicy": ("scaling-policy", "pk"), "s3_control.Launcher": ("launcher", "pk"),
    "s3_control.Webhook": ("webhook", "pk"), "s3_control.ResourcePool": ("bargain-pool", "pk"),
    "s4_intelligence.Pattern": ("pattern", "pk"),
    "s4_intelligence.PatternDetection": ("pattern-detection", "pk"), "s5_policy.Decision": ("decision", "pk"),
    "algedonic.Signal": ("signal", "pk"), "algedonic.SignalNote": ("signal", "signal_id"),
    "algedonic.SignalRoute": ("signal", "signal_id"), "alerts.AlertRule": ("rule", "pk"),
    "alerts.Alert": ("alert", "pk"), "alerts.AlertComment": ("alert", "alert_id"), "alerts.Check": ("check", "pk"),
    "alerts.Ping": ("check", "of_id"), "alerts.MaintenanceWindow": ("maintenance-window", "pk"),
    "alerts.Target": ("target", "pk"), "alerts.Notification": ("notification", "pk"),
    "alerts.AlertNotice": ("alert", "alert_id"), "alerts.EscalationPolicy": ("on-call-policy", "pk"),
    "alerts.Rota": ("on-call-rota", "pk"), "alerts.Team": ("on-call-team", "pk"), "messaging.Message":
    ("message", "pk"), "messaging.Delivery": ("message", "message_id"), "event_log.Event": ("event", "position"),
    "recursion.System": ("system", "slug"),
}  # fmt: skip
