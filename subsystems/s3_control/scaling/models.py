"""How fleets are scaled, and what was decided."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.scaling.deciding import Terms

_count = [MinValueValidator(0), MaxValueValidator(10_000)]
_share = [MinValueValidator(0.0), MaxValueValidator(1.0)]
_seconds = [MinValueValidator(1.0), MaxValueValidator(86_400.0)]
_positive = [MinValueValidator(0.001), MaxValueValidator(1e9)]


class ScalingPolicy(models.Model):
    """How the readers of one queue are scaled. A slot is one task at a time: a process of a pool, a thread."""

    class Mode(models.TextChoices):
        ADVISE = "advise", _("Advise: a person decides")
        AUTO = "auto", _("By itself, within what S5 permits")

    class Means(models.TextChoices):
        POOLS = "pools", _("Pools where they can grow, else workers")
        WORKERS = "workers", _("Whole workers")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="scaling_policies")
    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="scaling_policies")
    queue = models.CharField(max_length=200, help_text=_("Its readers are scaled"))
    role = models.CharField(max_length=200, blank=True, help_text=_("Only readers of this role; empty for all"))
    enabled = models.BooleanField(default=True)
    mode = models.CharField(max_length=6, choices=Mode.choices, default=Mode.ADVISE)
    means = models.CharField("by", max_length=7, choices=Means.choices, default=Means.POOLS)
    least = models.PositiveIntegerField("fewest slots", default=2, validators=_count)
    most = models.PositiveIntegerField("most slots", default=20, validators=[MinValueValidator(1), *_count])
    safe = models.PositiveIntegerField(
        "safe size",
        null=True,
        blank=True,
        validators=_count,
        help_text=_("Advised when nothing is measured; empty: hold"),
    )
    out_cooldown_seconds = models.FloatField("cooldown after more (s)", default=300.0, validators=_seconds)
    in_cooldown_seconds = models.FloatField("cooldown after fewer (s)", default=300.0, validators=_seconds)
    window_seconds = models.FloatField("window for more (s)", default=300.0, validators=_seconds)
    in_window_seconds = models.FloatField("window for fewer (s)", default=600.0, validators=_seconds)
    out_at = models.FloatField("more at a load of", default=0.9, validators=_share)
    in_at = models.FloatField("fewer at a load of", default=0.3, validators=_share)
    depth_per_slot = models.FloatField("messages for each slot", null=True, blank=True, validators=_positive)
    oldest_seconds = models.FloatField("oldest waits (s)", null=True, blank=True, validators=_positive)
    drain_seconds = models.FloatField("time to drain (s)", null=True, blank=True, validators=_positive)
    response_ms = models.FloatField("p95 of waiting (ms)", null=True, blank=True, default=1000.0, validators=_positive)
    pain_signals = models.PositiveIntegerField("pain signals in 5 minutes", null=True, blank=True, default=10)
    size = models.PositiveIntegerField(null=True, editable=False)
    desired = models.PositiveIntegerField(null=True, editable=False)
    why = models.CharField(max_length=500, blank=True, editable=False)
    drivers = models.JSONField(default=list, editable=False)
    looked_at = models.DateTimeField(null=True, editable=False)
    idle_since = models.DateTimeField(null=True, editable=False)  # fewer would have done from then on, without a break

    class Meta:
        verbose_name = _("scaling policy")
        verbose_name_plural = _("scaling policies")
        ordering = ["fleet__name", "queue", "role"]
        constraints = [models.UniqueConstraint(fields=["fleet", "queue", "role"], name="one_scaling_policy")]

    def __str__(self) -> str:
        return f"{self.fleet}/{self.queue}"

    @property
    def subject(self) -> str:
        return f"{self.fleet.name}/{self.queue}"

    @property
    def terms(self) -> Terms:
        """Return the policy as the decision takes it."""
        return Terms(**{name: getattr(self, name) for name in Terms.__slots__})
