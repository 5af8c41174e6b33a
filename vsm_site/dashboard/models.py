"""What people keep of the pages."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System


class SavedView(models.Model):
    """A page with its filters, range and choices, under a name; its owner's alone, or of all who see the system.

    What is deleted stays until its owner deletes another one, so that it can be taken back.
    """

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=80)
    path = models.CharField(max_length=200)
    query = models.CharField(max_length=2000, blank=True)
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["system", "owner", "name"], condition=Q(deleted_at=None), name="view_name_per_owner"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Preferences(models.Model):
    """How one person wants the pages; what is empty is as usual."""

    class Theme(models.TextChoices):
        BROWSER = "", _("As each browser was set")
        AUTO = "auto", _("As the device has it")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    class FirstView(models.TextChoices):
        VIABILITY = "", _("Overview: viability")
        PERFORMANCE = "performance", _("Overview: performance")
        ALGEDONIC = "algedonic", _("Overview: algedonic")

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="preferences"
    )
    time_zone = models.CharField(max_length=64, blank=True)  # empty: that of the browser
    theme = models.CharField(max_length=5, choices=Theme, blank=True)
    overview = models.CharField(max_length=20, choices=FirstView, blank=True)  # which of its views opens
    first_view = models.ForeignKey(SavedView, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    single_keys = models.BooleanField(default=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user}"


class ChosenColumns(models.Model):
    """Which columns of a table a person wants to see; there is no row for whoever is content with the usual ones."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    table = models.CharField(max_length=40)
    names = models.JSONField(default=list)

    class Meta:
        ordering = ["person", "table"]
        verbose_name = verbose_name_plural = "chosen columns"
        constraints = [models.UniqueConstraint(fields=["person", "table"], name="columns_once_per_table")]

    def __str__(self) -> str:
        return f"{self.table}: {', '.join(self.names)}"
