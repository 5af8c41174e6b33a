"""Whether one more message may be said now; the door to the rate limiter.

The numbers are policy: rows of `RateLimit`, read at most once a second, over the documented defaults. When the shared
limiter is away, critical pain passes as ever, and everything else is held to a part of its limits by each process.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from django.conf import settings
from django.utils.module_loading import import_string

from subsystems.kernel.errors import Refused, TransientError
from subsystems.kernel.severity import Severity, severity_of_priority
from subsystems.messaging.breaker import Breaker
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.gcra import Limit
from subsystems.messaging.limit_policy import Layer, Rows, buckets, counter_name, limit_at
from subsystems.messaging.limiter import Bucket, RateLimiter, Refusal
from subsystems.messaging.memory_limiter import MemoryLimiter
from subsystems.messaging.models import RateLimit

logger = logging.getLogger(__name__)
POLICY_SECONDS = 1.0
REST_SECONDS = 1.0  # between two questions to a limiter that does not answer
LOCAL_SHARE = 0.25  # of each limit, for each process while the shared limiter is away: four processes are usual
FALLBACKS = "fallbacks"
Place = tuple[Channel, Party, Severity, int | None]


class RateLimited(Refused):
    """Too many for now (HTTP 429): *layer* had no room, and after *retry_after_seconds* all layers will."""

    code = "rate_limited"

    def __init__(
        self, refusal: Refusal, *, channel: str = "", sender: str = "", severity: str = "", system_id: int | None = None
    ) -> None:
        bucket = refusal.bucket
        wait = math.ceil(refusal.retry_after_seconds * 1000) / 1000
        super().__init__(f"Too many: the limit of the {bucket.layer} layer is reached; try again in {wait:g} s.")
        self.layer = bucket.layer
        self.key = bucket.key
        self.limit = bucket.limit
        self.retry_after_seconds = wait
        self.channel, self.sender, self.severity, self.system_id = channel, sender, severity, system_id


class GuardedLimiter:
    """The shared limiter while it answers, else this process's part of each limit; never a wait for the caller."""

    def __init__(self, shared: RateLimiter, *, rest_seconds: float = REST_SECONDS) -> None:
        self._shared = shared
        self._local = MemoryLimiter()
        self._breaker = Breaker(rest_seconds)

    @property
    def shared_answers(self) -> bool:
        return self._breaker.closed

    def take(self, wanted: Sequence[Bucket]) -> Refusal | None:
        """Take one from each of *wanted*, or none from any."""
        if self._breaker.may_ask(now=time.monotonic()):
            try:
                refusal = self._shared.take(wanted)
            except TransientError as error:
                self._missed(error)
            else:
                self._answered()
                return refusal
        self._local.count({FALLBACKS: 1})
        return self._local.take([_reduced(bucket) for bucket in wanted])

    def counters(self) -> dict[str, int]:
        """Return every counter, with those that this process could not tell yet. Raises TransientError."""
        return dict(Counter(self._shared.counters()) + Counter(self._local.counters()))

    def clear(self) -> None:
        """Forget everything. Raises TransientError."""
        self._local.clear()
        self._shared.clear()

    def _missed(self, error: TransientError) -> None:
        if self._breaker.failed(now=time.monotonic()):
            logger.warning("%s; until it answers, this process holds a part of each limit by itself", error)

    def _answered(self) -> None:
        if not self._breaker.answered():
            return
        logger.info("The rate limiter answers again")
        untold = self._local.take_counters()
        if untold and not self._shared.count(untold):
            self._local.count(untold)


def check(channel: Channel, sender: Party, urgency: Severity | int, system_id: int | None) -> None:
    """Let one message pass, or raise RateLimited. *urgency* is a severity, or a priority of 0 to 10."""
    severity = urgency if isinstance(urgency, Severity) else severity_of_priority(urgency)
    if not settings.RATE_LIMITING:
        return
    wanted = policy.buckets(channel, sender, severity, system_id)
    refusal = limiter().take(wanted) if wanted else None
    if refusal:
        raise RateLimited(refusal, channel=channel, sender=sender, severity=severity, system_id=system_id)


