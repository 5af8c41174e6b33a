"""Addresses outside to which acts are handed."""

from __future__ import annotations

from django.db import models

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet


class Webhook(models.Model):
    """An address that carries an act out, and perhaps another that undoes it."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="webhooks")
    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=60)
    url = models.CharField("address", max_length=2000)
    undo_url = models.CharField("address that undoes it", max_length=2000, blank=True)
    secret_sealed = models.TextField(blank=True, editable=False)  # signs each request
    enabled = models.BooleanField(default=True)
    changed_by = models.CharField(max_length=150, editable=False)
    changed_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["fleet__name", "name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="one_webhook_of_a_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_signed(self) -> bool:
        return bool(self.secret_sealed)
