"""What S2 knows of schedules beyond their times: policies, every run, which beat leads. And the dampers of acts."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_celery_beat.models import PeriodicTask

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.s2_coordination import dampers
from subsystems.s2_coordination.dampers import DampingTerms, Past, Verdict, Wish
from subsystems.s2_coordination.monitor.models import CoordinationFinding, CoordinationReading, TenantShare
from subsystems.s2_coordination.policies import CatchUp, Overlap, Terms

# Models of a package within the room: Django finds what this module names.
__all__ = ["CoordinationFinding", "CoordinationReading", "TenantShare"]


class Schedule(models.Model):
    """What the platform adds to one of django-celery-beat's periodic tasks."""

    task = models.OneToOneField(PeriodicTask, on_delete=models.CASCADE, related_name="steward")
    overlap = models.CharField(
        max_length=5,
        choices=[(each.value, each.value) for each in Overlap],
        default=Overlap.SKIP.value,
        help_text=_("What is done when a run is due and the one before it still goes"),
    )
    catch_up = models.CharField(
        max_length=6,
        choices=[(each.value, each.value) for each in CatchUp],
        default=CatchUp.LATEST.value,
        help_text=_("Which of the times that an outage made it miss are run afterwards"),
    )
    catch_up_limit = models.PositiveSmallIntegerField(
        default=10, validators=[MaxValueValidator(1000)], help_text=_("With catch-up of all: at most so many")
    )
    grace_seconds = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(5), MaxValueValidator(7 * 86_400)],
        help_text=_("A run that has not begun so long after it was due raises pain"),
    )
    longest_run_seconds = models.PositiveIntegerField(
        default=3600,
        validators=[MinValueValidator(1), MaxValueValidator(30 * 86_400)],
        help_text=_("A run that has not ended so long after it was sent is taken for lost, and holds up no other"),
    )
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(null=True, blank=True, editable=False)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    pause_reason = models.CharField(max_length=200, blank=True, editable=False)
    anchor_at = models.DateTimeField(editable=False, help_text=_("Intervals count from here"))
    decided_until = models.DateTimeField(editable=False, help_text=_("About every due time up to here it is decided"))
    next_due_at = models.DateTimeField(null=True, blank=True, editable=False, db_index=True)
    enabled_seen = models.BooleanField(default=False, editable=False)
    problem = models.CharField(max_length=200, blank=True, editable=False, help_text=_("Why it cannot run"))

    class Meta:
        verbose_name = _("schedule policy")
        verbose_name_plural = _("schedule policies")
        ordering = ["task__name"]

    def __str__(self) -> str:
        return str(self.task.name)

    @property
    def terms(self) -> Terms:
        return Terms(CatchUp(self.catch_up), self.catch_up_limit, self.paused_at, self.paused_until, self.task.expires)


class ScheduleRun(models.Model):
    """One due time of one schedule and what became of it. There is one row for each: that is the claim."""

    class State(models.TextChoices):
        DUE = "due", _("Due: to be sent")
        WAITING = "waiting", _("Waiting for the run before it")
        SENT = "sent", _("Sent: no worker has begun")
        RUNNING = "running", _("Running")
        RETRYING = "retrying", _("Retrying")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        SKIPPED = "skipped", _("Skipped")
        EXPIRED = "expired", _("Expired: no worker began in time")
        LOST = "lost", _("Lost: no end was seen")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # also the Celery task's
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="runs")
    due_at = models.DateTimeField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.DUE)
    reason = models.CharField(max_length=20, blank=True)  # why it was skipped: paused, overlap, outage, expired
    note = models.CharField(max_length=200, blank=True)
    late = models.BooleanField(default=False, help_text=_("Caught up on after an outage"))
    epoch = models.BigIntegerField(default=0, help_text=_("The reign of the beat that decided"))
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

    class Meta:
        verbose_name = verbose_name_plural = _("lease of the leading beat")

    def __str__(self) -> str:
        return f"{self.holder} (epoch {self.epoch})"


