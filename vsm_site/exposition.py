"""`/metrics`: what is measured, in Prometheus' words, read from the store and the tables when somebody asks.

Reading the store gives the same answer from any process. Only fresh measurements are shown; what is unknown is absent.
Celery's numbers go by the names and labels that the celery-exporter project uses, so that dashboards made for it work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from alerts.models import Alert
from subsystems.algedonic import queries as algedonic
from subsystems.health.models import Assessment
from subsystems.kernel import telemetry_events
from subsystems.kernel.errors import TransientError
from subsystems.messaging import limits
from subsystems.messaging.limit_policy import parse_counter
from subsystems.messaging.models import Message
from subsystems.messaging.queries import channel_states
from subsystems.recursion.models import System
from subsystems.recursion.queries import ROOT_SLUG, systems_for
from subsystems.s1_operations.models import CollectionCycle, Unit
from subsystems.telemetry import queries
from subsystems.telemetry.store import hot_tier
from vsm_site.api.authentication import principal

FRESH_SAMPLE_SECONDS = 60  # a worker or queue not heard of for longer is absent
FRESH_ASSESSMENT = timedelta(minutes=2)
MAX_LABELLED = 2_000  # workers and queues of one system; beyond it labels would be unbounded

# exposed name, our metric, the label that says which, help
WORKER_GAUGES = [
    ("celery_worker_up", "worker_up", "Whether the worker has recently sent a heartbeat."),
    ("celery_worker_tasks_active", "active", "Tasks that the worker is running."),
]
QUEUE_GAUGES = [
    ("celery_queue_length", "ready", "Messages waiting in the queue."),
    ("celery_active_consumer_count", "consumers", "Consumers of the queue."),
]


class PlatformCollector(Collector):
    """Everything that a reader of *systems* may see; the platform's own health with the root system."""

    def __init__(self, systems: Iterable[System], *, now: float, aliases: bool = True) -> None:
        self._systems = {system.pk: system.slug for system in systems}
        self._now = now
        self._aliases = aliases

    def collect(self) -> Iterator[Metric]:
        """Yield the families; a hot tier that is down takes only its own along."""
        yield from self._assessments()
        yield from self._counts()
        yield from self._signals()
        hot: list[Callable[[], Iterator[Metric]]] = [self._celery]
        if ROOT_SLUG in self._systems.values():
            yield from self._cycle()
            yield from self._outbox()
            yield from self._channels()
            yield from self._lane()
            yield from self._limits()
            yield from _telemetry()
            hot.append(self._hot_tier)
        yield from self._of_hot_tier(hot)

    def _assessments(self) -> Iterator[Metric]:
        score = GaugeMetricFamily("vsm_viability_score", "Viability of the system, 0 to 1.", labels=["system"])
        health = GaugeMetricFamily(
            "vsm_system_health", "Health of each of the five subsystems, 0 to 100.", labels=["system", "subsystem"]
        )
        for slug, assessment in self._newest_assessments().items():
            _add(score, [slug], assessment.score)
            for name, found in assessment.subsystems.items():
                known = found.get("score")
                _add(health, [slug, name], None if known is None else 100 * known)
        yield from (score, health)

    def _newest_assessments(self) -> dict[str, Assessment]:
        since = datetime.fromtimestamp(self._now, UTC) - FRESH_ASSESSMENT
        rows = Assessment.objects.filter(system_id__in=self._systems, assessed_at__gte=since).order_by("slot")
        return {self._systems[row.system_id]: row for row in rows}

    def _counts(self) -> Iterator[Metric]:
        units = GaugeMetricFamily("vsm_units", "Units by kind and state.", labels=["system", "kind", "state"])
        rows = Unit.objects.filter(system_id__in=self._systems).values_list("system_id", "kind", "state").order_by()
        for system_id, kind, state, n in rows.annotate(Count("pk")):
            units.add_metric([self._systems[system_id], kind, state], n)
        alerts = GaugeMetricFamily("vsm_alerts_firing", "Alerts that fire.", labels=["system", "severity"])
        firing = Alert.objects.filter(system_id__in=self._systems, state=Alert.State.FIRING)
        for system_id, severity, n in firing.values_list("system_id", "severity").order_by().annotate(Count("pk")):
            alerts.add_metric([self._systems[system_id], severity], n)
        yield from (units, alerts)

    def _signals(self) -> Iterator[Metric]:
        """Count signals under the documented name and, as Prometheus asks of a counter, with `_total` (2-21)."""
        labels = ["system", "type", "severity"]
        total = CounterMetricFamily("vsm_algedonic_signals", "Algedonic signals recorded.", labels=labels)
        alias = GaugeMetricFamily("vsm_algedonic_signals", "The same under its documented name.", labels=labels)
        for system_id, type_, severity, n in algedonic.tallies(self._systems):
            for family in (total, alias):
                family.add_metric([self._systems[system_id], type_, severity], n)
        unfinished = GaugeMetricFamily("vsm_algedonic_signals_open", "Signals that are not over.", labels=labels)
        for system_id, type_, severity, n in algedonic.open_counts(self._systems):
            unfinished.add_metric([self._systems[system_id], type_, severity], n)
        yield total
        if self._aliases:
            yield alias
        yield unfinished

    def _lane(self) -> Iterator[Metric]:
        state = algedonic.lane_state(now=datetime.fromtimestamp(self._now, UTC))
        latency = GaugeMetricFamily(
            "vsm_self_lane_latency_seconds", "From a canary's row to S5's handler, last hour.", labels=["quantile"]
        )
        _add(latency, ["0.5"], state.p50_seconds)
        _add(latency, ["0.99"], state.p99_seconds)
        yield latency
        yield CounterMetricFamily("vsm_self_lane_lost", "Canaries not through within 30 s.", value=state.lost)
        yield _gauge("vsm_self_lane_failing", "Whether the algedonic lane has failed.", float(state.failing))
        if state.age_seconds is not None:
            yield _gauge("vsm_self_lane_age_seconds", "Since a canary last came through.", state.age_seconds)

    def _celery(self) -> Iterator[Metric]:
        workers = [GaugeMetricFamily(name, text, labels=["hostname", *_PLACE]) for name, _, text in WORKER_GAUGES]
        queues = [GaugeMetricFamily(name, text, labels=["queue_name", *_PLACE]) for name, _, text in QUEUE_GAUGES]
        for system_id, slug in self._systems.items():
            values = self._fresh_values(system_id)
            for kind, sources in self._members(system_id).items():
                families, gauges = (workers, WORKER_GAUGES) if kind == "celery_worker" else (queues, QUEUE_GAUGES)
                for source, labels in sources.items():
                    for family, (_, metric, _text) in zip(families, gauges, strict=True):
                        _add(family, [*labels, slug], values.get(source, {}).get(metric))
        yield from workers + queues

    def _fresh_values(self, system_id: int) -> dict[str, dict[str, float]]:
        metrics = [metric for _, metric, _text in WORKER_GAUGES + QUEUE_GAUGES]
        found = queries.latest(system_id, metrics=metrics)
        oldest = self._now - FRESH_SAMPLE_SECONDS
        return {
            source: {metric: value for metric, (at, value) in known.items() if at >= oldest}
            for source, known in found.items()
        }

    def _members(self, system_id: int) -> dict[str, dict[str, list[str]]]:
        """Return kind -> source -> [name within the fleet, fleet]."""
        members: dict[str, dict[str, list[str]]] = {"celery_worker": {}, "celery_queue": {}}
        units = Unit.objects.filter(system_id=system_id, kind__in=members, fleet__isnull=False)
        for kind, name, fleet in units.values_list("kind", "name", "fleet__name")[:MAX_LABELLED]:
            members[kind][name] = [name.removeprefix(f"{fleet}/"), fleet]
        return members

    def _cycle(self) -> Iterator[Metric]:
        last = CollectionCycle.objects.filter(duration_ms__isnull=False).first()
        if last is None or last.duration_ms is None:
            return
        started = last.started_at.timestamp()
        yield _gauge("vsm_self_tick_lag_seconds", "How late the last collection began.", started - last.slot)
        yield _gauge("vsm_self_last_cycle_age_seconds", "Since the last collection began.", self._now - started)
        yield _gauge("vsm_self_cycle_duration_seconds", "How long the last collection took.", last.duration_ms / 1000)
        yield _gauge("vsm_self_cycle_units", "Units that the last collection asked.", last.unit_count)
        yield _gauge("vsm_self_cycle_units_answered", "Units that answered it.", last.answered_count)

    def _outbox(self) -> Iterator[Metric]:
        waiting = (
            Message.objects.filter(state=Message.State.WAITING)
            .order_by()
            .aggregate(n=Count("pk"), oldest=Min("created_at"))
        )
        age = 0.0 if waiting["oldest"] is None else self._now - waiting["oldest"].timestamp()
        yield _gauge("vsm_self_outbox_unsent", "Messages that have not left yet.", waiting["n"])
        yield _gauge("vsm_self_outbox_oldest_age_seconds", "Age of the oldest of them; 0 when there is none.", age)

    def _channels(self) -> Iterator[Metric]:
        """Channels hold open messages, accepted and not yet handled (the second principle: utilisation below 1)."""
        families = [
            GaugeMetricFamily("vsm_channel_backlog", "Messages accepted and not yet handled.", labels=["channel"]),
            GaugeMetricFamily("vsm_channel_oldest_age_seconds", "Age of the oldest of them.", labels=["channel"]),
            GaugeMetricFamily("vsm_channel_utilisation", "Share of the channel's room in use.", labels=["channel"]),
        ]
        for channel, state in channel_states().items():
            for family, value in zip(
                families, (state.backlog, state.oldest_age_seconds, state.utilisation), strict=True
            ):
                family.add_metric([str(channel)], value)
        yield from families

    def _limits(self) -> Iterator[Metric]:
        try:
            counters = limits.limiter().counters()
        except TransientError:
            return  # absent, never zero
        yield from _rate_limited(counters)

    def _hot_tier(self) -> Iterator[Metric]:
        tier = hot_tier()
        yield _gauge("vsm_self_hot_samples", "Samples in the hot tier.", tier.size())
        yield _gauge("vsm_self_hot_samples_limit", "Samples that it can hold.", settings.HOT_MAX_SAMPLES)
        counters = tier.counters()
        yield _dropped(counters)
        text = "Requests with samples that were told to come back because too much was under way."
        yield CounterMetricFamily("vsm_self_ingest_refused", text, value=counters.get("refused_busy", 0))

    def _of_hot_tier(self, parts: Iterable[Callable[[], Iterator[Metric]]]) -> Iterator[Metric]:
        try:
            families = [family for part in parts for family in part()]
        except TransientError:
            families = []
        yield _gauge("vsm_self_hot_tier_up", "Whether the hot tier answers.", float(bool(families)))
        yield from families


