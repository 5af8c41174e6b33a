"""What the tasks of a fleet did, how they ended, and when nobody was listening."""

from __future__ import annotations

from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.algedonic.models import Signal
from subsystems.fleets.fields import MomentField
from subsystems.fleets.states import FINAL, State
from subsystems.s1_operations.models import Fleet

ID_LENGTH = 155
NAME_LENGTH = 200
KEEP_DAYS, MAX_TASKS = 14, 1_000_000


class TaskQuerySet(models.QuerySet["Task"]):
    def open(self) -> TaskQuerySet:
        """Return the tasks of which no end is known."""
        return self.filter(finished_at=None).exclude(state=State.UNKNOWN)

    def ended(self) -> TaskQuerySet:
        return self.filter(state__gte=FINAL)


class Task(models.Model):
    """One task of a fleet, by whatever events told of it.

    Rows are written in bulk (`store.py`), each column by a rule that does not care for the order of events. Moments are
    of the clock of whoever sent the event. `counted` says that its end is in the roll-ups. A row may outlive its fleet
    for as long as the clean-up takes.
    """

    class State(models.IntegerChoices):
        PENDING = State.PENDING, _("Sent: no worker has it yet")
        RECEIVED = State.RECEIVED, _("Received by a worker")
        STARTED = State.STARTED, _("Running")
        RETRY = State.RETRY, _("Waits for another try")
        UNKNOWN = State.UNKNOWN, _("Ended unseen")
        REJECTED = State.REJECTED, _("Rejected")
        REVOKED = State.REVOKED, _("Revoked")
        FAILURE = State.FAILURE, _("Failed")
        SUCCESS = State.SUCCESS, _("Succeeded")

    fleet = models.ForeignKey(
        Fleet, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="tasks"
    )
    uuid = models.CharField(max_length=ID_LENGTH)
    name = models.CharField(max_length=NAME_LENGTH, blank=True)
    state = models.SmallIntegerField(choices=State.choices, default=State.PENDING)
    changed_at = MomentField()  # when `state` was reached
    seen_at = MomentField()  # the earliest thing known of it
    sent_at = MomentField(null=True)
    received_at = MomentField(null=True)
    started_at = MomentField(null=True)  # the first time
    last_started_at = MomentField(null=True)
    finished_at = MomentField(null=True)
    eta_at = MomentField(null=True)  # of the first try
    expires_at = MomentField(null=True)
    worker = models.CharField(max_length=NAME_LENGTH, blank=True)
    queue = models.CharField(max_length=NAME_LENGTH, blank=True)
    exchange = models.CharField(max_length=NAME_LENGTH, blank=True)
    routing_key = models.CharField(max_length=NAME_LENGTH, blank=True)
    args = models.TextField(blank=True)  # as the event showed them, masked and cut
    kwargs = models.TextField(blank=True)
    result = models.TextField(blank=True)
    exception = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    fingerprint = models.BigIntegerField(null=True)  # of the exception: see ExceptionGroup
    retries = models.PositiveSmallIntegerField(default=0)
    runtime_told = models.FloatField(null=True)
    parent_id = models.CharField(max_length=ID_LENGTH, null=True)  # (null keeps it out of a partial index)
    root_id = models.CharField(max_length=ID_LENGTH, null=True)  # (null when it is its own root)
    group_id = models.CharField(max_length=ID_LENGTH, null=True)  # (no event tells it)
    chord_id = models.CharField(max_length=ID_LENGTH, null=True)  # (the task that waits for its group)
    trace_id = models.CharField(max_length=32, blank=True)
    clock = models.BigIntegerField(null=True)
    counted = models.BooleanField(default=False)

    wait_seconds = models.GeneratedField(  # in the queue, without the time that it was not to run yet
        expression=F("started_at") - Case(When(eta_at__gt=F("sent_at"), then=F("eta_at")), default=F("sent_at")),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )
    runtime_seconds = models.GeneratedField(
        expression=Coalesce(
            F("runtime_told"),
            Case(When(finished_at__gte=F("last_started_at"), then=F("finished_at") - F("last_started_at"))),
        ),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-seen_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["fleet", "uuid"], name="task_once_per_fleet")]
        indexes = [
            models.Index(fields=["fleet", "seen_at"], name="task_by_time"),
            models.Index(fields=["fleet", "state", "seen_at"], name="task_by_state"),
            models.Index(fields=["fleet", "name", "seen_at"], name="task_by_name"),
            models.Index(fields=["fleet", "worker", "seen_at"], name="task_by_worker"),
            models.Index(fields=["fleet", "queue", "seen_at"], name="task_by_queue"),
            models.Index(fields=["fleet", "runtime_seconds"], name="task_by_runtime"),
            # Conditions that a statement with bound values still implies: SQLite looks no further.
            models.Index(
                fields=["fleet", "fingerprint", "seen_at"],
                name="task_by_fingerprint",
                condition=Q(fingerprint__isnull=False),
            ),
            models.Index(fields=["fleet", "changed_at"], name="task_open", condition=Q(finished_at__isnull=True)),
            models.Index(fields=["fleet", "parent_id"], name="task_by_parent", condition=Q(parent_id__isnull=False)),
            models.Index(fields=["fleet", "root_id"], name="task_by_root", condition=Q(root_id__isnull=False)),
            models.Index(fields=["fleet", "group_id"], name="task_by_group", condition=Q(group_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name or '(unknown)'} {self.uuid} {self.get_state_display()}"


class TaskRetry(models.Model):
    """One try of a task that ended in another: what its `task-retried` event told."""

    fleet = models.ForeignKey(
        Fleet, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="task_retries"
    )
    uuid = models.CharField(max_length=ID_LENGTH)
    at = MomentField()
    worker = models.CharField(max_length=NAME_LENGTH, blank=True)
    exception = models.TextField(blank=True)

    class Meta:
        verbose_name = _("task retry")
        verbose_name_plural = _("task retries")
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["fleet", "uuid", "at"], name="retry_once")]
        indexes = [models.Index(fields=["fleet", "at"], name="retry_by_time")]

    def __str__(self) -> str:
        return f"{self.uuid} {self.exception}"


