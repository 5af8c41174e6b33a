"""Launchers of fleets, and the processes that were started on this machine."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet


class Launcher(models.Model):
    """What starts and stops workers of a fleet: how, of which queues, and how many there may be."""

    class Kind(models.TextChoices):
        SUBPROCESS = "subprocess", _("Processes of this machine")
        SYSTEMD = "systemd", _("systemd units")
        DOCKER = "docker", _("Docker containers")
        KUBERNETES = "kubernetes", _("Kubernetes pods")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="launchers")
    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="launchers")
    name = models.CharField(max_length=40)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    enabled = models.BooleanField(default=True)
    queues = models.JSONField(default=list, blank=True, help_text=_("Which queues its workers read"))
    slots = models.PositiveIntegerField("tasks at a time of one worker", default=1)
    least = models.PositiveIntegerField("fewest workers", default=0)
    most = models.PositiveIntegerField("most workers", default=4)
    start_seconds = models.PositiveIntegerField("time to come up (s)", default=60)
    config = models.JSONField(default=dict)
    changed_by = models.CharField(max_length=150, editable=False)
    changed_at = models.DateTimeField(editable=False)
    # One writer: who changes its size now, or did last.
    action = models.ForeignKey(
        "s3_control.Action", null=True, on_delete=models.PROTECT, related_name="+", editable=False
    )

    class Meta:
        ordering = ["fleet__name", "name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="one_launcher_of_a_name")]

    def __str__(self) -> str:
        return self.name


class LaunchedProcess(models.Model):
    """A worker that was started as a process: written before it is, so that a crash in between is seen."""

    launcher = models.ForeignKey(Launcher, on_delete=models.CASCADE, related_name="processes")
    name = models.CharField(max_length=60)
    host = models.CharField(max_length=255)
    pid = models.BigIntegerField(null=True)
    began = models.FloatField(null=True)  # epoch seconds, as the kernel tells: a number alone may be another's by now

    class Meta:
        ordering = ["name"]
        verbose_name_plural = _("launched processes")
        constraints = [models.UniqueConstraint(fields=["launcher", "name"], name="one_process_of_a_name")]

    def __str__(self) -> str:
        return f"{self.name} {self.pid or ''}"
