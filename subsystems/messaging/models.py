"""Messages on their way and what became of them, what could not be read, and which slots were claimed."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.messaging.limit_policy import KEYS as LIMIT_KEYS
from subsystems.messaging.limit_policy import Layer
from subsystems.recursion.models import System

_MILLION = [MinValueValidator(1), MaxValueValidator(1_000_000)]
_DAY = [MinValueValidator(1), MaxValueValidator(86_400)]


class Message(models.Model):
    """One message: outbox row until it is sent, and its story afterwards.

    *due_at* is when a relay may send it: at once, after a lease, when a retry is due, or when nobody said for too
    long that it was handled. A batch is one row whose *count* logical messages stand packed in *batch*.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        SENT = "sent", _("Sent")
        HANDLED = "handled", _("Handled")
        DEAD = "dead", _("Dead")
        EXPIRED = "expired", _("Expired")

    class ReplyState(models.TextChoices):
        NONE = "", _("None")
        OPEN = "open", _("Open")
        ANSWERED = "answered", _("Answered")
        EXPIRED = "expired", _("Expired")

    number = models.BigAutoField(primary_key=True)
    id = models.CharField(max_length=64, unique=True, editable=False)
    system = models.ForeignKey(System, null=True, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=20)
    sender = models.CharField(max_length=20)
    recipient = models.CharField(max_length=20)
    type = models.CharField(max_length=80)
    payload = models.JSONField(default=dict)
    batch = models.BinaryField(null=True)
    count = models.PositiveIntegerField(default=1)
    metadata = models.JSONField(default=dict)
    extra = models.JSONField(default=dict)
    correlation_id = models.CharField(max_length=64, blank=True)
    reply_to = models.CharField(max_length=64, blank=True)
    reply_by = models.DateTimeField(null=True, blank=True)
    reply_state = models.CharField(max_length=10, choices=ReplyState.choices, blank=True, default="")
    hop_count = models.PositiveSmallIntegerField(default=0)
    priority = models.PositiveSmallIntegerField(default=5)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    due_at = models.DateTimeField(default=timezone.now)
    claimed_by = models.UUIDField(null=True, editable=False)
    sends = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    handled_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text=_("Times that a handler failed"))
    losses = models.PositiveIntegerField(default=0, help_text=_("Deliveries that never came to an end"))
    last_error = models.TextField(blank=True)

    class Meta:
        ordering = ["-number"]
        indexes = [
            models.Index(fields=["due_at"], name="message_due", condition=models.Q(state__in=["waiting", "sent"])),
            models.Index(
                fields=["due_at"],
                name="message_urgent_due",
                condition=models.Q(state__in=["waiting", "sent"], priority__gte=8),
            ),
            models.Index(
                fields=["channel", "created_at"], name="message_open", condition=models.Q(state__in=["waiting", "sent"])
            ),
            models.Index(fields=["correlation_id"], name="message_correlation", condition=~models.Q(correlation_id="")),
            models.Index(fields=["reply_by"], name="message_reply", condition=models.Q(reply_state="open")),
            models.Index(fields=["created_at"], name="message_created"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class MessageTally(models.Model):
    """How many messages there ever were between two ends of a channel, up to the highest number of any tally.

    Rows of messages are deleted after a while, and a count that is shown may only grow.
    """

    system_id = models.BigIntegerField(default=0, help_text=_("0: of no system"))
    channel = models.CharField(max_length=20)
    sender = models.CharField(max_length=20)
    recipient = models.CharField(max_length=20)
    count = models.BigIntegerField(default=0)
    up_to = models.BigIntegerField(default=0, help_text=_("Messages up to this number are counted here"))

    class Meta:
        verbose_name_plural = _("message tallies")
        constraints = [
            models.UniqueConstraint(fields=["system_id", "channel", "sender", "recipient"], name="one_message_tally")
        ]

    def __str__(self) -> str:
        return f"{self.channel}, {self.sender} to {self.recipient}: {self.count}"


class Delivery(models.Model):
    """What one handler made of one message; the unique row is what makes a second arrival do nothing."""

    class State(models.TextChoices):
        HANDLED = "handled", _("Handled")
        FAILED = "failed", _("Failed")
        DEAD = "dead", _("Dead")

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deliveries")
    handler = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State.choices)
    attempts = models.PositiveIntegerField(default=1)
    history = models.JSONField(default=list, help_text=_("One entry per failed attempt: at, error, worker"))
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = _("deliveries")
        constraints = [models.UniqueConstraint(fields=["message", "handler"], name="handled_once")]

    def __str__(self) -> str:
        return f"{self.handler}: {self.state}"


class DeadLetter(models.Model):
    """What could not be delivered or read: with its reason, and replayable."""

    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="dead_letters")
    queue = models.CharField(max_length=80, blank=True)
    reason = models.CharField(max_length=40)  # failed, worker_lost, unreadable, rejected, expired, unknown_task
    detail = models.TextField(blank=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True, help_text=_("As it came, when it was not one of ours"))
    created_at = models.DateTimeField(default=timezone.now)
    replayed_at = models.DateTimeField(null=True, blank=True)
    replayed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.reason} {self.created_at:%Y-%m-%d %H:%M:%S}"


