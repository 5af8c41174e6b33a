"""Runs that were triggered, acts of steering, what holds until further notice, and what is recommended."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit
from subsystems.s3_control.bargaining.models import Allocation, Bargain, PoolUnit, ResourcePool
from subsystems.s3_control.hooks.models import Webhook
from subsystems.s3_control.launching.models import LaunchedProcess, Launcher
from subsystems.s3_control.scaling.models import ScalingPolicy

# Models of a package within the room: Django finds what this module names.
__all__ = [
    "Allocation", "AuditRun", "Bargain", "Finding", "FleetAudit", "LaunchedProcess", "Launcher", "PoolUnit",
    "ResourcePool", "ScalingPolicy", "Webhook",
]  # fmt: skip


class TaskRun(models.Model):
    """One triggered task from request to result."""

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, db_index=True)
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING, db_index=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    worker = models.CharField(max_length=200, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    done = models.PositiveIntegerField(null=True, blank=True, help_text=_("How far it has come, if it says so"))
    total = models.PositiveIntegerField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True, editable=False)  # when it last said so
    requested_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("triggered task")
        verbose_name_plural = _("triggered tasks")
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class Action(models.Model):
    """One act of steering: who did what to what, why, and what came of it. The database keeps it from being changed.

    Whatever is said at the start (who, what, target, why, dry run) stays as it is, an end stays an end, and no row is
    deleted. Each change of state is an event of the log, too.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Proposed")
        APPLYING = "applying", _("Being applied")
        APPLIED = "applied", _("Applied, not confirmed by everybody")
        VERIFIED = "verified", _("Verified")
        FAILED = "failed", _("Failed")
        REHEARSED = "rehearsed", _("Rehearsed: nothing was done")

    OPEN = (State.PROPOSED, State.APPLYING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    system = models.ForeignKey(System, null=True, on_delete=models.SET_NULL, related_name="+")
    fleet = models.ForeignKey(Fleet, null=True, on_delete=models.SET_NULL, related_name="+")
    fleet_name = models.CharField(max_length=120)
    kind = models.CharField(max_length=40)
    target = models.CharField(max_length=300)
    parameters = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    dry_run = models.BooleanField(default=False)
    actor = models.CharField(max_length=150)  # the name stays when the person goes
    via = models.CharField(max_length=130, blank=True)  # the token that was used
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PROPOSED)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)  # while somebody works on it
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    detail = models.CharField(max_length=500, blank=True)
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    memory = models.JSONField(default=dict, blank=True)  # what an act that takes long knows between two steps
    undone_by = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="undoes", editable=False
    )

    class Meta:
        ordering = ["-requested_at", "-id"]
        indexes = [
            models.Index(fields=["system", "-requested_at"], name="action_of_system"),
            models.Index(fields=["fleet", "kind", "-requested_at"], name="action_of_fleet"),
            models.Index(
                fields=["leased_until"], name="action_open", condition=models.Q(state__in=["proposed", "applying"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


class ActionItem(models.Model):
    """One of many that an action is about: a task to retry, say."""

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENDING = "sending", _("Sending")  # claimed: whoever finds it so later cannot know whether it was sent
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        UNCERTAIN = "uncertain", _("Uncertain")

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="items")
    key = models.CharField(max_length=155)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    result = models.CharField(max_length=300, blank=True)  # the new task's id, or why not

    class Meta:
        verbose_name = _("item of an action")
        verbose_name_plural = _("items of actions")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["action", "key"], name="action_item_once")]
        indexes = [models.Index(fields=["action", "state", "id"], name="action_item_state")]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"


class StandingOrder(models.Model):
    """What holds until further notice, also for workers that come later: a revoke, a limit, a pause."""

    class Kind(models.TextChoices):
        REVOKE = "revoke", _("Revoke")
        RATE_LIMIT = "rate_limit", _("Rate Limit")
        PAUSE = "pause", _("Pause")

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="standing_orders")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(max_length=200)  # the queue, the task; of revokes a number
    parameters = models.JSONField(default=dict)
    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="orders")
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)
    ending = models.BooleanField(default=False)  # it holds no more, and is being taken back
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["fleet", "kind", "key"], condition=models.Q(ended_at=None), name="one_order_in_force"
            )
        ]
        indexes = [models.Index(fields=["fleet", "kind"], name="order_in_force", condition=models.Q(ended_at=None))]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    def holders(self) -> list[Confirmation]:
        """Return what workers said that they hold; of one that was told a limit and has not answered, nothing yet."""
        told = self.confirmations.all()
        return [each for each in told if each.value or self.kind != StandingOrder.Kind.RATE_LIMIT]


