"""What was told of operations, what is known of each, and how varied it all is. No row is made per operation."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.telemetry.requisite import Bands
from subsystems.variety.rules import Rules, check, ranges_of

_positive = [MinValueValidator(0.0)]


class Batch(models.Model):
    """What one replica (a process, an application) says of a few seconds; it waits here to be merged.

    Whoever says the same again finds its number taken. Operations are merged first, states with the next measurement,
    and then the row goes.
    """

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    replica = models.CharField(max_length=100)
    number = models.BigIntegerField()
    at = models.FloatField(help_text=_("When it was written, epoch seconds"))
    merged = models.BooleanField(default=False)
    body = models.BinaryField()

    class Meta:
        verbose_name = _("batch of operations")
        verbose_name_plural = _("batches of operations")
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["system", "replica", "number"], name="batch_once")]
        indexes = [models.Index(fields=["merged", "id"], name="batch_to_merge")]

    def __str__(self) -> str:
        return f"{self.replica} {self.number}"


class Operation(models.Model):
    """All that is known of one operation of one unit, from every process that carries it out.

    The unit goes by its name, which is also the source of its series: operations outlive the row of their unit.
    """

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="operations")
    unit = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    counts = models.JSONField(default=dict)  # count, success and slow as counters that replicas add to
    recorder = models.BinaryField()  # durations, the last minutes, the last errors
    count = models.BigIntegerField(default=0)
    success = models.BigIntegerField(default=0)
    slow = models.BigIntegerField(default=0)
    total_ms = models.FloatField(default=0.0)
    p50 = models.FloatField(null=True)
    p95 = models.FloatField(null=True)
    p99 = models.FloatField(null=True)
    max = models.FloatField(null=True)
    expected_ms = models.FloatField(
        null=True, blank=True, validators=_positive, help_text=_("Twice as long hurts; empty: documented or learnt")
    )
    last_at = models.FloatField(help_text=_("When one last ended, epoch seconds"))
    slow_at = models.FloatField(null=True, help_text=_("When one was last told to be far too slow"))

    class Meta:
        ordering = ["unit", "name"]
        constraints = [models.UniqueConstraint(fields=["system", "unit", "name"], name="operation_once")]
        indexes = [models.Index(fields=["last_at"], name="operation_by_age")]

    def __str__(self) -> str:
        return f"{self.unit} {self.name}"


class Subject(models.Model):
    """The windows of what varies in a system as a whole: its environment, what it does, how that ends, S2 to S5."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=20)
    state = models.BinaryField()

    class Meta:
        verbose_name = _("subject of variety")
        verbose_name_plural = _("subjects of variety")
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="subject_once")]

    def __str__(self) -> str:
        return f"{self.system} {self.name}"


class UnitVariety(models.Model):
    """The three-way panel of one unit, and the windows that it is made from."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    unit = models.CharField(max_length=200)
    state = models.BinaryField()
    body = models.BinaryField(help_text=_("The panel as it is shown, packed"))
    at = models.FloatField(help_text=_("The end of its window, epoch seconds"))
    best_rate = models.FloatField(default=0.0, help_text=_("The highest rate of five minutes, operations a second"))
    capability = models.FloatField(null=True, blank=True, validators=_positive, help_text=_("Operations a second"))
    potentiality = models.FloatField(null=True, blank=True, validators=_positive, help_text=_("Operations a second"))

    class Meta:
        verbose_name = _("variety of a unit")
        verbose_name_plural = _("varieties of units")
        ordering = ["unit"]
        constraints = [models.UniqueConstraint(fields=["system", "unit"], name="unit_variety_once")]

    def __str__(self) -> str:
        return self.unit


class Reading(models.Model):
    """The variety of one system in one slot. The figures are kept for a week, all the rest for an hour."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="variety_readings")
    slot = models.BigIntegerField()
    at = models.FloatField(help_text=_("The end of its windows, epoch seconds"))
    figures = models.JSONField(default=dict)
    body = models.BinaryField(null=True)

    class Meta:
        verbose_name = _("variety reading")
        verbose_name_plural = _("variety readings")
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["system", "slot"], name="one_reading_per_slot")]

    def __str__(self) -> str:
        return f"{self.system} {self.slot}"


class VarietyPolicy(models.Model):
    """What one system's variety is judged by (requirements 000-25, 000-26, 3.2)."""

    system = models.OneToOneField(System, on_delete=models.CASCADE, related_name="variety_policy")
    critical_below = models.FloatField(
        default=0.8,
        validators=_positive,
        help_text=_("A ratio of what can be answered to what may come, below which it is critical"),
    )
    sufficient_from = models.FloatField(
        default=1.0, validators=_positive, help_text=_("From this ratio on it is sufficient")
    )
    excess_above = models.FloatField(
        default=1.5, validators=_positive, help_text=_("Above this ratio more is held ready than is needed")
    )
    buffer_bits = models.FloatField(default=0.0, validators=_positive, help_text=_("What queues and reserves absorb"))
    goal_bits = models.FloatField(default=0.0, validators=_positive, help_text=_("Variety of outcomes that is allowed"))
    ranges = models.JSONField(
        default=dict,
        blank=True,
        help_text=_('Bits of S1 to S5 that differ from what is documented: {"s1": [2.0, 4.0]}'),
    )

    class Meta:
        verbose_name_plural = _("variety policies")

    def clean(self) -> None:
        """Refuse bands and ranges that cannot be."""
        try:
            check(self.rules())
        except Invalid as refused:
            raise ValidationError({refused.field or "ranges": refused.detail}) from refused

    def rules(self) -> Rules:
        """Return what is judged by. Raises Invalid for ranges that are none."""
        bands = Bands(self.critical_below, self.sufficient_from, self.excess_above)
        return Rules(bands, self.buffer_bits, self.goal_bits, ranges_of(self.ranges))

    def __str__(self) -> str:
        return f"variety policy of {self.system}"


class EventCursor(models.Model):
    """How far the event log was read for the states of S2 to S5: one row."""

    position = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = verbose_name_plural = _("place in the event log")

    def __str__(self) -> str:
        return f"events up to {self.position}"
