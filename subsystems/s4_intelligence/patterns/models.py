"""Event patterns, what was detected of them, and what the engine remembers between two batches of events."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System


class Pattern(models.Model):
    """A pattern as somebody wrote it. A new version begins with an empty memory."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="patterns")
    name = models.CharField(max_length=60)
    text = models.TextField(help_text=_("YAML or JSON"))
    description = models.CharField(max_length=1000, blank=True)
    names = models.JSONField(default=list, help_text=_("The events that it asks for"))
    origin = models.CharField(max_length=60, blank=True, help_text=_("The ready-made pattern that it was made from"))
    enabled = models.BooleanField(default=True, db_index=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="pattern_once_per_name")]

    def __str__(self) -> str:
        return self.name


class PatternDetection(models.Model):
    """One time that a pattern came near or held, of one key, from its beginning to its end."""

    class Level(models.IntegerChoices):
        WATCH = 1, _("Watch")
        WARN = 2, _("Warn")
        ACT = 3, _("Act")

    class Verdict(models.TextChoices):
        TRUE = "true", _("It was so")
        FALSE = "false", _("False alarm")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    pattern = models.ForeignKey(Pattern, on_delete=models.CASCADE, related_name="detections")
    version = models.PositiveIntegerField(help_text=_("Of the pattern"))
    key = models.CharField(max_length=200, blank=True)
    level = models.PositiveSmallIntegerField(choices=Level.choices)
    began_at = models.DateTimeField()
    acted_at = models.DateTimeField(null=True, blank=True, help_text=_("When it held in full, if it did"))
    last_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    share = models.FloatField(help_text=_("How much of what it asks for was there, 0 to 1"))
    confidence = models.FloatField()
    times = models.PositiveIntegerField(default=1, help_text=_("Events at which it was so"))
    evidence = models.JSONField(default=list, help_text=_("The events that made it"))
    consequences = models.JSONField(default=list, help_text=_("What its actions came to"))
    verdict = models.CharField(max_length=5, choices=Verdict.choices, blank=True)
    verdict_at = models.DateTimeField(null=True, blank=True)
    verdict_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    comment = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-began_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["pattern", "version", "key", "began_at"], name="pattern_detection_once")
        ]
        indexes = [
            models.Index(fields=["system", "-began_at"], name="pattern_detection_newest"),
            models.Index(fields=["pattern", "-began_at"], name="pattern_detection_of"),
        ]

    def __str__(self) -> str:
        return f"{self.pattern_id} {self.key} {self.began_at:%Y-%m-%d %H:%M:%S}"


class PatternEngine(models.Model):
    """What the engine of one system remembers beside its cells; written in the transaction that heard the events."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, primary_key=True, related_name="+")
    turn = models.BigIntegerField(default=0, help_text=_("Raised with each write: who has another one loads anew"))
    body = models.TextField(default="{}")
    seeded = models.BooleanField(default=False, help_text=_("The ready-made patterns were put to work here once"))
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("engine of patterns")
        verbose_name_plural = _("engines of patterns")

    def __str__(self) -> str:
        return f"Engine of {self.system_id}"


class PatternCell(models.Model):
    """What the engine remembers of one key of one pattern."""

    pattern = models.ForeignKey(Pattern, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    key = models.CharField(max_length=200, blank=True)
    touched_at = models.FloatField()
    body = models.TextField()

    class Meta:
        verbose_name = _("memory of a pattern")
        verbose_name_plural = _("memories of patterns")
        constraints = [models.UniqueConstraint(fields=["pattern", "key"], name="pattern_cell_once")]

    def __str__(self) -> str:
        return f"{self.pattern_id} {self.key}"


class PatternInput(models.Model):
    """An event that the log does not tell: it waits here to be heard, and stays for a day as evidence."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    at = models.FloatField(help_text=_("Epoch seconds"))
    type = models.CharField(max_length=80)
    data = models.TextField(default="{}")
    taken = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("event that waits for patterns")
        verbose_name_plural = _("events that wait for patterns")
        indexes = [
            models.Index(fields=["id"], name="pattern_input_waiting", condition=models.Q(taken=False)),
            models.Index(fields=["at"], name="pattern_input_at"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.at}"
