"""How the platform itself does: its ticks, its outbox and channels, its lane, its limits and its store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psutil
from django.conf import settings
from django.db.models import Count, Min
from django.utils import timezone

from alerts.checks import beating
from subsystems.algedonic import queries as algedonic
from subsystems.kernel import telemetry_events
from subsystems.kernel.errors import TransientError
from subsystems.messaging import limits
from subsystems.messaging.limit_policy import parse_counter
from subsystems.messaging.models import Message
from subsystems.messaging.queries import channel_states
from subsystems.s1_operations.models import CollectionCycle
from subsystems.telemetry.families import Family, counter, gauge, single
from subsystems.telemetry.models import ExportTarget
from subsystems.telemetry.store import hot_tier
from vsm_site.exposition.scope import Scope


def tables(scope: Scope) -> Iterator[Family]:
    """Yield what the tables and this process tell."""
    yield from _cycle(scope.now)
    yield from _outbox(scope.now)
    yield from _channels()
    yield from _lane(scope)
    yield from _limits()
    yield from _telemetry()
    yield from _exports(scope.now)
    yield from _heartbeat()


def _heartbeat() -> Iterator[Family]:
    told = beating.body(now=timezone.now())
    if not told["configured"]:
        return
    if told["age_seconds"] is not None:
        yield single("vsm_self_heartbeat_age_seconds", "Since somebody outside took a heartbeat.", told["age_seconds"])
    outcome = counter("vsm_self_heartbeats_failed", "Heartbeats not taken, or withheld.", "reason")
    outcome.add(told["failures_total"], "not_taken")
    outcome.add(told["withheld_total"], "withheld")
    yield outcome


def _cycle(now: float) -> Iterator[Family]:
    last = CollectionCycle.objects.filter(duration_ms__isnull=False).first()
    if last is None or last.duration_ms is None:
        return
    started = last.started_at.timestamp()
    yield single("vsm_self_tick_lag_seconds", "How late the last collection began.", started - last.slot)
    yield single("vsm_self_last_cycle_age_seconds", "Since the last collection began.", now - started)
    yield single("vsm_self_cycle_duration_seconds", "How long the last collection took.", last.duration_ms / 1000)
    yield single("vsm_self_cycle_units", "Units that the last collection asked.", last.unit_count)
    yield single("vsm_self_cycle_units_answered", "Units that answered it.", last.answered_count)


def _outbox(now: float) -> Iterator[Family]:
    waiting = (
        Message.objects.filter(state=Message.State.WAITING)
        .order_by()
        .aggregate(n=Count("pk"), oldest=Min("created_at"))
    )
    age = 0.0 if waiting["oldest"] is None else now - waiting["oldest"].timestamp()
    yield single("vsm_self_outbox_unsent", "Messages that have not left yet.", waiting["n"])
    yield single("vsm_self_outbox_oldest_age_seconds", "Age of the oldest of them; 0 when there is none.", age)


def _channels() -> Iterator[Family]:
    """Yield how full the channels are: open messages (the second principle: utilisation below 1)."""
    backlog = gauge("vsm_channel_backlog", "Messages accepted and not yet handled.", "channel")
    age = gauge("vsm_channel_oldest_age_seconds", "Age of the oldest of them.", "channel")
    used = gauge("vsm_channel_utilisation", "Share of the channel's room in use.", "channel")
    for channel, state in channel_states().items():
        backlog.add(state.backlog, str(channel))
        age.add(state.oldest_age_seconds, str(channel))
        used.add(state.utilisation, str(channel))
    yield from (backlog, age, used)


def _lane(scope: Scope) -> Iterator[Family]:
    state = algedonic.lane_state(now=scope.moment)
    text = "From a canary's row to S5's handler, last hour."
    latency = Family("vsm_self_lane_latency_seconds", "summary", text, ("quantile",))
    latency.add(state.p50_seconds, "0.5")
    latency.add(state.p99_seconds, "0.99")
    lost = counter("vsm_self_lane_lost", "Canaries not through within 30 s.")
    lost.add(state.lost)
    yield from (latency, lost)
    yield single("vsm_self_lane_failing", "Whether the algedonic lane has failed.", float(state.failing))
    yield single("vsm_self_lane_age_seconds", "Since a canary last came through.", state.age_seconds)


def _limits() -> Iterator[Family]:
    try:
        counters = limits.limiter().counters()
    except TransientError:
        return  # absent, never zero
    refused = counter("vsm_rate_limited", "Refused by the rate limiter.", "layer", "severity")
    for name, n in sorted(counters.items()):
        place = parse_counter(name)
        if place is not None:
            refused.add(n, *place)
    fallbacks = counter("vsm_self_rate_limiter_fallbacks", "Checks made without the shared limiter.")
    fallbacks.add(counters.get(limits.FALLBACKS, 0))
    yield from (refused, fallbacks)


def _exports(now: float) -> Iterator[Family]:
    """Yield what became of the numbers that were to be sent elsewhere."""
    numbers = counter("vsm_self_export_samples", "Numbers sent to a target, or dropped.", "target", "outcome")
    failing = gauge("vsm_self_export_failures", "Failures in a row; 0 while all is well.", "target")
    age = gauge("vsm_self_export_age_seconds", "Since all that was due was sent.", "target")
    for target in ExportTarget.objects.filter(enabled=True):
        numbers.add(target.sent_samples, target.name, "sent")
        numbers.add(target.dropped_samples, target.name, "dropped")
        failing.add(target.failures, target.name)
        age.add(now - target.sent_at.timestamp() if target.sent_at else None, target.name)
    yield from (numbers, failing, age)


def _telemetry() -> Iterator[Family]:
    """Yield what was told in this process: the names are declared, so the labels are bounded."""
    told = counter("vsm_telemetry_events", "Telemetry events of this process.", "event")
    for name, n in telemetry_events.collector.counts().items():
        told.add(n, name)
    failures = counter("vsm_self_telemetry_handler_failures", "Telemetry handlers that raised.")
    failures.add(telemetry_events.bus.failure_count())
    yield from (told, failures)


def store(scope: Scope) -> Iterator[Family]:
    """Yield how full the hot tier is and what was lost. Raises TransientError when it is away."""
    tier = hot_tier()
    yield single("vsm_self_hot_samples", "Samples in the hot tier.", tier.size())
    yield single("vsm_self_hot_samples_limit", "Samples that it can hold.", settings.HOT_MAX_SAMPLES)
    counters = tier.counters()
    yield _dropped(counters)
    yield from _odd_times(counters)
    refused = counter("vsm_self_ingest_refused", "Requests with samples that came while too much was under way.")
    refused.add(counters.get("refused_busy", 0))
    yield refused


def _odd_times(counters: Mapping[str, int]) -> Iterator[Family]:
    late = counter("vsm_self_late_samples", "Samples kept that came over a minute after their time.")
    late.add(counters.get("late_samples", 0))
    ahead = counter("vsm_self_ahead_samples", "Samples kept of clocks that are ahead of this one, by a minute at most.")
    ahead.add(counters.get("ahead_samples", 0))
    yield from (late, ahead)


def _dropped(counters: Mapping[str, int]) -> Family:
    family = counter("vsm_self_dropped_samples", "Samples refused or forgotten early.", "reason")
    for name, n in sorted(counters.items()):
        if name.startswith("dropped_"):
            family.add(n, name.removeprefix("dropped_"))
    return family


def process() -> Iterator[Family]:
    """Yield what this very process takes, under the names that Prometheus' clients share."""
    own = psutil.Process()
    with own.oneshot():
        cpu, memory = own.cpu_times(), own.memory_info()
        seconds = counter("process_cpu_seconds", "Total user and system CPU time spent in seconds.")
        seconds.add(cpu.user + cpu.system)
        yield seconds
        yield single("process_resident_memory_bytes", "Resident memory size in bytes.", memory.rss)
        yield single("process_virtual_memory_bytes", "Virtual memory size in bytes.", memory.vms)
        yield single("process_start_time_seconds", "Start time since the epoch in seconds.", own.create_time())
        if hasattr(own, "num_fds"):
            yield single("process_open_fds", "Number of open file descriptors.", own.num_fds())
        if hasattr(own, "rlimit"):
            limit = own.rlimit(psutil.RLIMIT_NOFILE)[0]
            yield single("process_max_fds", "Maximum number of open file descriptors.", limit)