class BeatProcess(models.Model):
    """A beat that runs, leading or standing by."""

    name = models.CharField(max_length=120, unique=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = _("beat process")
        verbose_name_plural = _("beat processes")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class DampingRules(models.Model):
    """How one system's acts are damped, or that they are not; a system without a row has the defaults."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="damping_rules")
    enabled = models.BooleanField(default=True, help_text=_("Off: only two writers at once are still kept apart"))
    relief_seconds = models.FloatField(
        default=0.0, help_text=_("So long what adds waits after something was taken away; doubled by each reversal")
    )
    longest_relief_seconds = models.FloatField(
        default=60.0, help_text=_("However often it is doubled, it waits no longer")
    )
    retreat_seconds = models.FloatField(
        default=300.0,
        help_text=_(
            "So long what was added must not have been needed before it is taken away; doubled by each reversal"
        ),
    )
    longest_retreat_seconds = models.FloatField(
        default=7200.0, help_text=_("However often it is doubled, it waits no longer")
    )
    factor = models.FloatField(default=2.0, help_text=_("By how much each reversal lengthens the wait"))
    calm_seconds = models.FloatField(
        default=3600.0, help_text=_("After so long without unrest one reversal is forgotten")
    )
    lease_seconds = models.FloatField(default=60.0, help_text=_("So long a subject belongs to who was cleared"))
    most_extra = models.FloatField(
        default=1.5,
        help_text=_("The price: where more than so many times what is needed stands idle, only the first wait holds"),
    )

    NUMBERS = (
        "relief_seconds", "longest_relief_seconds", "retreat_seconds", "longest_retreat_seconds", "factor",
        "calm_seconds", "lease_seconds", "most_extra",
    )  # fmt: skip

    class Meta:
        verbose_name_plural = _("damping rules")

    def __str__(self) -> str:
        return f"{self.system}: {'on' if self.enabled else 'off'}"

    @property
    def terms(self) -> DampingTerms:
        return DampingTerms(self.enabled, **{name: getattr(self, name) for name in self.NUMBERS})

    def clean(self) -> None:
        """Refuse numbers that cannot be, beside their field."""
        try:
            self.check_sane()
        except Invalid as refused:
            raise ValidationError({refused.field: refused.detail}) from refused

    def check_sane(self) -> None:
        """Raise Invalid naming the field unless every number can be used."""
        for name in self.NUMBERS:
            value = getattr(self, name)
            least = 1.0 if name in ("factor", "calm_seconds", "lease_seconds") else 0.0
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 7 * 86_400:
                raise Invalid(f"A number from {least:g} to {7 * 86_400}.", field=name)


class Damper(models.Model):
    """What was done to one subject, who acts on it now, and until when it is held. *epoch* fences every change."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, db_index=False, related_name="dampers")
    subject = models.CharField(max_length=200)
    direction = models.SmallIntegerField(default=0)
    acted_at = models.DateTimeField(null=True)
    reversals = models.PositiveSmallIntegerField(default=0)
    unrest_at = models.DateTimeField(null=True)
    idle_since = models.DateTimeField(null=True)
    returns_seconds = models.FloatField(default=0.0)  # so long after it was needed last it was wanted back, at most
    period_seconds = models.FloatField(null=True)  # of the demand, as the monitor sees it
    period_at = models.DateTimeField(null=True)
    token = models.CharField(max_length=32, blank=True)
    leased_to = models.CharField(max_length=100, blank=True)
    leased_until = models.DateTimeField(null=True)
    held_since = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    held_why = models.CharField(max_length=300, blank=True)
    asked_at = models.DateTimeField(null=True)
    epoch = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["subject"]
        constraints = [models.UniqueConstraint(fields=["system", "subject"], name="one_damper_per_subject")]

    def __str__(self) -> str:
        return self.subject

    @property
    def past(self) -> Past:
        return Past(
            self.direction, self.acted_at, self.reversals, self.unrest_at,
            self.leased_to, self.leased_until, self.held_until, self.held_why,
            self.idle_since, self.returns_seconds, self.period_seconds, self.period_at,
        )  # fmt: skip

    def let_go_since(self, moment: datetime) -> bool:
        """Return whether a person let it go since then: S2 does not know better than who looked."""
        return self.held_until is None and self.held_since is not None and self.held_since >= moment

    def in_force(self, terms: DampingTerms, *, now: datetime) -> bool:
        """Return whether a reversal of the last act, or what takes away, would be refused now."""
        return any(not verdict.allowed for verdict in self.verdicts(terms, now=now).values())

    def verdicts(self, terms: DampingTerms, *, now: datetime) -> dict[int, Verdict]:
        """Return what would be said to an act in either direction, whoever acts on it now."""
        free = replace(self.past, leased_until=None)
        return {way: dampers.decide(free, terms, Wish(way, self.idle_since), now=now) for way in (1, -1)}


class Clearing(models.Model):
    """What somebody wanted to do to a subject, and what S2 said; asked again and again in vain, it is one row."""

    damper = models.ForeignKey(Damper, on_delete=models.CASCADE, db_index=False, related_name="clearings")
    writer = models.CharField(max_length=100, blank=True)
    direction = models.SmallIntegerField()
    code = models.CharField(max_length=10)  # dampers.Code
    reason = models.CharField(max_length=300, blank=True)
    held_by = models.CharField(max_length=100, blank=True)  # the writer that had the subject
    asked_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)
    times = models.PositiveIntegerField(default=1)
    retry_at = models.DateTimeField(null=True)
    reversal = models.BooleanField(default=False)
    token = models.CharField(max_length=32, blank=True)
    told = models.BooleanField(default=False)  # done without having been asked for
    done = models.BooleanField(null=True)  # null where nobody said
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("clearance")
        verbose_name_plural = _("clearances")
        ordering = ["-pk"]
        indexes = [models.Index(fields=["damper", "-last_at"], name="clearing_of_damper")]

    def __str__(self) -> str:
        return f"{self.damper_id} {self.direction:+d} {self.code}"
