"""Units of S1 and the Celery fleets they come from."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.kernel.health import Health, band
from subsystems.recursion.models import System


class Fleet(models.Model):
    """The workers and queues of one Celery application on one broker."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="fleets")
    name = models.CharField(max_length=120)
    own = models.BooleanField(default=False, editable=False, help_text=_("The platform's own workers"))
    broker_url_sealed = models.TextField(blank=True, editable=False)  # encrypted: it carries a password
    broker_display = models.CharField(max_length=300, blank=True, editable=False)  # scheme, host and path only
    enabled = models.BooleanField(default=True, help_text=_("Off: nothing is asked of it and nobody is told of it"))
    connected_at = models.DateTimeField(null=True, blank=True, editable=False)  # last time the broker answered
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="fleet_name_per_system")]

    def __str__(self) -> str:
        return self.name


class Unit(models.Model):
    """An operational unit that is watched: a host, a Celery worker, a queue, an HTTP service, an agent."""

    class State(models.TextChoices):
        NEW = "new", _("New: nothing heard yet")
        ACTIVE = "active", _("Active")
        SILENT = "silent", _("Silent: was heard, is not heard now")
        PAUSED = "paused", _("Paused: not collected")
        GONE = "gone", _("Gone: left for good")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="units")
    fleet = models.ForeignKey(Fleet, null=True, blank=True, on_delete=models.CASCADE, related_name="units")
    kind = models.CharField(max_length=40, db_index=True)  # the adapter's name
    name = models.CharField(max_length=200)  # also the source of its series
    config = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.NEW, db_index=True)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    said_goodbye_at = models.DateTimeField(null=True, blank=True, editable=False)  # the last time it left properly
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    score = models.FloatField(null=True, blank=True, editable=False)  # 0-1, null is unknown
    health_parts = models.JSONField(default=dict, blank=True, editable=False)  # {"memory": 0.9, "queue": null, ...}
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["kind", "name"]
        constraints = [models.UniqueConstraint(fields=["system", "kind", "name"], name="unit_name_per_kind")]

    def __str__(self) -> str:
        return self.name

    @property
    def health(self) -> Health:
        return band(self.score)


class CollectionFailure(models.Model):
    """One unit that could not be collected in one slot (requirements 002-22)."""

    unit = models.ForeignKey(Unit, on_delete=models.CASCADE, related_name="collection_failures")
    slot = models.BigIntegerField()
    at = models.DateTimeField(default=timezone.now, db_index=True)
    error = models.CharField(max_length=40, default="collection_failed")
    details = models.CharField(max_length=300)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.unit} {self.error}"


class CollectionCycle(models.Model):
    """What one slot's collection saw (requirements 002-19)."""

    slot = models.BigIntegerField(unique=True)
    started_at = models.DateTimeField()
    duration_ms = models.FloatField(null=True)
    unit_count = models.PositiveIntegerField(default=0)
    answered_count = models.PositiveIntegerField(default=0)
    sample_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-slot"]

    def __str__(self) -> str:
        return f"cycle {self.slot}"