class ExceptionGroup(models.Model):
    """Failures that are the same but for their numbers, names and addresses."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="exception_groups")
    fingerprint = models.BigIntegerField()
    type = models.CharField(max_length=NAME_LENGTH)
    message = models.TextField(blank=True)  # of the last one
    task_name = models.CharField(max_length=NAME_LENGTH, blank=True)
    traceback = models.TextField(blank=True)
    first_seen_at = MomentField()
    last_seen_at = MomentField()
    last_uuid = models.CharField(max_length=ID_LENGTH)
    count = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-last_seen_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["fleet", "fingerprint"], name="exception_group_once")]
        indexes = [models.Index(fields=["fleet", "last_seen_at"], name="exception_group_by_time")]

    def __str__(self) -> str:
        return f"{self.type} x {self.count}"


class TaskRollUp(models.Model):
    """How the tasks of one name and queue ended within five minutes; runtimes and waits as mergeable sketches."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, db_index=False, related_name="task_roll_ups")
    at = models.BigIntegerField()  # start of the five minutes, epoch seconds
    name = models.CharField(max_length=NAME_LENGTH)
    queue = models.CharField(max_length=NAME_LENGTH, blank=True)
    succeeded = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    others = models.BigIntegerField(default=0)  # revoked or rejected
    retried = models.BigIntegerField(default=0)
    runtimes = models.BinaryField(null=True)
    waits = models.BinaryField(null=True)

    class Meta:
        verbose_name = _("task roll-up")
        verbose_name_plural = _("task roll-ups")
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["fleet", "at", "name", "queue"], name="one_task_roll_up")]

    def __str__(self) -> str:
        return f"{self.name} at {self.at}"


