"""Who is told of alerts, what waits to be told, and the log of what was told and what was withheld."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System


class Routing(models.Model):
    """What a system says about who is told; it holds for the systems below, too, until one has its own."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="routing")
    document = models.JSONField()
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(default=timezone.now)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name = _("notification routing")
        verbose_name_plural = _("notification routings")

    def __str__(self) -> str:
        return f"routing of {self.system}"


class Target(models.Model):
    """An address that is told: a channel with its settings. After failures in a row it rests: its circuit is open.

    It belongs to a system, or to one person: then it is how they can be reached, and no routing can name it.
    """

    system = models.ForeignKey(System, null=True, blank=True, on_delete=models.CASCADE, related_name="targets")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="contact_methods"
    )
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40)  # the channel's name
    config = models.JSONField(default=dict, blank=True)
    secrets_sealed = models.TextField(blank=True, editable=False)  # encrypted
    secret_names = models.JSONField(default=list, editable=False)  # which are set; their values are never shown
    fallback = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="stands_in_for")
    enabled = models.BooleanField(default=True)
    failures = models.PositiveIntegerField(default=0, editable=False)  # in a row
    rests_until = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    last_sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("notification target")
        verbose_name_plural = _("notification targets")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["system", "name"], name="target_name_per_system"),
            models.UniqueConstraint(fields=["owner", "name"], name="target_name_per_owner"),
            models.CheckConstraint(
                condition=models.Q(system=None) ^ models.Q(owner=None), name="target_of_a_system_or_a_person"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def beside(self) -> models.QuerySet[Target]:
        """Return the targets of the same system, or the same person."""
        return Target.objects.filter(system=self.system_id, owner=self.owner_id)


class Silence(models.Model):
    """Alerts that nobody is told of until it ends; it always ends."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="silences")
    matchers = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=150)
    comment = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now)
    reminded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-ends_at", "-pk"]

    def __str__(self) -> str:
        return self.matchers


class MaintenanceWindow(models.Model):
    """A time, once or again and again, in which people are told only that something is over."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="maintenance_windows")
    name = models.CharField(max_length=120)
    matchers = models.TextField(blank=True, help_text=_("Empty for every alert of the system"))
    starts_at = models.DateTimeField()
    duration_seconds = models.PositiveIntegerField()
    time_zone = models.CharField(max_length=60, default="UTC")
    recurrence = models.CharField(max_length=300, blank=True, help_text=_("As in RFC 5545: FREQ=WEEKLY;BYDAY=TU"))
    enabled = models.BooleanField(default=True)
    comment = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="window_name_per_system")]

    def __str__(self) -> str:
        return self.name


class Incoming(models.Model):
    """An alert that changed and is not sorted into its groups yet; written in the transaction of the change."""

    alert = models.ForeignKey("alerts.Alert", on_delete=models.CASCADE, related_name="+")
    rank = models.PositiveSmallIntegerField()  # 0 is critical: it does not wait behind a storm
    fired = models.BooleanField()  # False: it ended, or became worse or better
    severity_before = models.CharField(max_length=8, blank=True)

    class Meta:
        verbose_name = _("alert to be sorted")
        verbose_name_plural = _("alerts to be sorted")
        indexes = [models.Index(fields=["rank", "id"], name="incoming_in_order")]

    def __str__(self) -> str:
        return f"alert {self.alert_id} changed"


class Group(models.Model):
    """Alerts that are told together, and when that is due next."""

    key = models.CharField(max_length=64, unique=True)
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="notice_groups")
    receiver = models.CharField(max_length=120)
    labels = models.JSONField(default=dict)
    group_wait = models.FloatField()
    group_interval = models.FloatField()
    repeat_interval = models.FloatField()
    due_at = models.DateTimeField(db_index=True)
    flushed = models.BooleanField(default=False)
    empty_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("alert group")
        verbose_name_plural = _("alert groups")

    def __str__(self) -> str:
        return f"{self.receiver} {self.labels}"