class Confirmation(models.Model):
    """A worker said that it holds a standing order. One that started later than *at* knows nothing of it."""

    order = models.ForeignKey(StandingOrder, on_delete=models.CASCADE, related_name="confirmations")
    node = models.CharField(max_length=200)
    at = models.DateTimeField()
    value = models.CharField(max_length=40, blank=True)  # its share of a limit
    former = models.CharField(max_length=40, blank=True)  # what it held before the order, to give back

    class Meta:
        verbose_name = _("confirmation of an order")
        verbose_name_plural = _("confirmations of orders")
        constraints = [models.UniqueConstraint(fields=["order", "node"], name="confirmation_once_per_worker")]

    def __str__(self) -> str:
        return f"{self.node} holds {self.order_id}"


class CapturedTask(models.Model):
    """A task's message as it was published: its true arguments, which events do not tell. Sealed, like every secret."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="captured_tasks")
    task_id = models.CharField(max_length=155)
    name = models.CharField(max_length=255)
    queue = models.CharField(max_length=200)
    message = models.BinaryField()  # sealed JSON: body, headers, properties
    published_at = models.DateTimeField()
    family = models.JSONField(null=True, editable=False)  # group, chord and trace, until the history has them

    class Meta:
        verbose_name = _("captured task message")
        verbose_name_plural = _("captured task messages")
        constraints = [models.UniqueConstraint(fields=["fleet", "task_id"], name="captured_once")]
        indexes = [
            models.Index(fields=["fleet", "name", "published_at"], name="captured_name"),
            models.Index(fields=["published_at"], name="captured_age"),
            models.Index(
                fields=["fleet", "published_at"], name="captured_family", condition=models.Q(family__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.task_id}"


class ResentTask(models.Model):
    """A lost task that was sent again: a row for each, so that it is sent again once and never twice."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="resent_tasks")
    task_id = models.CharField(max_length=155)
    new_id = models.CharField(max_length=155)
    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="resent")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["fleet", "task_id"], name="resent_once")]

    def __str__(self) -> str:
        return f"{self.task_id} again"