class EndedTasks(models.Model):
    """The ends of one batch of tasks, counted and not yet added to the roll-ups (`rolling_up.py`)."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="+")
    body = models.BinaryField()

    class Meta:
        verbose_name = _("batch of ended tasks")
        verbose_name_plural = _("batches of ended tasks")

    def __str__(self) -> str:
        return f"ends of fleet {self.fleet_id}"


class BlindSpell(models.Model):
    """A time in which events of a fleet were or may have been missed."""

    class Reason(models.TextChoices):
        NOT_RUNNING = "not_running", _("The platform did not run")
        DISCONNECTED = "disconnected", _("The broker was out of reach")
        STALLED = "stalled", _("The receiver stood still")
        OVERFLOW = "overflow", _("More events came than could be kept")

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="blind_spells")
    reason = models.CharField(max_length=12, choices=Reason.choices)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    lost = models.BooleanField(default=True)  # False where the broker kept the events meanwhile
    dropped = models.BigIntegerField(default=0)  # events that were received and not kept

    class Meta:
        ordering = ["-began_at"]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} from {self.began_at}"


class Listening(models.Model):
    """How well a fleet is heard, as its receiver last wrote it."""

    fleet = models.OneToOneField(Fleet, on_delete=models.CASCADE, primary_key=True, related_name="listening")
    written_at = models.DateTimeField(default=timezone.now)  # alive until then at least
    since = models.DateTimeField(null=True)  # connected without a break; null when it is not
    last_event_at = models.DateTimeField(null=True)
    events = models.BigIntegerField(default=0)  # since ever
    tasks = models.BigIntegerField(default=0)
    unreadable = models.BigIntegerField(default=0)  # events in a form that is not read, such as pickle
    missed = models.BigIntegerField(default=0)  # starts that workers counted and nobody heard of
    lag_seconds = models.FloatField(null=True)
    workers = models.JSONField(default=dict)  # by node name: skew_seconds, tells_tasks, missed
    hears_sending = models.BooleanField(null=True)  # do clients tell of what they send

    class Meta:
        verbose_name = _("hearing of a fleet")
        verbose_name_plural = _("hearing of fleets")

    def __str__(self) -> str:
        return f"{self.fleet} heard at {self.written_at}"


class HistoryRules(models.Model):
    """What of a fleet is kept, for how long, and what is hidden before it is."""

    fleet = models.OneToOneField(Fleet, on_delete=models.CASCADE, primary_key=True, related_name="history_rules")
    keep_days = models.PositiveIntegerField(default=KEEP_DAYS, help_text=_("Tasks are forgotten after so many days"))
    max_tasks = models.PositiveIntegerField(
        default=MAX_TASKS, help_text=_("The oldest beyond so many are forgotten earlier")
    )
    masked_names = models.JSONField(
        default=list, blank=True, help_text=_("Arguments of which only stars are kept, by a part of their name")
    )  # parts of argument names, beside the usual ones
    masked_tasks = models.JSONField(
        default=list, blank=True, help_text=_("Tasks that keep no arguments or result, with * and ?")
    )  # patterns of task names that keep no arguments or result
    ask_events = models.BooleanField(default=True, help_text=_("Ask workers that tell nothing of their tasks to tell"))
    result_backend_sealed = models.TextField(blank=True, editable=False)
    result_backend_display = models.CharField(max_length=300, blank=True, editable=False)
    result_backend_error = models.CharField(max_length=300, blank=True, editable=False)  # why it did not answer

    class Meta:
        verbose_name_plural = _("history rules")

    def __str__(self) -> str:
        return f"{self.fleet}: {self.keep_days} days"

    @property
    def result_backend(self) -> str:
        """The address without what is secret in it; empty where none is known."""
        return self.result_backend_display


class WorkerState(models.Model):
    """A worker as it last answered; written with every round of questions."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, db_index=False, related_name="worker_states")
    name = models.CharField(max_length=NAME_LENGTH)  # the node's, without the fleet's
    role = models.CharField(max_length=NAME_LENGTH, db_index=True)
    observed_at = MomentField()
    progress_at = MomentField()
    pool = models.CharField(max_length=20, blank=True)
    pool_size = models.IntegerField(null=True)
    prefetch = models.IntegerField(null=True)
    pid = models.BigIntegerField(null=True)
    started_at = MomentField(null=True)
    processed = models.FloatField(null=True)
    queues = models.JSONField(default=list)
    active_count = models.IntegerField(null=True)
    reserved_count = models.IntegerField(null=True)
    active = models.JSONField(default=list)
    reserved = models.JSONField(default=list)
    reserved_since = MomentField(null=True)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="one_state_per_worker")]

    def __str__(self) -> str:
        return self.name


class QueueState(models.Model):
    """A queue as the broker last told of it."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, db_index=False, related_name="queue_states")
    name = models.CharField(max_length=NAME_LENGTH)
    observed_at = MomentField()
    ready = models.FloatField(null=True)
    unacked = models.FloatField(null=True)
    consumers = models.FloatField(null=True)
    counted = models.BooleanField(default=False)
    readers = models.IntegerField(default=0)
    oldest_age_seconds = models.FloatField(null=True)
    published_rate = models.FloatField(null=True)
    delivered_rate = models.FloatField(null=True)
    levels = models.JSONField(default=dict)
    recent = models.JSONField(default=list)
    nonempty_since = MomentField(null=True)
    empty_at = MomentField(null=True)
    unread_since = MomentField(null=True)
    extra_since = MomentField(null=True)

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["fleet", "name"], name="one_state_per_queue")]

    def __str__(self) -> str:
        return self.name


class Redelivery(models.Model):
    """A task that was given to a worker more than once without having been retried."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, db_index=False, related_name="redeliveries")
    uuid = models.CharField(max_length=ID_LENGTH)
    name = models.CharField(max_length=NAME_LENGTH, blank=True)
    worker = models.CharField(max_length=NAME_LENGTH, blank=True)  # the last that got it
    count = models.BigIntegerField(default=0)  # times that it came back
    first_at = MomentField()
    last_at = MomentField()

    class Meta:
        ordering = ["-last_at"]
        verbose_name_plural = _("redeliveries")
        constraints = [models.UniqueConstraint(fields=["fleet", "uuid"], name="one_redelivery_per_task")]
        indexes = [models.Index(fields=["fleet", "last_at"], name="redelivery_by_time")]

    def __str__(self) -> str:
        return f"{self.uuid} x {self.count}"


