"""Runs that were triggered, acts of steering, and what holds until further notice."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit

# Models of a package within the room: Django finds what this module names.
__all__ = ["AuditRun", "Finding", "FleetAudit"]


class TaskRun(models.Model):
    """One triggered task from request to result."""

    class State(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, db_index=True)
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING, db_index=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    worker = models.CharField(max_length=200, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    done = models.PositiveIntegerField(null=True, blank=True, help_text="How far it has come, if it says so")
    total = models.PositiveIntegerField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True, editable=False)  # when it last said so
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class Action(models.Model):
    """One act of steering: who did what to what, why, and what came of it. The database keeps it from being changed.

    Whatever is said at the start (who, what, target, why, dry run) stays as it is, an end stays an end, and no row is
    deleted. Each change of state is an event of the log, too.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", "Proposed"
        APPLYING = "applying", "Being applied"
        APPLIED = "applied", "Applied, not confirmed by everybody"
        VERIFIED = "verified", "Verified"
        FAILED = "failed", "Failed"
        REHEARSED = "rehearsed", "Rehearsed: nothing was done"

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
        PENDING = "pending"
        SENDING = "sending"  # claimed: whoever finds it so later cannot know whether it was sent
        DONE = "done"
        FAILED = "failed"
        UNCERTAIN = "uncertain"

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="items")
    key = models.CharField(max_length=155)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    result = models.CharField(max_length=300, blank=True)  # the new task's id, or why not

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["action", "key"], name="action_item_once")]
        indexes = [models.Index(fields=["action", "state", "id"], name="action_item_state")]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"


class StandingOrder(models.Model):
    """What holds until further notice, also for workers that come later: a revoke, a limit, a pause."""

    class Kind(models.TextChoices):
        REVOKE = "revoke"
        RATE_LIMIT = "rate_limit"
        PAUSE = "pause"

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


class Confirmation(models.Model):
    """A worker said that it holds a standing order. One that started later than *at* knows nothing of it."""

    order = models.ForeignKey(StandingOrder, on_delete=models.CASCADE, related_name="confirmations")
    node = models.CharField(max_length=200)
    at = models.DateTimeField()
    value = models.CharField(max_length=40, blank=True)  # its share of a limit
    former = models.CharField(max_length=40, blank=True)  # what it held before the order, to give back

    class Meta:
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


class SteeringRule(models.Model):
    """Leaves some acts in a system to the members of a group, beyond the scope `operate`."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="steering_rules")
    kind = models.CharField(max_length=40, default="*", help_text="Kind of act, with * and ?: queue.purge, worker.*")
    target = models.CharField(max_length=200, default="*", help_text="Task, worker or queue, with * and ?")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering = ["system", "kind", "target"]

    def __str__(self) -> str:
        return f"{self.kind} on {self.target} for {self.group}"