class SteeringRule(models.Model):
    """Leaves some acts in a system to the members of a group, beyond the scope `operate`."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="steering_rules")
    kind = models.CharField(max_length=40, default="*", help_text=_("Kind of act, with * and ?: queue.purge, worker.*"))
    target = models.CharField(max_length=200, default="*", help_text=_("Task, worker or queue, with * and ?"))
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+", help_text=_("Whose members may do it"))

    class Meta:
        ordering = ["system", "kind", "target"]

    def __str__(self) -> str:
        return f"{self.kind} on {self.target} for {self.group}"


class Recommendation(models.Model):
    """What S3, S4, a pattern or a person advises, what became of it, and whether it brought what was promised."""

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Waits for a decision")
        APPROVED = "approved", _("Approved, being applied")
        REFUSED = "refused", _("Refused")
        DEFERRED = "deferred", _("Deferred")
        APPLIED = "applied", _("Applied, its effect not measured yet")
        VERIFIED = "verified", _("Verified by its effect")
        FAILED = "failed", _("Failed")
        EXPIRED = "expired", _("Expired")
        UNDONE = "undone", _("Undone")

    class Kind(models.TextChoices):
        OPTIMISATION = "optimisation", _("Optimisation")
        RESOURCE = "resource", _("Resource")
        ARCHITECTURAL = "architectural", _("Architectural")

    class Source(models.TextChoices):
        S3 = "s3", _("S3 control")
        S4 = "s4", _("S4 intelligence")
        PATTERN = "pattern", _("An event pattern")
        PERSON = "person", _("A person")

    WAITING = (State.PROPOSED, State.DEFERRED)
    UNDER_WAY = (State.APPROVED, State.APPLIED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="recommendations")
    fleet = models.ForeignKey(Fleet, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    kind = models.CharField(max_length=13, choices=Kind.choices)
    source = models.CharField(max_length=7, choices=Source.choices)
    author = models.CharField(max_length=150, blank=True)  # the person, the pattern, the part that speaks
    subject = models.CharField(max_length=300)  # what it is about: one correction of it at a time
    key = models.CharField(max_length=200, null=True, blank=True)  # null: said without a name
    title = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    effect = models.JSONField(default=dict, blank=True)  # metric, source, from, to, unit
    act_kind = models.CharField(max_length=40, blank=True)
    act_target = models.CharField(max_length=300, blank=True)
    act_parameters = models.JSONField(default=dict, blank=True)
    measured_at = models.DateTimeField(null=True, blank=True)  # the newest data it rests on
    fresh_seconds = models.FloatField(default=60.0)
    settle_seconds = models.FloatField(default=120.0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    deferred_until = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PROPOSED)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_why = models.CharField(max_length=500, blank=True)
    by_itself = models.BooleanField(default=True)  # False: whoever advises leaves it to a person, whatever S5 permits
    automatic = models.BooleanField(default=False)
    waits_for = models.CharField(max_length=500, blank=True)  # why it was not applied by itself
    action = models.OneToOneField(
        Action, null=True, blank=True, on_delete=models.SET_NULL, related_name="recommendation"
    )
    applied_at = models.DateTimeField(null=True, blank=True)
    outcome = models.JSONField(default=dict, blank=True)  # before, after, realised, predicted, or why not known
    score = models.FloatField(null=True, blank=True)  # realised / predicted
    met = models.BooleanField(null=True, blank=True)  # did it bring enough of it; unknown stays null
    settled_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)  # when the clock looks at it again

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["system", "key"], name="recommended_once"),
            models.UniqueConstraint(
                fields=["system", "subject"],
                condition=models.Q(state__in=["approved", "applied"], settled_at=None),
                name="one_correction_at_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["system", "-created_at"], name="recommendation_of_system"),
            models.Index(fields=["system", "subject", "-settled_at"], name="recommendation_subject"),
            models.Index(fields=["next_at"], name="recommendation_due", condition=models.Q(next_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_waiting(self) -> bool:
        return self.state in self.WAITING

    @property
    def is_under_way(self) -> bool:
        return self.state in self.UNDER_WAY and self.settled_at is None


class ActionPolicy(models.Model):
    """What S5 permits for one kind of act in one system. No row: a person decides each time."""

    class Mode(models.TextChoices):
        MANUAL = "manual", _("A person decides")
        AUTO = "auto", _("By itself, within limits")
        NEVER = "never", _("Nobody")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="action_policies")
    kind = models.CharField(max_length=40)
    mode = models.CharField(max_length=6, choices=Mode.choices, default=Mode.MANUAL)
    limits = models.JSONField(default=dict, blank=True)
    set_by = models.CharField(max_length=150)
    set_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("permission to act")
        verbose_name_plural = _("permissions to act")
        ordering = ["system", "kind"]
        constraints = [models.UniqueConstraint(fields=["system", "kind"], name="one_policy_per_act")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.mode}"


class Hold(models.Model):
    """A subject that is left alone after corrections failed again and again, until a person lets it go."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="holds")
    subject = models.CharField(max_length=300)
    since = models.DateTimeField()
    failures = models.PositiveIntegerField()
    reason = models.CharField(max_length=500)
    detail = models.CharField(max_length=500, blank=True)  # what was undone, and what could not be
    undone_at = models.DateTimeField(null=True, blank=True, editable=False)
    signal_id = models.CharField(max_length=64, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name = _("subject on hold")
        verbose_name_plural = _("subjects on hold")
        ordering = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["system", "subject"], condition=models.Q(released_at=None), name="one_hold_per_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} is held"