def check_ingest(token_id: int, system_id: int | None = None) -> None:
    """Let one request with this token pass, or raise RateLimited."""
    if not settings.RATE_LIMITING:
        return
    limit = Limit(settings.INGEST_RATE, 1, settings.INGEST_BURST)
    bucket = Bucket(Layer.TOKEN, f"{Layer.TOKEN}:{token_id}", limit, counter_name(Layer.TOKEN, ""))
    refusal = limiter().take((bucket,))
    if refusal:
        raise RateLimited(refusal, system_id=system_id)


def hold_to(wanted: Mapping[int, float | None]) -> None:
    """Let each system say so many messages a second at most, as was bargained; None lets it go.

    Every process holds it within two seconds. Limits that people set stay beside it: the narrowest refuses. Where it
    holds already nothing is written.
    """
    rows = RateLimit.objects.filter(layer=Layer.BARGAIN, system__in=wanted)
    there = {row.system_id: Limit(row.limit, row.period_seconds, row.burst) for row in rows}
    rows.filter(system__in=[system_id for system_id, rate in wanted.items() if rate is None]).delete()
    for system_id, rate in wanted.items():
        limit = None if rate is None else limit_at(rate)
        if limit is not None and there.get(system_id) != limit:
            fields = {"limit": limit.limit, "period_seconds": limit.period_seconds, "burst": limit.burst}
            RateLimit.objects.update_or_create(system_id=system_id, layer=Layer.BARGAIN, key="", defaults=fields)


def bargained() -> set[int]:
    """Return which systems are held to what they bargained for."""
    rows = RateLimit.objects.filter(layer=Layer.BARGAIN, system__isnull=False)
    return set(rows.values_list("system_id", flat=True))


class Policy:
    """The rows of `RateLimit` as they were up to a second ago, and what follows from them."""

    def __init__(self) -> None:
        self._rows: Rows = {}
        self._buckets: dict[Place, tuple[Bucket, ...]] = {}
        self._read_at = -math.inf
        self._lock = threading.Lock()

    def rows(self) -> Rows:
        """Return the rows; one caller a second reads them, the others meanwhile use what there is."""
        if time.monotonic() - self._read_at < POLICY_SECONDS:
            return self._rows
        if self._lock.acquire(blocking=self._read_at < 0):  # whoever has never read them must wait
            try:
                self._rows, self._buckets = _read_rows(), {}
                self._read_at = time.monotonic()
            finally:
                self._lock.release()
        return self._rows

    def buckets(self, channel: Channel, sender: Party, severity: Severity, system_id: int | None) -> tuple[Bucket, ...]:
        """Return what a message must find room in, most specific first; worked out once per reading of the rows."""
        rows, known = self.rows(), self._buckets
        place = (channel, sender, severity, system_id)
        found = known.get(place)
        if found is None:
            found = known[place] = buckets(*place, rows=rows, bypass_critical=settings.RATE_LIMIT_BYPASS_CRITICAL)
        return found

    def forget(self) -> None:
        """Read the rows anew next time."""
        self._read_at = -math.inf


policy = Policy()
_limiter: GuardedLimiter | None = None
_lock = threading.Lock()


def limiter() -> GuardedLimiter:
    """Return this process's limiter, made on first use."""
    return _limiter or _make()


def _make() -> GuardedLimiter:
    global _limiter
    with _lock:
        if _limiter is None:
            _limiter = GuardedLimiter(import_string(settings.RATE_LIMITER)())
        return _limiter


def use_limiter(other: GuardedLimiter | None) -> None:
    """Use *other* from now on; None makes a new one on next use."""
    global _limiter
    with _lock:
        _limiter = other
    policy.forget()


def _read_rows() -> Rows:
    found = RateLimit.objects.values_list("system_id", "layer", "key", "limit", "period_seconds", "burst", "enabled")
    return {
        (system_id, layer, key): Limit(limit, period, burst) if enabled else None
        for system_id, layer, key, limit, period, burst, enabled in found
    }


def _reduced(bucket: Bucket) -> Bucket:
    return Bucket(bucket.layer, bucket.key, bucket.limit.share(LOCAL_SHARE), bucket.counter)