class SlotRun(models.Model):
    """One slot of one job: the unique row is the claim, so that a slot's work is done once."""

    job = models.CharField(max_length=60)
    slot = models.BigIntegerField(help_text=_("Start of the slot, epoch seconds"))
    period_seconds = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    scheduled = models.BooleanField(default=True, help_text=_("Off: done when something happens, not in each slot"))

    class Meta:
        verbose_name = _("run of a slot")
        verbose_name_plural = _("runs of slots")
        ordering = ["-slot"]
        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="slot_runs_once")]

    def __str__(self) -> str:
        return f"{self.job} {self.slot}"


class RateLimit(models.Model):
    """A limit that differs from the documented one: for one system, or where *system* is empty for all."""

    system = models.ForeignKey(
        System, null=True, blank=True, on_delete=models.CASCADE, related_name="+", help_text=_("Empty: every system")
    )
    layer = models.CharField(
        max_length=20, choices=[(str(layer), str(layer)) for layer in LIMIT_KEYS], help_text=_("Where it is counted")
    )
    key = models.CharField(
        max_length=20,
        blank=True,
        help_text=_("Which severity (high, medium, low), priority (high, normal, low) or subsystem (s1; empty: each)"),
    )
    limit = models.PositiveIntegerField(validators=_MILLION, help_text=_("So many in each period"))
    period_seconds = models.PositiveIntegerField(
        default=60, validators=_DAY, help_text=_("In which the limit is counted")
    )
    burst = models.PositiveIntegerField(validators=_MILLION, help_text=_("So many at once after a pause"))
    enabled = models.BooleanField(default=True, help_text=_("Off: nothing is refused here; without a row, the default"))

    class Meta:
        ordering = ["layer", "key"]
        constraints = [
            models.UniqueConstraint(fields=["system", "layer", "key"], name="one_limit_per_place"),
            models.UniqueConstraint(
                fields=["layer", "key"], condition=models.Q(system=None), name="one_limit_for_all_per_place"
            ),
            models.CheckConstraint(
                name="rate_limit_sane",
                condition=models.Q(
                    limit__range=(1, 1_000_000), period_seconds__range=(1, 86_400), burst__range=(1, 1_000_000)
                ),
            ),
        ]

    def clean(self) -> None:
        """Refuse a key that its layer does not have, as critical pain is one; and what only a bargain writes."""
        if self.layer == Layer.BARGAIN:
            raise ValidationError({"layer": "This limit is what a system holds by its bargain: it is bargained about."})
        known = LIMIT_KEYS.get(self.layer)
        if known is not None and self.key not in known:
            offered = ", ".join(sorted(key or "(empty)" for key in known))
            raise ValidationError({"key": f"The {self.layer} layer has {offered}; critical pain is never limited."})

    def __str__(self) -> str:
        return f"{self.layer} {self.key or 'each'}: {self.limit} in {self.period_seconds} s"
