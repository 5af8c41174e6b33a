"""Alert rules and the alerts they raise."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.utils import timezone

from alerts.checks.models import Check, Heartbeat, Ping
from alerts.notices.models import (
    AlertNotice,
    ExternalAlert,
    Group,
    GroupMember,
    GroupTold,
    Incoming,
    MaintenanceWindow,
    Notification,
    Routing,
    Silence,
    Target,
)
from alerts.people.models import (
    AlertComment,
    ContactSettings,
    EscalationPolicy,
    EscalationRun,
    EscalationStep,
    Page,
    Rota,
    RotaOverride,
    Team,
)
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Unit

# Models of a package within the room: Django finds what this module names.
__all__ = [
    "Alert", "AlertComment", "AlertNotice", "AlertRule", "Check", "ContactSettings", "EscalationPolicy",
    "EscalationRun", "EscalationStep", "ExternalAlert", "Group", "GroupMember", "GroupTold", "Heartbeat", "Incoming",
    "MaintenanceWindow", "Notification", "Page", "Ping", "Rota", "RotaOverride", "Routing", "Severity", "Silence",
    "Target", "Team",
]  # fmt: skip


class Severity(models.TextChoices):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertRule(models.Model):
    """A condition that is watched: a number made of a metric, or of something else, compared with a threshold."""

    class Across(models.TextChoices):
        EACH = "each", "each by itself"
        ANY = "any", "any of them, as one alert"
        ALL = "all", "all of them, as one alert"
        AT_LEAST = "at_least", "at least so many of them, as one alert"

    class Aggregation(models.TextChoices):
        LAST = "last", "newest"
        AVG = "avg", "average"
        MIN = "min", "lowest"
        MAX = "max", "highest"
        SUM = "sum", "sum"
        COUNT = "count", "number of samples"
        P95 = "p95", "95th percentile"

    class Policy(models.TextChoices):
        KEEP = "keep", "keep the last state"
        ALERT = "alert", "raise an alert"
        OK = "ok", "take it for good"

    class Comparison(models.TextChoices):
        ABOVE = "gt", "is above"
        AT_LEAST = "gte", "is at least"
        BELOW = "lt", "is below"
        AT_MOST = "lte", "is at most"

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, default="threshold", help_text="What the number is")
    params = models.JSONField(default=dict, blank=True, help_text="Settings of this kind of condition")
    metric = models.CharField(max_length=120, blank=True)
    unit = models.ForeignKey(
        Unit,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,  # a rule must not vanish with what it watches
        related_name="alert_rules",
        help_text="Only this unit; empty for every unit of the type",
    )
    unit_kind = models.CharField(max_length=40, blank=True, help_text="Only units of this type; empty for all")
    match = models.CharField(max_length=500, blank=True, help_text="Only series with these labels: queue=mail*,core!=0")
    subtree = models.BooleanField(default=False, help_text="Also in the systems below")
    aggregation = models.CharField(max_length=8, choices=Aggregation.choices, default=Aggregation.LAST)
    window_seconds = models.PositiveIntegerField(
        default=0, validators=[MaxValueValidator(3600)], help_text="Over so many seconds; 0 is the newest value alone"
    )
    across = models.CharField(max_length=8, choices=Across.choices, default=Across.EACH)
    at_least = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    comparison = models.CharField(max_length=3, choices=Comparison.choices, default=Comparison.ABOVE)
    threshold = models.FloatField()
    recover_threshold = models.FloatField(
        null=True, blank=True, help_text="Once it fires, it is over only beyond this; empty for the threshold itself"
    )
    severity_steps = models.JSONField(
        default=list, blank=True, help_text='Worse from further thresholds: [{"severity": "critical", "threshold": 95}]'
    )
    for_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(3600)],
        help_text="How long the condition must hold before the alert fires",
    )
    keep_firing_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(86400)],
        help_text="How long the condition must be over before the alert is",
    )
    stale_seconds = models.PositiveIntegerField(
        default=30,
        validators=[MinValueValidator(5), MaxValueValidator(3600)],
        help_text="A series silent for longer says nothing about now",
    )
    no_data_policy = models.CharField(max_length=5, choices=Policy.choices, default=Policy.KEEP)
    error_policy = models.CharField(max_length=5, choices=Policy.choices, default=Policy.KEEP)
    interval_seconds = models.PositiveIntegerField(
        default=5, validators=[MinValueValidator(5), MaxValueValidator(3600)], help_text="How often it is evaluated"
    )
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.WARNING)
    cooldown_seconds = models.PositiveIntegerField(
        default=300,
        validators=[MaxValueValidator(86400)],
        help_text="No second notification of the same alert within this time",
    )
    labels = models.JSONField(default=dict, blank=True, help_text="Added to its alerts' labels; texts may have places")
    annotations = models.JSONField(
        default=dict, blank=True, help_text="Told with its alerts, e.g. summary and description; texts may have places"
    )
    runbook_url = models.CharField(
        max_length=500, blank=True, validators=[URLValidator(["http", "https"])], help_text="What to do about it"
    )
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False)  # grows with each change
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    error = models.CharField(max_length=300, blank=True, editable=False)  # why it could not be evaluated lately
    error_since = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="rule_name_per_system")]

    def __str__(self) -> str:
        return self.name


class RuleVersion(models.Model):
    """What a rule said from one change to the next."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    fields = models.JSONField()
    changed = models.JSONField(default=list)  # the names of those that differ from the version before
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["rule", "version"], name="one_row_per_rule_version")]

    def __str__(self) -> str:
        return f"{self.rule} v{self.version}"


