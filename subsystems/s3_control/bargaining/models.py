"""Pools of what can be steered, the units that share them, their bargains, and what they hold."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.bargaining.offering import Claim, Strategy, efficiency

MOST = 1e9
_amount = [MinValueValidator(0.0), MaxValueValidator(MOST)]
_seconds = [MinValueValidator(5.0), MaxValueValidator(86_400.0)]


class ResourcePool(models.Model):
    """Something that is short: slots of workers, tasks a second, messages a second. Its name is the resource's."""

    class Kind(models.TextChoices):
        SLOTS = "slots", _("Slots: tasks at a time")
        TASK_RATE = "task_rate", _("Tasks a second")
        MESSAGE_RATE = "message_rate", _("Messages a second on the channels")

    class By(models.TextChoices):
        QUEUE = "queue", _("Queues: the workers that read each")
        ROLE = "role", _("Roles of workers")

    class Mode(models.TextChoices):
        ADVISE = "advise", _("Advise: a person decides")
        AUTO = "auto", _("By itself, within what S5 permits")

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="resource_pools")
    fleet = models.ForeignKey(
        Fleet, null=True, blank=True, on_delete=models.CASCADE, related_name="resource_pools",
        help_text=_("Whose slots or tasks; none for messages"),
    )  # fmt: skip
    name = models.CharField(max_length=80, help_text=_("What requests call the resource: cpu, mail-slots"))
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.SLOTS)
    by = models.CharField("units are", max_length=5, choices=By.choices, default=By.QUEUE, help_text=_("Of slots only"))
    limit = models.FloatField(
        null=True, blank=True, validators=_amount,
        help_text=_("The most that is given away in all; empty: what is measured to be there"),
    )  # fmt: skip
    strategy = models.CharField(
        max_length=17, choices=[(each.value, each.value.replace("_", " ")) for each in Strategy],
        default=Strategy.FAIR_SHARE,
    )  # fmt: skip
    mode = models.CharField(max_length=6, choices=Mode.choices, default=Mode.ADVISE)
    offer_seconds = models.FloatField("an offer stands (s)", default=60.0, validators=_seconds)
    enabled = models.BooleanField(default=True)
    rounds = models.PositiveBigIntegerField(default=0, editable=False)  # raised first by whoever changes a promise
    capacity = models.FloatField(null=True, editable=False)  # as last measured
    why = models.CharField(max_length=500, blank=True, editable=False)
    adapted = models.CharField(max_length=17, blank=True, editable=False)  # the strategy that `adaptive` chose
    adapted_at = models.DateTimeField(null=True, editable=False)
    looked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = _("pool of a resource")
        verbose_name_plural = _("pools of resources")
        constraints = [models.UniqueConstraint(fields=["system", "name"], name="one_pool_of_a_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def whole(self) -> bool:
        """Return whether only whole units can be given."""
        return self.kind == self.Kind.SLOTS

    @property
    def unit(self) -> str:
        return {"slots": "slots", "task_rate": "tasks/s", "message_rate": "messages/s"}[self.kind]


class PoolUnit(models.Model):
    """A unit that shares a pool: a queue, a role, a task or a system. What it is promised, and what it may have."""

    pool = models.ForeignKey(ResourcePool, on_delete=models.CASCADE, related_name="units")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")  # whose people speak for it
    name = models.CharField(max_length=200, help_text=_("The queue, role, task or slug of a system"))
    weight = models.FloatField(default=1.0, validators=[MinValueValidator(0.01), MaxValueValidator(1000.0)])
    guarantee = models.FloatField(
        default=0.0, validators=_amount, help_text=_("Before anything is divided it has so much of what it asks for")
    )
    ceiling = models.FloatField(null=True, blank=True, validators=_amount, help_text=_("The most; empty: the pool's"))
    accept_from = models.FloatField(
        "accepts from", null=True, blank=True, default=0.0, validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text=_(
            "The share of what it asked for from which it accepts by itself; empty: a person or program answers"
        ),
    )  # fmt: skip
    automatic = models.BooleanField("asks by itself", default=False, help_text=_("By its measured need"))
    used = models.FloatField(null=True, editable=False)
    performance = models.FloatField(null=True, editable=False)
    measured_at = models.DateTimeField(null=True, editable=False)
    counted = models.FloatField(null=True, editable=False)  # a total when it was last looked at
    counted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = _("unit of a pool")
        verbose_name_plural = _("units of pools")
        constraints = [models.UniqueConstraint(fields=["pool", "name"], name="one_unit_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Bargain(models.Model):
    """One request, what was offered and answered, and what is held by it until it is given back."""

    class State(models.TextChoices):
        OPEN = "open", _("Asked")
        OFFERED = "offered", _("Offered")
        ALLOCATED = "allocated", _("Allocated")
        REFUSED = "refused", _("Offer refused")
        EXPIRED = "expired", _("Expired")
        RELEASED = "released", _("Given back")
        REPLACED = "replaced", _("Replaced by a later one")

    class Origin(models.TextChoices):
        PERSON = "person", _("A person or program")
        MESSAGE = "message", _("A message")
        MEASURED = "measured", _("Its measured need")

    ASKING = (State.OPEN, State.OFFERED)
    ALIVE = (*ASKING, State.ALLOCATED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pool = models.ForeignKey(ResourcePool, on_delete=models.CASCADE, related_name="bargains")
    unit = models.ForeignKey(PoolUnit, on_delete=models.CASCADE, related_name="bargains")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")  # the unit's
    message_id = models.CharField(max_length=64, unique=True)  # of the request: asked twice it is one
    origin = models.CharField(max_length=8, choices=Origin.choices)
    asked_by = models.CharField(max_length=150, blank=True)
    wanted = models.FloatField()
    priority = models.PositiveSmallIntegerField(default=5)
    reason = models.CharField(max_length=500, blank=True)
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    deadline = models.DateTimeField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.OPEN)
    why = models.CharField(max_length=500, blank=True)  # what S3 said last
    offered = models.FloatField(null=True, blank=True)  # open until it is answered or its time is over
    offer_number = models.PositiveIntegerField(default=0)
    offer_until = models.DateTimeField(null=True, blank=True)
    is_notice = models.BooleanField(default=False)  # less than is held: it comes into force by itself
    strategy = models.CharField(max_length=17, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)  # when S1 had the last word of S3
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.CharField(max_length=150, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-asked_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["unit"], condition=models.Q(state__in=["open", "offered"]), name="one_request_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["unit"], condition=models.Q(state="allocated"), name="one_bargain_in_force"
            ),
        ]
        indexes = [
            models.Index(fields=["system", "-asked_at"], name="bargain_of_system"),
            models.Index(fields=["-asked_at"], name="bargain_asked"),
            models.Index(
                fields=["pool"], name="bargain_alive", condition=models.Q(state__in=["open", "offered", "allocated"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.unit} asks for {self.wanted:g} of {self.pool}"

    @property
    def is_asking(self) -> bool:
        return self.state in self.ASKING


class Allocation(models.Model):
    """What a unit held for a time, and how much of it was used: what it answers for."""

    pool = models.ForeignKey(ResourcePool, on_delete=models.CASCADE, related_name="allocations")
    unit = models.ForeignKey(PoolUnit, on_delete=models.CASCADE, related_name="allocations")
    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="+")
    bargain = models.ForeignKey(Bargain, on_delete=models.CASCADE, related_name="allocations")
    amount = models.FloatField()
    strategy = models.CharField(max_length=17)
    imposed = models.BooleanField(default=False)  # by a notice, not by consent
    since = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    measured_seconds = models.FloatField(default=0.0)
    used_total = models.FloatField(default=0.0)  # amount-seconds
    gap_total = models.FloatField(default=0.0)  # |allocated - used|, in amount-seconds

    class Meta:
        ordering = ["-since", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["unit"], condition=models.Q(ended_at=None), name="one_allocation_in_force")
        ]
        indexes = [models.Index(fields=["pool", "strategy", "-since"], name="allocation_of_strategy")]

    def __str__(self) -> str:
        return f"{self.unit} holds {self.amount:g}"

    @property
    def mean_used(self) -> float | None:
        return self.used_total / self.measured_seconds if self.measured_seconds else None

    @property
    def efficiency(self) -> float | None:
        """Return 1 - sum|allocated - used| / sum allocated over its time; None before anything was measured."""
        return efficiency(self.amount * self.measured_seconds, self.gap_total)


def claim_of(unit: PoolUnit, asking: Bargain | None, current: Bargain | None, held: float, *, now: datetime) -> Claim:
    """Return a unit's claim: by what it asks for now, else by what it wanted of what it holds."""
    told = asking or current
    assert told is not None
    return Claim(
        unit.name, told.wanted, unit.guarantee, unit.ceiling, unit.weight, told.priority, unit.performance, held,
        told.offered,
    )  # fmt: skip
