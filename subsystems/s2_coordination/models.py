"""What S2 knows of schedules beyond their times: policies, every run, and which beat leads."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from subsystems.s2_coordination.policies import CatchUp, Overlap, Terms


class Schedule(models.Model):
    """What the platform adds to one of django-celery-beat's periodic tasks."""

    task = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="steward")
    overlap = models.CharField(
        max_length=5,
        choices=[(each.value, each.value) for each in Overlap],
        default=Overlap.SKIP.value,
        help_text="What is done when a run is due and the one before it still goes",
    )
    catch_up = models.CharField(
        max_length=6,
        choices=[(each.value, each.value) for each in CatchUp],
        default=CatchUp.LATEST.value,
        help_text="Which of the times that an outage made it miss are run afterwards",
    )
    catch_up_limit = models.PositiveSmallIntegerField(
        default=10, validators=[MaxValueValidator(1000)], help_text="With catch-up of all: at most so many"
    )
    grace_seconds = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(5), MaxValueValidator(7 * 86_400)],
        help_text="A run that has not begun so long after it was due raises pain",
    )
    longest_run_seconds = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1), MaxValueValidator(30 * 86_400)],
        help_text="A run that has not ended so long after it was sent is taken for lost, and holds up no other",
    )
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    pause_reason = models.CharField(max_length=200, blank=True, editable=False)
    anchor_at = models.DateTimeField(editable=False, help_text="Intervals count from here")
    decided_until = models.DateTimeField(editable=False, help_text="About every due time up to here it is decided")
    next_due_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    enabled_seen = models.BooleanField(default=False, editable=False)
    problem = models.CharField(max_length=200, blank=True, editable=False, help_text="Why it cannot run")

    class Meta:
        ordering = ["task__name"]

    def __str__(self) -> str:
        return str(self.task.name)

    @property
    def terms(self) -> Terms:
        return Terms(CatchUp(self.catch_up), self.catch_up_limit, self.paused_at, self.paused_until, self.task.expires)


class ScheduleRun(models.Model):
    """One due time of one schedule and what became of it. There is one row for each: that is the claim."""

    class State(models.TextChoices):
        DUE = "due", "Due: to be sent"
        WAITING = "waiting", "Waiting for the run before it"
        SENT = "sent", "Sent: no worker has begun"
        RUNNING = "running"
        RETRYING = "retrying"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        SKIPPED = "skipped"
        EXPIRED = "expired", "Expired: no worker began in time"
        LOST = "lost", "Lost: no end was seen"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # also the Celery task's
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="runs")
    due_at = models.DateTimeField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.DUE)
    reason = models.CharField(max_length=20, blank=True)  # why it was skipped: paused, overlap, outage, expired
    note = models.CharField(max_length=200, blank=True)
    late = models.BooleanField(default=False, help_text="Caught up on after an outage")
    epoch = models.BigIntegerField(default=0, help_text="The reign of the beat that decided")
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=200, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-due_at"]
        constraints = [models.UniqueConstraint(fields=["schedule", "due_at"], name="schedule_runs_once")]
        indexes = [
            models.Index(
                fields=["state", "due_at"],
                name="schedule_runs_open",
                condition=Q(state__in=["due", "waiting", "sent", "running", "retrying"]),
            ),
            models.Index(fields=["due_at"], name="schedule_runs_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} {self.due_at:%Y-%m-%d %H:%M:%S} {self.state}"


BEGUN = (ScheduleRun.State.RUNNING, ScheduleRun.State.RETRYING)
UNSENT = (ScheduleRun.State.DUE, ScheduleRun.State.WAITING)
OPEN = (*UNSENT, ScheduleRun.State.SENT, *BEGUN)


class BeatLease(models.Model):
    """Which beat leads. Its one row is the fence: a beat that was paused finds another epoch there and
    sends nothing."""

    holder = models.CharField(max_length=120, blank=True)
    epoch = models.BigIntegerField(default=0)
    taken_at = models.DateTimeField(null=True)
    renewed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.holder} (epoch {self.epoch})"


class BeatProcess(models.Model):
    """A beat that runs, leading or standing by."""

    name = models.CharField(max_length=120, unique=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