class Alert(models.Model):
    """One instance of a rule (or of the viability watch) for one subject."""

    class State(models.TextChoices):
        PENDING = "pending"
        FIRING = "firing"
        RECOVERING = "recovering"
        NO_DATA = "no_data", "no data"
        ERROR = "error"
        RESOLVED = "resolved"

    class Resolution(models.TextChoices):
        """Why an alert is over."""

        CONDITION = "condition", "the condition no longer holds"
        HAND = "hand", "by hand"
        FALSE_ALARM = "false_alarm", "by hand, as a false alarm"
        RULE = "rule", "its rule was changed, disabled or deleted"
        UNIT = "unit", "its unit is no longer watched"

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(AlertRule, null=True, blank=True, on_delete=models.SET_NULL, related_name="alerts")
    unit = models.ForeignKey(Unit, null=True, blank=True, on_delete=models.SET_NULL, related_name="alerts")
    type = models.CharField(max_length=40)  # "rule" or "viability"
    title = models.CharField(max_length=200)
    subject = models.CharField(max_length=260)  # the series' source, with labels where there are any
    fingerprint = models.CharField(max_length=64, db_index=True)  # type + rule + subject (requirements 2-29)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING, db_index=True)
    value = models.FloatField(null=True)
    data = models.JSONField(default=dict, blank=True)
    labels = models.JSONField(default=dict, blank=True)  # as rendered when it opened, and its severity as it is
    annotations = models.JSONField(default=dict, blank=True)  # as rendered at its last transition
    rule_version = models.PositiveIntegerField(null=True, blank=True)
    escalation_level = models.PositiveIntegerField(default=0)
    pending_at = models.DateTimeField(default=timezone.now)
    fired_at = models.DateTimeField(null=True, blank=True)
    recovering_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    acknowledged_until = models.DateTimeField(null=True, blank=True)  # then it is nobody's again
    comment = models.CharField(max_length=500, blank=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    snoozed_until = models.DateTimeField(null=True, blank=True)  # until then nobody is told of it
    snoozed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    returned_at = models.DateTimeField(null=True, blank=True)  # when it came back from an acknowledgement or a snooze
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    resolution = models.CharField(max_length=20, blank=True, choices=Resolution.choices)
    held = models.BooleanField(
        default=False
    )  # resolved by hand while its condition held: waits until it was once false
    no_data_since = models.DateTimeField(
        null=True, blank=True
    )  # its series is silent: the state is what was last known
    suppressed = models.CharField(max_length=20, blank=True)  # why nobody was told, e.g. "cooldown" or "silence"
    released_at = models.DateTimeField(null=True, blank=True)  # when a cooldown or limit let go of it

    class Meta:
        ordering = ["-pending_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=~models.Q(state="resolved"), name="one_open_alert_per_fingerprint"
            )
        ]
        indexes = [
            models.Index(
                fields=["acknowledged_until"], condition=models.Q(acknowledged_until__isnull=False),
                name="alert_acknowledged_until",
            ),
            models.Index(
                fields=["snoozed_until"], condition=models.Q(snoozed_until__isnull=False), name="alert_snoozed_until"
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.title} ({self.state})"

    @property
    def open(self) -> bool:
        return self.state != self.State.RESOLVED

    @property
    def active(self) -> bool:
        """Return whether people are to know of it."""
        return self.state in ACTIVE


ACTIVE = (Alert.State.FIRING, Alert.State.RECOVERING, Alert.State.NO_DATA, Alert.State.ERROR)
