"""Which series exist, their warm roll-ups, and what of them is archived. Samples themselves never pass the ORM."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System


class Series(models.Model):
    """One metric of one source with one set of labels, as an integer id."""

    system = models.ForeignKey(System, on_delete=models.CASCADE, related_name="series")
    source = models.CharField(max_length=200)
    metric = models.CharField(max_length=120)
    labels = models.JSONField(default=dict, blank=True)
    key = models.CharField(max_length=64, unique=True, editable=False)  # hash of the four above
    kind = models.CharField(
        max_length=8, blank=True, default="", help_text=_("gauge, counter (counts up) or delta (what was added since)")
    )
    # The series of the role that this one's history went to when its source had left for good (see `merging`).
    merged_into = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="members")
    merged_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = _("series")
        ordering = ["source", "metric"]
        indexes = [models.Index(fields=["system", "metric", "source"], name="series_by_metric")]

    def __str__(self) -> str:
        return f"{self.source} {self.metric}"


class Summary(models.Model):
    """Count, sum, minimum, maximum, last value and, where it says more than these, a quantile sketch, over one step.

    The migrations make these tables themselves: partitioned by time on PostgreSQL, ordered by their key on SQLite.
    No foreign key is checked: it would cost more than the rest of a write, and who is not in `Series` is not read.
    """

    pk = models.CompositePrimaryKey("series_id", "at")
    series = models.ForeignKey(
        Series, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="%(class)ss"
    )
    at = models.BigIntegerField(help_text=_("Start of the step, epoch seconds"))
    count = models.BigIntegerField()
    sum = models.FloatField()
    min = models.FloatField()
    max = models.FloatField()
    last = models.FloatField()
    sketch = models.BinaryField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.series_id} {self.at}"


class Rollup(Summary):
    """One minute."""


class FiveMinuteRollup(Summary):
    """Five minutes."""


class HourRollup(Summary):
    """One hour."""


class RollupChunk(models.Model):
    """The roll-ups of one series and step over a day (of an hour: thirty days), packed when the day has settled."""

    pk = models.CompositePrimaryKey("series_id", "step_seconds", "at")
    series = models.ForeignKey(
        Series, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="chunks"
    )
    step_seconds = models.IntegerField()
    at = models.BigIntegerField(help_text=_("Start of the chunk, epoch seconds"))
    rows = models.IntegerField()
    samples = models.BigIntegerField(help_text=_("Samples that the rows sum up"))
    data = models.BinaryField()
    sketches = models.BinaryField(null=True)  # apart: only quantiles need them

    class Meta:
        indexes = [models.Index(fields=["step_seconds", "at"], name="chunk_by_time")]

    def __str__(self) -> str:
        return f"{self.series_id} {self.step_seconds} s from {self.at}"


class DueWindow(models.Model):
    """A step whose finer roll-ups changed, so that its own is to be made (again).

    Written with the finer rows, taken away with its own: a process that dies between leaves it due. The version tells
    whether the finer rows have changed once more meanwhile.
    """

    pk = models.CompositePrimaryKey("step_seconds", "at")
    step_seconds = models.IntegerField()
    at = models.BigIntegerField()
    version = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return f"{self.step_seconds} s at {self.at}"


class ArchivedDay(models.Model):
    """One day (UTC) of minutes in the archive: as its manifest says, and how far it has come."""

    class State(models.TextChoices):
        WRITTEN = "written", _("Written")
        VERIFIED = "verified", _("Verified")  # read back: the minutes may leave the database
        MOVED = "moved", _("Moved")  # they have
        EXPIRED = "expired", _("Expired")  # and the archive has forgotten them too

    day = models.DateField(primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WRITTEN, db_index=True)
    path = models.CharField(max_length=300, help_text=_("Within the archive; its name holds its checksum"))
    sha256 = models.CharField(max_length=64)
    rows = models.BigIntegerField()
    samples = models.BigIntegerField(help_text=_("Samples that the rows sum up"))
    content = models.CharField(max_length=64, help_text=_("Checksum of the rows themselves"))
    bytes = models.BigIntegerField()
    written_at = models.DateTimeField(default=timezone.now)
    verified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-day"]

    def __str__(self) -> str:
        return f"{self.day} {self.state}"


class ExportTarget(models.Model):
    """Where what `/metrics` shows is sent as well, every so many seconds, and how that goes.

    After failures in a row nothing is tried before *retry_at*: what does not answer is not asked again and again.
    """

    class Kind(models.TextChoices):
        OTLP = "otlp", _("OpenTelemetry (OTLP over HTTP)")
        REMOTE_WRITE = "remote_write", _("Prometheus remote write")
        STATSD = "statsd", _("StatsD")
        DOGSTATSD = "dogstatsd", _("DogStatsD (Datadog)")

    class Period(models.IntegerChoices):
        TEN = 10, _("Ten")
        TWENTY = 20, _("Twenty")
        THIRTY = 30, _("Thirty")

    name = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"\A[a-zA-Z0-9_.-]+\Z", "Letters, digits, '_', '.', '-'.")],
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    address = models.CharField(
        max_length=300,
        help_text=_("http(s)://host:port/path, or host:port for StatsD. Inside ones need VSM_HTTP_ALLOW."),
    )
    system = models.ForeignKey(
        System, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text=_("Empty: every system, and the platform's own health"),
    )  # fmt: skip
    period_seconds = models.PositiveSmallIntegerField(choices=Period.choices, default=Period.TEN)
    prefixes = models.CharField(
        max_length=300, blank=True, help_text=_("Only metrics that begin so, such as vsm_,celery_. Empty: all")
    )
    enabled = models.BooleanField(default=True)
    headers_sealed = models.TextField(blank=True, editable=False)  # encrypted: they carry tokens
    header_names = models.CharField(max_length=300, blank=True, editable=False)

    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False)  # in a row
    retry_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_samples = models.BigIntegerField(default=0, editable=False)
    dropped_samples = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
