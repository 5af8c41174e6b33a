"""Alert rules and the alerts they raise."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

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
    CRITICAL = "critical", _("Critical")
    WARNING = "warning", _("Warning")
    INFO = "info", _("Info")


class AlertRule(models.Model):
    """A condition that is watched: a number made of a metric, or of something else, compared with a threshold."""

    class Across(models.TextChoices):
        EACH = "each", _("each by itself")
        ANY = "any", _("any of them, as one alert")
        ALL = "all", _("all of them, as one alert")
        AT_LEAST = "at_least", _("at least so many of them, as one alert")

    class Aggregation(models.TextChoices):
        LAST = "last", _("newest")
        AVG = "avg", _("average")
        MIN = "min", _("lowest")
        MAX = "max", _("highest")
        SUM = "sum", _("sum")
        COUNT = "count", _("number of samples")
        P95 = "p95", _("95th percentile")

    class Policy(models.TextChoices):
        KEEP = "keep", _("keep the last state")
        ALERT = "alert", _("raise an alert")
        OK = "ok", _("take it for good")

    class Comparison(models.TextChoices):
        ABOVE = "gt", _("is above")
        AT_LEAST = "gte", _("is at least")
        BELOW = "lt", _("is below")
        AT_MOST = "lte", _("is at most")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=120, help_text=_("By which people know it; one of its kind in a system"))
    kind = models.CharField(max_length=12, default="threshold", help_text=_("What the number is"))
    params = models.JSONField(default=dict, blank=True, help_text=_("Settings of this kind of condition"))
    metric = models.CharField(
        max_length=120, blank=True, help_text=_('Such as cpu_ratio, or with labels size{queue="mail"}')
    )
    unit = models.ForeignKey(
        Unit,
        null=True,
        blank=True,
        on_delete=models.RESTRICT,  # a rule must not vanish with what it watches
        related_name="alert_rules",
        help_text=_("Only this unit; empty for every unit of the type"),
    )
    unit_kind = models.CharField(max_length=40, blank=True, help_text=_("Only units of this type; empty for all"))
    match = models.CharField(
        max_length=500, blank=True, help_text=_("Only series with these labels: queue=mail*,core!=0")
    )
    subtree = models.BooleanField(default=False, help_text=_("Also in the systems below"))
    aggregation = models.CharField(
        max_length=8,
        choices=Aggregation.choices,
        default=Aggregation.LAST,
        help_text=_("What is made of the values within the window"),
    )
    window_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(3600)],
        help_text=_("Over so many seconds; 0 is the newest value alone"),
    )
    across = models.CharField(
        max_length=8,
        choices=Across.choices,
        default=Across.EACH,
        help_text=_("Whether each series raises its own alert"),
    )
    at_least = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1)], help_text=_("With at least so many of them: how many")
    )
    comparison = models.CharField(
        max_length=3,
        choices=Comparison.choices,
        default=Comparison.ABOVE,
        help_text=_("How the number is compared with the threshold"),
    )
    threshold = models.FloatField(help_text=_("In the unit of the metric"))
    recover_threshold = models.FloatField(
        null=True, blank=True, help_text=_("Once it fires, it is over only beyond this; empty for the threshold itself")
    )
    severity_steps = models.JSONField(
        default=list,
        blank=True,
        help_text=_('Worse from further thresholds: [{"severity": "critical", "threshold": 95}]'),
    )
    for_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(3600)],
        help_text=_("How long the condition must hold before the alert fires"),
    )
    keep_firing_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(86400)],
        help_text=_("How long the condition must be over before the alert is"),
    )
    stale_seconds = models.PositiveIntegerField(
        default=30,
        validators=[MinValueValidator(5), MaxValueValidator(3600)],
        help_text=_("A series silent for longer says nothing about now"),
    )
    no_data_policy = models.CharField(
        max_length=5, choices=Policy.choices, default=Policy.KEEP, help_text=_("What is done while nothing is heard")
    )
    error_policy = models.CharField(
        max_length=5,
        choices=Policy.choices,
        default=Policy.KEEP,
        help_text=_("What is done while it cannot be evaluated"),
    )
    interval_seconds = models.PositiveIntegerField(
        default=5, validators=[MinValueValidator(5), MaxValueValidator(3600)], help_text=_("How often it is evaluated")
    )
    severity = models.CharField(
        max_length=8, choices=Severity.choices, default=Severity.WARNING, help_text=_("How loudly people are told")
    )
    cooldown_seconds = models.PositiveIntegerField(
        default=300,
        validators=[MaxValueValidator(86400)],
        help_text=_("No second notification of the same alert within this time"),
    )
    labels = models.JSONField(
        default=dict, blank=True, help_text=_("Added to its alerts' labels; texts may have places")
    )
    annotations = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("Told with its alerts, e.g. summary and description; texts may have places"),
    )
    runbook_url = models.CharField(
        max_length=500, blank=True, validators=[URLValidator(["http", "https"])], help_text=_("What to do about it")
    )
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, editable=False)  # grows with each change
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Whose rule it is, to be asked about it"),
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
        PENDING = "pending", _("Pending")
        FIRING = "firing", _("Firing")
        RECOVERING = "recovering", _("Recovering")
        NO_DATA = "no_data", _("no data")
        ERROR = "error", _("Error")
        RESOLVED = "resolved", _("Resolved")

    class Resolution(models.TextChoices):
        """Why an alert is over."""

        CONDITION = "condition", _("the condition no longer holds")
        HAND = "hand", _("by hand")
        FALSE_ALARM = "false_alarm", _("by hand, as a false alarm")
        RULE = "rule", _("its rule was changed, disabled or deleted")
        UNIT = "unit", _("its unit is no longer watched")

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
            models.Index(fields=["system", "-pending_at"], name="alert_of_system"),
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
