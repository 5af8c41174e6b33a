"""What happened, for good: events waiting for their place in the chain, and the chain."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class EventFields(models.Model):
    """What an event says. *data* is canonical JSON text, kept byte for byte because its hash is."""

    stream = models.CharField(max_length=40)
    type = models.CharField(max_length=80)
    version = models.PositiveSmallIntegerField(default=1)
    system_id = models.BigIntegerField(null=True, blank=True)  # no foreign key: an event outlives its system
    data = models.TextField(default="{}")
    message_id = models.CharField(max_length=64, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True


class PendingEvent(EventFields):
    """An event in the transaction of what it tells; the sealer gives it its place."""

    number = models.BigAutoField(primary_key=True)

    def __str__(self) -> str:
        return f"{self.type} (not sealed yet)"


class Event(EventFields):
    """A sealed event: never changed, never deleted; the database refuses both."""

    position = models.BigIntegerField(primary_key=True)  # global, from 1, without gaps
    sequence = models.BigIntegerField()  # within its stream, from 1, without gaps
    hash = models.BinaryField(max_length=32)  # SHA-256 over the hash before it and every other field

    class Meta:
        ordering = ["-position"]
        constraints = [models.UniqueConstraint(fields=["stream", "sequence"], name="event_once_per_sequence")]
        indexes = [
            models.Index(fields=["correlation_id"], name="event_correlation", condition=~models.Q(correlation_id="")),
            models.Index(fields=["message_id"], name="event_message", condition=~models.Q(message_id="")),
            models.Index(fields=["system_id", "position"], name="event_system"),
            models.Index(fields=["type", "position"], name="event_type"),
        ]

    def __str__(self) -> str:
        return f"{self.position} {self.type}"
