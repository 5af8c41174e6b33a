"""What S4 foretells of each series, what it found unusual or going somewhere, the sources it scans, its patterns."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s4_intelligence.patterns.models import (
    Pattern,
    PatternCell,
    PatternDetection,
    PatternEngine,
    PatternInput,
)
from subsystems.telemetry.models import Series

# Models of a package within the room: Django finds what this module names.
__all__ = [
    "Finding",
    "Forecast",
    "Pattern",
    "PatternCell",
    "PatternDetection",
    "PatternEngine",
    "PatternInput",
    "Source",
    "Threat",
]  # fmt: skip


class Forecast(models.Model):
    """The newest forecast of one series over one span, and how earlier ones fared once their future had come.

    *held_body* is the forecast that waits for its whole span to pass; then it is compared with what came, and the
    newest takes its place. So each value is judged once, by a forecast that could not know it.
    """

    class Span(models.TextChoices):
        HOUR = "hour", _("Hour")
        DAYS = "days", _("Days")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="forecasts")
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="forecasts")
    span = models.CharField(max_length=4, choices=Span.choices)
    slot = models.BigIntegerField(help_text=_("Epoch seconds up to which the past was known"))
    step_seconds = models.IntegerField()
    used = models.CharField(max_length=10, help_text=_("ensemble, or naive where nothing was better than that"))
    best = models.CharField(max_length=30, help_text=_("The member of the ensemble that weighs most"))
    skill = models.FloatField(null=True, help_text=_("1 - error / error of naive, over the back-test; of the ensemble"))
    error = models.FloatField(null=True)
    naive_error = models.FloatField(null=True)
    compared = models.IntegerField(default=0)
    body = models.BinaryField()

    held_slot = models.BigIntegerField(null=True)
    held_body = models.BinaryField(null=True)
    held_from = models.FloatField(null=True, help_text=_("The last value before it: what naive would have said"))
    judged = models.IntegerField(default=0, help_text=_("Values that came and were compared"))
    judged_error = models.FloatField(default=0.0)
    judged_naive_error = models.FloatField(default=0.0)
    judged_in80 = models.IntegerField(default=0)
    judged_in95 = models.IntegerField(default=0)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["series", "span"], name="one_forecast_per_span")]
        indexes = [models.Index(fields=["system", "span"], name="forecast_by_system")]

    def __str__(self) -> str:
        return f"{self.series} over {self.span}"


class Finding(models.Model):
    """Something unusual, or a trend that is hardly chance: from when until when, and how strong at its height."""

    class Kind(models.TextChoices):
        ANOMALY = "anomaly", _("Anomaly")
        TREND = "trend", _("Trend")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="intelligence_findings")
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="intelligence_findings")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    name = models.CharField(max_length=12, help_text=_("The detector; of a trend its window"))
    started_at = models.BigIntegerField(help_text=_("Epoch seconds"))
    last_at = models.BigIntegerField()
    ended_at = models.BigIntegerField(null=True, blank=True)
    score = models.FloatField(help_text=_("Deviations at the height; of a trend its change over the window"))
    value = models.FloatField()
    usual = models.FloatField(help_text=_("The median of its past"))
    p = models.FloatField(null=True, help_text=_("Of a trend: how probable it would be by chance"))

    class Meta:
        verbose_name = _("anomaly or trend")
        verbose_name_plural = _("anomalies and trends")
        ordering = ["-started_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["series", "kind", "name"], condition=models.Q(ended_at=None), name="one_open_finding"
            )
        ]
        indexes = [models.Index(fields=["system", "ended_at", "-started_at"], name="finding_by_system")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.series}"


class Threat(models.Model):
    """Something that may go wrong, or be gained, as last seen; gone when it is no longer seen."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="threats")
    key = models.CharField(max_length=300)
    kind = models.CharField(max_length=12)
    subject = models.CharField(max_length=200)
    title = models.CharField(max_length=300)
    good = models.BooleanField(default=False, help_text=_("An opportunity"))
    chance = models.FloatField(null=True, help_text=_("0 to 1, from the spread of the forecast"))
    impact = models.FloatField(help_text=_("0 to 1, a judgement"))
    at = models.FloatField(null=True, help_text=_("When it is expected, epoch seconds; null: not within the forecast"))
    earliest = models.FloatField(null=True)
    latest = models.FloatField(null=True)
    advice = models.CharField(max_length=400, blank=True)
    recommendation = models.UUIDField(null=True, help_text=_("Id of what S3 was advised"))
    evidence = models.JSONField(default=dict)
    first_at = models.BigIntegerField()
    last_at = models.BigIntegerField()
    gone_at = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("threat or chance")
        verbose_name_plural = _("threats and chances")
        ordering = ["-last_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["system", "key"], name="one_threat_per_key")]

    def __str__(self) -> str:
        return self.title


class Source(models.Model):
    """Something outside that is looked at on schedule, and what was last seen of it. Times are epoch seconds."""

    class Kind(models.TextChoices):
        HTTP = "http", _("A page: its status, a number in its JSON, its certificate")
        METRIC = "metric", _("A metric: its newest value, and whether it is fresh")
        BROKER = "broker", _("A fleet's broker: whether it answers")
        DEPENDENCY = "dependency", _("What the platform itself stands on")

    class Better(models.TextChoices):
        HIGHER = "higher", _("A higher value is better")
        LOWER = "lower", _("A lower value is better")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="environment_sources")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    address = models.CharField(max_length=500, blank=True, help_text=_("A URL, a fleet's name, or a dependency"))
    metric = models.CharField(max_length=120, blank=True)
    metric_source = models.CharField(max_length=200, blank=True, help_text=_("Empty: whichever is newest"))
    pointer = models.CharField(max_length=200, blank=True, help_text=_("JSON pointer to a number"))
    expect_status = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(100), MaxValueValidator(599)]
    )
    better = models.CharField(
        max_length=6, blank=True, choices=Better.choices, help_text=_("Which values are good news; empty: none is")
    )
    every_seconds = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(30), MaxValueValidator(86_400)]
    )
    timeout_seconds = models.FloatField(default=5.0, validators=[MinValueValidator(0.1), MaxValueValidator(10.0)])
    enabled = models.BooleanField(default=True)

    last_scanned_at = models.BigIntegerField(null=True, editable=False)
    last_ok = models.BooleanField(null=True, editable=False)
    last_value = models.FloatField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text=_("One after the other"))
    certificate_days_left = models.FloatField(null=True, editable=False)
    turn = models.SmallIntegerField(
        null=True, editable=False, help_text=_("Since the scan before: 1 better, -1 worse, 0 neither; null: unknown")
    )
    next_due_at = models.BigIntegerField(editable=False)
    claim = models.UUIDField(null=True, editable=False, db_index=True, help_text=_("Of the round that took it last"))

    class Meta:
        verbose_name = _("source outside")
        verbose_name_plural = _("sources outside")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="one_source_per_name")]
        indexes = [models.Index(fields=["enabled", "next_due_at"], name="source_by_due")]

    def __str__(self) -> str:
        return self.name
