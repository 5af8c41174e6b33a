"""The tree of viable systems, who belongs to each, and the tokens programs come with."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class System(models.Model):
    """A viable system: a node of the tree. A root is a tenant."""

    slug = models.SlugField(unique=True, help_text=_("In addresses and tokens: lower-case letters, digits and hyphens"))
    name = models.CharField(max_length=120, help_text=_("As people read it"))
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="children",
        help_text=_("The system that this one lies within; empty for a tenant"),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What a person may do in one system and all below it."""

    class Role(models.TextChoices):
        VIEWER = "viewer", _("Viewer")
        OPERATOR = "operator", _("Operator")
        ADMIN = "admin", _("Admin")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(
        max_length=10,
        choices=Role.choices,
        default=Role.VIEWER,
        help_text=_("Viewers read, operators act, administrators also change policy"),
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "system"], name="one_membership_per_system")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.system}"


class ApiToken(models.Model):
    """A program's key: only the hash of its secret is kept."""

    class Scope(models.TextChoices):
        INGEST = "ingest", _("Ingest")
        READ = "read", _("Read")
        OPERATE = "operate", _("Operate")
        ADMIN = "admin", _("Admin")

    name = models.CharField(max_length=120, help_text=_("What the program is that uses it"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    system = models.ForeignKey(System, null=True, blank=True, on_delete=models.CASCADE, related_name="api_tokens")
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("From then on it opens nothing; empty: never"))

    class Meta:
        verbose_name = _("API token")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
