"""Facts on their way (the outbox), what receivers have already heard (the inbox), and which slots were claimed."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class OutboxMessage(models.Model):
    """One fact for its subscribers, written in the transaction that made it true."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    type = models.CharField(max_length=80)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["created_at"], name="outbox_unsent", condition=models.Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class InboxMessage(models.Model):
    """A message id that a receiver has dealt with: the second arrival does nothing."""

    message_id = models.UUIDField()
    receiver = models.CharField(max_length=80)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message_id", "receiver"], name="heard_once")]

    def __str__(self) -> str:
        return f"{self.receiver} heard {self.message_id}"


class SlotRun(models.Model):
    """One slot of one job: the unique row is the claim, so that a slot's work is done once."""

    job = models.CharField(max_length=60)
    slot = models.BigIntegerField(help_text="Start of the slot, epoch seconds")
    period_seconds = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="slot_runs_once")]

    def __str__(self) -> str:
        return f"{self.job} {self.slot}"
