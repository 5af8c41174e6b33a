"""What people say of alerts, who is on call, and how each can be reached."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from subsystems.recursion.models import System


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


class Team(models.Model):
    """People who are told together."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="teams")
    name = models.CharField(max_length=120)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="team_name_per_system")]

    def __str__(self) -> str:
        return self.name


class Rota(models.Model):
    """Who is on call when: layers of people who take turns, as `rotas.read_layers` reads them, lowest first."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="rotas")
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=60, default="UTC")
    layers = models.JSONField()  # participants are numbers of users
    tell_handover = models.BooleanField(default=False, help_text="Tell those whose shift begins or ends")
    told_until = models.DateTimeField(null=True, blank=True, editable=False)  # hand-overs before it were told
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="rota_name_per_system")]

    def __str__(self) -> str:
        return self.name


class RotaOverride(models.Model):
    """Somebody takes the place of whoever would be on call."""

    rota = models.ForeignKey(Rota, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(db_index=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["starts_at", "pk"]

    def __str__(self) -> str:
        return f"{self.user} from {self.starts_at} until {self.ends_at}"


class ContactSettings(models.Model):
    """How somebody wants to be reached: steps of their contact rules, and hours in which only the critical may."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="contact_settings")
    time_zone = models.CharField(max_length=60, default="UTC")
    quiet_hours = models.JSONField(default=list, blank=True)
    critical = models.JSONField(default=list, blank=True)  # steps, as `contacts.read_steps` reads them
    other = models.JSONField(default=list, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "contact settings"

    def __str__(self) -> str:
        return f"how {self.user} is reached"
