"""What people say of alerts, who is on call, and how each can be reached."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

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
    tell_handover = models.BooleanField(default=False, help_text=_("Tell those whose shift begins or ends"))
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
        verbose_name = verbose_name_plural = _("contact settings")

    def __str__(self) -> str:
        return f"how {self.user} is reached"


class EscalationPolicy(models.Model):
    """Whom to tell in which order until somebody says that it is theirs, as `escalation.read_steps` reads it."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="escalation_policies")
    name = models.CharField(max_length=120)
    steps = models.JSONField()  # users, teams, rotas and targets are numbers
    enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = _("escalation policies")
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="escalation_policy_name_per_system")]

    def __str__(self) -> str:
        return self.name


class EscalationRun(models.Model):
    """A policy at work for one group of alerts; it keeps the steps that it began with."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        HALTED = "halted", _("halted: somebody looks after every alert")
        EXHAUSTED = "exhausted", _("all steps are done, and nobody has answered")
        OVER = "over", _("every alert is over")

    OPEN = (State.RUNNING, State.HALTED, State.EXHAUSTED)

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="escalation_runs")
    group = models.ForeignKey("alerts.Group", null=True, on_delete=models.SET_NULL, related_name="escalation_runs")
    policy = models.ForeignKey(EscalationPolicy, null=True, on_delete=models.SET_NULL, related_name="runs")
    policy_name = models.CharField(max_length=120)
    title = models.CharField(max_length=300, blank=True)  # of what is told
    steps = models.JSONField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    step = models.PositiveIntegerField(default=0)  # the next one
    round = models.PositiveIntegerField(default=1)
    repeats = models.PositiveIntegerField(default=0)  # since it began, or began anew
    last_member = models.BigIntegerField(default=0)  # of the group when the steps were exhausted
    due_at = models.DateTimeField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("escalation")
        verbose_name_plural = _("escalations")
        ordering = ["-started_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["group"], condition=~models.Q(state="over"), name="one_open_escalation_per_group"
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="running"), name="escalation_run_due"),
            models.Index(fields=["state"], condition=~models.Q(state="over"), name="escalation_run_open"),
            models.Index(fields=["system", "-started_at"], name="escalation_run_of_system"),
        ]

    def __str__(self) -> str:
        return f"{self.policy_name} for group {self.group_id}"


class EscalationStep(models.Model):
    """What became of one step of one round: its row is its claim."""

    class Outcome(models.TextChoices):
        DONE = "done", _("Done")
        SKIPPED = "skipped", _("Skipped")

    run = models.ForeignKey(EscalationRun, on_delete=models.CASCADE, related_name="taken")
    round = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    words = models.CharField(max_length=300)
    outcome = models.CharField(max_length=7, choices=Outcome.choices)
    cause = models.CharField(max_length=20, blank=True)  # why it was skipped
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("step of an escalation")
        verbose_name_plural = _("steps of escalations")
        ordering = ["run", "round", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "round", "number"], name="step_once_per_round")]

    def __str__(self) -> str:
        return f"{self.words}: {self.outcome}"


class Page(models.Model):
    """One person or target that a step reaches by one method, when that is due, and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        TOLD = "told", _("Told")
        WITHHELD = "withheld", _("Withheld")

    step = models.ForeignKey(EscalationStep, on_delete=models.CASCADE, related_name="pages")
    run = models.ForeignKey(EscalationRun, on_delete=models.CASCADE, related_name="pages")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    method = models.ForeignKey("alerts.Target", null=True, on_delete=models.SET_NULL, related_name="+")
    position = models.PositiveIntegerField(default=0)  # among the methods of this person
    due_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    cause = models.CharField(max_length=20, blank=True)  # why it waits or was withheld
    notification = models.ForeignKey("alerts.Notification", null=True, on_delete=models.SET_NULL, related_name="pages")
    at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("page to a person")
        verbose_name_plural = _("pages to people")
        ordering = ["pk"]
        indexes = [models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="page_waiting")]

    def __str__(self) -> str:
        return f"{self.user or self.method}: {self.state}"