class ExpectedWorkers(models.Model):
    """What should be there: so many workers of a role that read a queue; either may be left open."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, related_name="expected_workers")
    role = models.CharField(max_length=NAME_LENGTH, blank=True, help_text=_("Name of the worker without what changes"))
    queue = models.CharField(max_length=NAME_LENGTH, blank=True, help_text=_("Which they read; empty for any"))
    workers = models.PositiveIntegerField(default=1, help_text=_("At least so many"))
    short_since = MomentField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["fleet", "role", "queue"]
        verbose_name = verbose_name_plural = _("expected workers")
        constraints = [
            models.UniqueConstraint(fields=["fleet", "role", "queue"], name="expected_once"),
            models.CheckConstraint(condition=~Q(role="", queue=""), name="expected_names_something"),
        ]

    def __str__(self) -> str:
        return f"{self.workers} x {self.role or 'any role'} on {self.queue or 'any queue'}"


class DetectionRules(models.Model):
    """How long something must be so in a fleet before it is called stuck, and what is not looked for."""

    fleet = models.OneToOneField(Fleet, on_delete=models.CASCADE, primary_key=True, related_name="detection_rules")
    stalled_seconds = models.FloatField(
        default=30.0, help_text=_("A worker that is silent about its tasks so long is stalled")
    )
    unread_seconds = models.FloatField(default=12.0, help_text=_("A queue that nobody reads so long has no consumer"))
    starved_seconds = models.FloatField(default=60.0, help_text=_("Low priorities that wait so long are starved"))
    lost_seconds = models.FloatField(default=60.0, help_text=_("A task of which nothing is heard so long is lost"))
    redeliveries = models.PositiveIntegerField(default=3, help_text=_("A task delivered so often goes round in a loop"))
    left_out = models.JSONField(default=list, blank=True, help_text=_("Kinds that are not looked for"))

    class Meta:
        verbose_name_plural = _("detection rules")

    def __str__(self) -> str:
        return f"{self.fleet}: stalled after {self.stalled_seconds:g} s"


class StuckFinding(models.Model):
    """Something stuck: from when it was found until it was so no more."""

    class Kind(models.TextChoices):
        STALLED_WORKER = "stalled_worker", _("Stalled worker")
        QUEUE_WITHOUT_CONSUMER = "queue_without_consumer", _("Queue without a consumer")
        MISSING_WORKERS = "missing_workers", _("Missing workers")
        STARVED_PRIORITY = "starved_priority", _("Starved priority")
        LOST_TASKS = "lost_tasks", _("Lost tasks")
        REDELIVERY_LOOP = "redelivery_loop", _("Redelivery loop")

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, db_index=False, related_name="stuck")
    kind = models.CharField(max_length=24, choices=Kind.choices)
    subject = models.CharField(max_length=420)
    summary = models.CharField(max_length=1_000)
    confidence = models.FloatField()
    evidence = models.JSONField(default=dict)
    since = models.DateTimeField()
    found_at = models.DateTimeField(db_index=True)
    seen_at = models.DateTimeField()  # found again then, for the last time
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=200, blank=True)
    signal = models.ForeignKey(Signal, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-found_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["fleet", "kind", "subject"], name="found_once", condition=Q(ended_at__isnull=True)
            )
        ]
        indexes = [models.Index(fields=["fleet", "found_at"], name="finding_by_time")]

    def __str__(self) -> str:
        return self.summary


class TaskCount(models.Model):
    """How often something happened to tasks of one name, role and queue, since ever; see `task_counts.py`."""

    fleet = models.ForeignKey(Fleet, on_delete=models.CASCADE, db_index=False, related_name="task_counts")
    event = models.SmallIntegerField()
    name = models.CharField(max_length=NAME_LENGTH)
    role = models.CharField(max_length=NAME_LENGTH, blank=True)
    queue = models.CharField(max_length=NAME_LENGTH, blank=True)
    exception = models.CharField(max_length=100, blank=True)
    n = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)  # of histograms
    changed_at = MomentField()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["fleet", "event", "name", "role", "queue", "exception"], name="counted_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.event}: {self.n}"
