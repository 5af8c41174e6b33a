"""Checks, and what was heard of them."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator, URLValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System

YEAR = 366 * 86_400


class Check(models.Model):
    """A job that is to say that it ran. Whoever knows its address may say so."""

    class Status(models.TextChoices):
        NEW = "new", _("never heard of")
        UP = "up", _("Up")
        DOWN = "down", _("Down")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="checks")
    name = models.CharField(max_length=120)
    address = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    every_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(10), MaxValueValidator(YEAR)],
        help_text=_("How long it may take from one success to the next"),
    )  # fmt: skip
    crontab = models.CharField(max_length=320, blank=True, help_text=_("Or when it is due: 30 2 * * 1-5"))
    time_zone = models.CharField(max_length=60, default="UTC", help_text=_("Of the crontab"))
    grace_seconds = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(10), MaxValueValidator(YEAR)],
        help_text=_("How late it may be, and how long one run may take"),
    )  # fmt: skip
    severity = models.CharField(max_length=8, default="critical")
    tags = models.JSONField(default=list, blank=True, help_text=_("Words, or name=value, which become labels"))
    enabled = models.BooleanField(default=True)
    status = models.CharField(max_length=4, choices=Status.choices, default=Status.NEW, editable=False)
    reason = models.CharField(max_length=80, blank=True, editable=False)  # why it is down
    changed_at = models.DateTimeField(default=timezone.now, editable=False)  # when its status did
    pinged_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)  # of the run that goes on
    duration_seconds = models.FloatField(null=True, editable=False)  # of the last run whose start was told
    expected_at = models.DateTimeField(null=True, editable=False)
    down_at = models.DateTimeField(null=True, editable=False)  # unless something is heard before
    pings = models.PositiveBigIntegerField(default=0, editable=False)  # so many were heard
    unsettled = models.BooleanField(default=False, editable=False)  # its alert does not say yet what its status says
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="check_name_per_system")]
        indexes = [
            models.Index(
                fields=["down_at"], condition=models.Q(enabled=True, status__in=["new", "up"]), name="check_due"
            ),
            models.Index(fields=["id"], condition=models.Q(unsettled=True), name="check_unsettled"),
        ]

    def __str__(self) -> str:
        return self.name


class Ping(models.Model):
    """One thing that was heard of a check; *missed* is what was not."""

    class Kind(models.TextChoices):
        SUCCESS = "success", _("Success")
        START = "start", _("started")
        FAIL = "fail", _("failed")
        LOG = "log", _("said")
        MISSED = "missed", _("not heard")

    of = models.ForeignKey(Check, on_delete=models.CASCADE, related_name="history")
    number = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=7, choices=Kind.choices)
    exit_code = models.PositiveSmallIntegerField(null=True)
    at = models.DateTimeField()
    duration_seconds = models.FloatField(null=True)
    method = models.CharField(max_length=4, blank=True)
    remote = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    body = models.TextField(blank=True)  # with its secrets hidden, 10 KB at most

    class Meta:
        verbose_name = _("ping of a check")
        verbose_name_plural = _("pings of checks")
        ordering = ["-at", "-pk"]
        indexes = [
            models.Index(fields=["of", "-at"], name="ping_of_check"),
            models.Index(fields=["at"], name="ping_at"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of check {self.of_id}"


class Heartbeat(models.Model):
    """The platform's own sign of life to an address outside; one row."""

    url = models.CharField(
        max_length=500, blank=True, verbose_name=_("address"), validators=[URLValidator(["http", "https"])],
        help_text=_("Asked each minute while the platform works; empty for what VSM_HEARTBEAT_URL says"),
    )  # fmt: skip
    tried_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)  # in a row
    failures_total = models.PositiveBigIntegerField(default=0, editable=False)
    withheld_total = models.PositiveBigIntegerField(default=0, editable=False)  # the platform did not work
    last_error = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = _("heartbeat of the platform")

    def __str__(self) -> str:
        return "heartbeat"
