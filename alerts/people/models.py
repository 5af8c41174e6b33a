"""What people say of alerts."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class AlertComment(models.Model):
    """What somebody wrote about one alert."""

    alert = models.ForeignKey("alerts.Alert", on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=150)
    text = models.CharField(max_length=2000)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.author_name} on alert {self.alert_id}"
