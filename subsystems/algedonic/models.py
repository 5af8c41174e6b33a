"""Pain and pleasure: each signal, who heard it, what people did about it, and how well the lane carries them."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.algedonic import states
from subsystems.recursion.models import System

OPEN_STATES = [str(state) for state in states.OPEN]
_unit_interval = [MinValueValidator(0.0), MaxValueValidator(1.0)]


def new_signal_id() -> str:
    """Return 16 random bytes as 32 upper-case hexadecimal digits (requirements 000-33)."""
    return secrets.token_hex(16).upper()


class SignalPolicy(models.Model):
    """What one system feels, and how (000-63, 2-5, 2-6). A system without a row has the documented values."""

    class HighGoesTo(models.TextChoices):
        BOTH = "s4_and_s5", _("S4, and a copy to S5")
        S4 = "s4", _("S4 alone")
        S5 = "s5", _("S5 alone")

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="signal_policy")
    pain_threshold = models.FloatField(
        default=0.7, validators=_unit_interval, help_text=_("An intensity from 0 to 1 from which pain is felt")
    )
    pleasure_threshold = models.FloatField(
        default=0.8, validators=_unit_interval, help_text=_("An intensity from 0 to 1 from which pleasure is felt")
    )
    high_goes_to = models.CharField(
        max_length=10,
        choices=HighGoesTo.choices,
        default=HighGoesTo.BOTH,
        help_text=_("Who hears of signals of high severity"),
    )
    pattern_window_seconds = models.PositiveIntegerField(
        default=300,
        validators=[MinValueValidator(1), MaxValueValidator(86400)],
        help_text=_("Signals of one source and type are counted within this time"),
    )
    pattern_more_than = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("More than so many make a pattern"),
    )

    class Meta:
        verbose_name_plural = _("signal policies")

    def __str__(self) -> str:
        return f"signal policy of {self.system}"


class Signal(models.Model):
    """One algedonic signal. Identical critical ones are one row that counts them while it is open (2-28)."""

    class Type(models.TextChoices):
        PAIN = "pain", _("Pain")
        PLEASURE = "pleasure", _("Pleasure")

    class Severity(models.TextChoices):
        CRITICAL = "critical", _("Critical")
        HIGH = "high", _("High")
        MEDIUM = "medium", _("Medium")
        LOW = "low", _("Low")

    class State(models.TextChoices):
        RECEIVED = "received", _("Received")
        INVESTIGATING = "investigating", _("Investigating")
        RESPONDING = "responding", _("Responding")
        RESOLVED = "resolved", _("Resolved")
        FALSE_ALARM = "false_alarm", _("false alarm")

    id = models.CharField(primary_key=True, max_length=32, default=new_signal_id, editable=False)
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="signals")
    type = models.CharField(max_length=8, choices=Type.choices)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    intensity = models.FloatField(help_text=_("0 to 1"))
    source = models.CharField(max_length=200)
    origin = models.CharField(max_length=20, help_text=_("The party on whose behalf it was raised"))
    description = models.TextField(blank=True)
    data = models.JSONField(default=dict)
    fingerprint = models.CharField(max_length=64, editable=False)  # what makes two critical signals the same

    raised_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    received_at = models.DateTimeField(null=True, blank=True, help_text=_("When a first recipient recorded it"))
    counted = models.BooleanField(default=False, editable=False)  # in the tally, and looked at for patterns
    last_seen_at = models.DateTimeField(default=timezone.now)
    times_seen = models.PositiveIntegerField(default=1)
    suppressed_count = models.PositiveIntegerField(
        default=0, help_text=_("Signals of the same source and type that the rate limit refused since")
    )

    state = models.CharField(max_length=13, choices=State.choices, default=State.RECEIVED)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True, help_text=_("When somebody must have answered"))
    escalation_level = models.PositiveIntegerField(default=0)

    aggregate = models.BooleanField(default=False, help_text=_("Stands for a pattern of similar signals"))
    pattern_count = models.PositiveIntegerField(null=True, blank=True)
    child_signal = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="parent_signal",
        help_text=_("The signal of a child system that this one passes on"),
    )  # fmt: skip
    hop_count = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-raised_at", "-id"]
        indexes = [
            models.Index(fields=["-raised_at", "-id"], name="signal_newest"),
            models.Index(fields=["system", "-raised_at"], name="signal_of_system"),
            models.Index(fields=["system", "source", "type", "-raised_at"], name="signal_similar"),
            models.Index(
                fields=["fingerprint"], name="signal_open_twin", condition=models.Q(state__in=OPEN_STATES)
            ),
            models.Index(fields=["deadline_at"], name="signal_due", condition=models.Q(state="received")),
            models.Index(
                fields=["expires_at"], name="signal_unanswerable",
                condition=models.Q(state="received", deadline_at=None),
            ),
            models.Index(fields=["system"], name="signal_uncounted", condition=models.Q(counted=False)),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.severity} {self.type} from {self.source}"

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES


class SignalRoute(models.Model):
    """Who was told of a signal, at which level of escalation, and when they recorded it."""

    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="routes")
    party = models.CharField(max_length=20)
    level = models.PositiveIntegerField(default=0)
    told_at = models.DateTimeField()
    heard_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("party told of a signal")
        verbose_name_plural = _("parties told of signals")
        ordering = ["level", "pk"]
        constraints = [models.UniqueConstraint(fields=["signal", "party", "level"], name="told_once_per_level")]

    def __str__(self) -> str:
        return f"{self.party} at level {self.level}"


class SignalNote(models.Model):
    """One step in the life of a signal."""

    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="notes")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text=_("Empty: the platform itself"),
    )  # fmt: skip
    from_state = models.CharField(max_length=13, choices=Signal.State.choices)
    to_state = models.CharField(max_length=13, choices=Signal.State.choices)
    comment = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("step of a signal")
        verbose_name_plural = _("steps of signals")
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.from_state} to {self.to_state}"


class SignalPattern(models.Model):
    """What is remembered of one source and type: a few times, never a scan of what was raised."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=200)
    type = models.CharField(max_length=8, choices=Signal.Type.choices)
    recent = models.JSONField(default=list, help_text=_("The last times, epoch seconds"))
    fired_at = models.FloatField(null=True, blank=True)
    aggregate = models.ForeignKey(Signal, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    noted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["system", "source", "type"], name="one_pattern_per_source")]

    def __str__(self) -> str:
        return f"{self.type} from {self.source}"