_PLACE = ["fleet", "system"]


@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Answer a scrape with what its token (or the person logged in) may read."""
    who = principal(request)
    if who is None:
        headers = {"WWW-Authenticate": 'Bearer realm="vsm"'}
        return _plain("A token with the scope read is needed, or a login.\n", 401, headers)
    user, token = who
    systems = list(systems_for(user, "read", token).order_by("slug"))
    if not systems:
        return _plain("This needs the scope read.\n", 403)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    registry = CollectorRegistry(auto_describe=False)
    aliases = "openmetrics" not in content_type  # there a counter's name without `_total` is the name of its family
    registry.register(PlatformCollector(systems, now=time.time(), aliases=aliases))
    ProcessCollector(registry=registry)
    return HttpResponse(encode(registry), content_type=content_type, headers={"Cache-Control": "no-store"})


def _plain(text: str, status: int, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=dict(headers or {}))


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    """Add a value that is known; None is left out, as nothing may pass for zero."""
    if value is not None:
        family.add_metric(labels, value)


def _dropped(counters: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily("vsm_self_dropped_samples", "Samples refused or forgotten early.", labels=["reason"])
    for name, n in sorted(counters.items()):
        if name.startswith("dropped_"):
            family.add_metric([name.removeprefix("dropped_")], n)
    return family


def _rate_limited(counters: Mapping[str, int]) -> Iterator[Metric]:
    refused = CounterMetricFamily("vsm_rate_limited", "Refused by the rate limiter.", labels=["layer", "severity"])
    for name, n in sorted(counters.items()):
        place = parse_counter(name)
        if place is not None:
            refused.add_metric(list(place), n)
    fallbacks = CounterMetricFamily("vsm_self_rate_limiter_fallbacks", "Checks made without the shared limiter.")
    fallbacks.add_metric([], counters.get(limits.FALLBACKS, 0))
    yield from (refused, fallbacks)


def _telemetry() -> Iterator[Metric]:
    """What was told in this process: the names are declared, so the labels are bounded."""
    told = CounterMetricFamily("vsm_telemetry_events", "Telemetry events of this process.", labels=["event"])
    for name, n in telemetry_events.collector.counts().items():
        told.add_metric([name], n)
    failures = CounterMetricFamily("vsm_self_telemetry_handler_failures", "Telemetry handlers that raised.")
    failures.add_metric([], telemetry_events.bus.failure_count())
    yield from (told, failures)