class GroupMember(models.Model):
    """An alert within a group; *key* outlives the alert, for one that comes back is the same to people."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="members")
    key = models.BigIntegerField()
    alert = models.ForeignKey("alerts.Alert", on_delete=models.CASCADE, related_name="notice_groups")
    firing = models.BooleanField()
    version = models.BigIntegerField()
    cause = models.CharField(max_length=20, blank=True)  # why it was withheld at the last flush
    cause_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("alert in a group")
        verbose_name_plural = _("alerts in groups")
        constraints = [models.UniqueConstraint(fields=["group", "key"], name="member_once_per_group")]

    def __str__(self) -> str:
        return f"alert {self.alert_id} in group {self.group_id}"


class GroupTold(models.Model):
    """What one target was last told of a group, and where to change that message."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="told")
    target = models.ForeignKey(Target, on_delete=models.CASCADE, related_name="+")
    firing = models.BinaryField()
    resolved = models.BinaryField()
    at = models.DateTimeField()
    reference = models.JSONField(default=dict)  # the service's own name of the message

    class Meta:
        verbose_name = _("last word to a group's target")
        verbose_name_plural = _("last words to groups' targets")
        constraints = [models.UniqueConstraint(fields=["group", "target"], name="told_once_per_target")]

    def __str__(self) -> str:
        return f"target {self.target_id} of group {self.group_id}"


class Notification(models.Model):
    """One message to one target: written before it is sent, and kept with what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting, or to be tried again")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("given up")
        WITHHELD = "withheld", _("silenced before it was sent")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(default=0)  # order within a group and target
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="notifications")
    group = models.ForeignKey(Group, null=True, on_delete=models.SET_NULL, related_name="notifications")
    target = models.ForeignKey(Target, null=True, on_delete=models.SET_NULL, related_name="notifications")
    target_name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40)
    receiver = models.CharField(max_length=120)
    reason = models.CharField(max_length=20)
    severity = models.CharField(max_length=8)
    title = models.CharField(max_length=300)
    body = models.JSONField()
    firing_count = models.PositiveIntegerField(default=0)
    resolved_count = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    due_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)
    stands_in_for = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="stand_ins")

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="notification_waiting"),
            models.Index(fields=["system", "-created_at"], name="notification_of_system"),
        ]

    def __str__(self) -> str:
        return self.title


class AlertNotice(models.Model):
    """One line of an alert's log: told by which notification, or withheld for which cause."""

    class Outcome(models.TextChoices):
        TOLD = "told", _("told that it fires")
        OVER = "over", _("told that it is over")
        WITHHELD = "withheld", _("Withheld")
        PAGED = "paged", _("told by an escalation")

    alert = models.ForeignKey("alerts.Alert", on_delete=models.CASCADE, related_name="notices")
    notification = models.ForeignKey(Notification, null=True, on_delete=models.CASCADE, related_name="lines")
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    cause = models.CharField(max_length=20, blank=True)
    cause_id = models.BigIntegerField(null=True)
    detail = models.CharField(max_length=200, blank=True)
    fingerprint = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("line of an alert's log")
        verbose_name_plural = _("lines of alerts' logs")
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["fingerprint", "at"], name="notice_by_fingerprint")]

    def __str__(self) -> str:
        return f"alert {self.alert_id} {self.outcome}"


class ExternalAlert(models.Model):
    """What another program said of an alert of its own: until when it holds, unless it is said again."""

    alert = models.OneToOneField("alerts.Alert", on_delete=models.CASCADE, related_name="external")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    timeout = models.BooleanField()
    received_at = models.DateTimeField()
    generator_url = models.CharField(max_length=2000, blank=True)

    class Meta:
        verbose_name = _("alert from outside")
        verbose_name_plural = _("alerts from outside")

    def __str__(self) -> str:
        return f"alert {self.alert_id} until {self.ends_at}"