class SignalTally(models.Model):
    """How many signals were recorded, ever: history is forgotten, a counter must not go back."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    type = models.CharField(max_length=8, choices=Signal.Type.choices)
    severity = models.CharField(max_length=8, choices=Signal.Severity.choices)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = _("signal tallies")
        constraints = [models.UniqueConstraint(fields=["system", "type", "severity"], name="one_tally_per_kind")]

    def __str__(self) -> str:
        return f"{self.count} {self.severity} {self.type}"


class CanaryRun(models.Model):
    """One test of the lane: a message like any other, and when it came through."""

    id = models.CharField(primary_key=True, max_length=32, default=new_signal_id, editable=False)
    sent_at = models.DateTimeField(db_index=True)
    received_at = models.DateTimeField(null=True, blank=True)
    latency_seconds = models.FloatField(null=True, blank=True)
    lost = models.BooleanField(default=False, help_text=_("Not through within 30 s"))

    class Meta:
        verbose_name = _("canary of the lane")
        verbose_name_plural = _("canaries of the lane")
        ordering = ["-sent_at"]

    def __str__(self) -> str:
        return f"canary of {self.sent_at:%Y-%m-%d %H:%M:%S}"


class Lane(models.Model):
    """The one row that says whether the lane has failed, and how many canaries were ever lost."""

    failing_since = models.DateTimeField(null=True, blank=True)
    signal = models.ForeignKey(Signal, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    lost_total = models.PositiveBigIntegerField(default=0)
    watched_at = models.DateTimeField(null=True, blank=True, help_text=_("When anybody last looked"))
    watching_since = models.DateTimeField(null=True, blank=True, help_text=_("Without a pause of more than 30 s"))

    class Meta:
        verbose_name = verbose_name_plural = _("state of the lane")

    def __str__(self) -> str:
        return "failing" if self.failing_since else "well"
