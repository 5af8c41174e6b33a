"""What happened, for good: events waiting for their place in the chain, and the chain."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def no_hash() -> bytes:
    """Return what the first event follows."""
    return bytes(32)


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


class ChainHead(models.Model):
    """The end of the chain, one row. Whoever holds its lock is the only sealer."""

    position = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=32, default=no_hash)
    sequences = models.JSONField(default=dict, help_text=_("The last sequence of each stream"))
    checkpoint_position = models.BigIntegerField(default=0)
    checkpoint_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = verbose_name_plural = _("end of the chain")

    def __str__(self) -> str:
        return f"head at {self.position}"


class EventCheckpoint(models.Model):
    """The hash of one event, signed with a key that is not in the database; never changed, never deleted."""

    position = models.BigIntegerField(primary_key=True)
    hash = models.BinaryField(max_length=32)
    signature = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-position"]

    def __str__(self) -> str:
        return f"checkpoint at {self.position}"


class HandlerPosition(models.Model):
    """How far one event handler has come; moved in the transaction of its effect."""

    name = models.CharField(max_length=80, primary_key=True)
    position = models.BigIntegerField(default=0, help_text=_("The last event it has dealt with"))
    failures = models.PositiveIntegerField(default=0, help_text=_("In a row, at the event after its position"))
    last_error = models.TextField(blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    replay_seen_at = models.DateTimeField(null=True, blank=True, help_text=_("Set while a replay is at work"))
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("position of a handler")
        verbose_name_plural = _("positions of handlers")
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class EventCount(models.Model):
    """Read model: how many events of a type a system's stream got within five minutes."""

    system_id = models.BigIntegerField(default=0, help_text="0 for what is of no system")
    stream = models.CharField(max_length=40)
    type = models.CharField(max_length=80)
    at = models.DateTimeField(help_text="The start of the five minutes")
    count = models.BigIntegerField()

    class Meta:
        ordering = ["-at", "stream", "type"]
        constraints = [models.UniqueConstraint(fields=["system_id", "at", "stream", "type"], name="event_count_once")]

    def __str__(self) -> str:
        return f"{self.stream} {self.type} {self.at:%Y-%m-%d %H:%M}"
