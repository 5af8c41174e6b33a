"""Verbs of S1: which fleets and units are watched, what agents push, what is forgotten."""

from __future__ import annotations

import logging
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, Q, RestrictedError, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from kombu import Connection
from pydantic import ValidationError

from subsystems.algedonic.queries import CAUSE, open_pains
from subsystems.algedonic.services import end_by_itself, try_to_raise
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.health import mean_known
from subsystems.kernel.severity import Severity
from subsystems.messaging.channels import Party
from subsystems.messaging.live import push
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import adapters, broker_urls
from subsystems.s1_operations.adapters.agent import HEALTH_METRICS, SILENT_AFTER_SECONDS, health_parts
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_link import MAX_QUEUES, link_errors, watching_app
from subsystems.s1_operations.adapters.http import is_allowed, literal_address
from subsystems.s1_operations.models import CollectionCycle, CollectionFailure, Fleet, Unit
from subsystems.s1_operations.queries import fleet_body, unit_body
from subsystems.s1_operations.roles import role_of
from subsystems.s1_operations.sealing import seal
from subsystems.telemetry import merging
from subsystems.telemetry.samples import Outcome, Refusal, Sample, series_name, source_refusal
from subsystems.telemetry.services import record, record_table
from subsystems.telemetry.tables import Mask, Table, table_of
from subsystems.variety import gathering
from subsystems.variety.batches import Pushed
from subsystems.variety.services import take

logger = logging.getLogger(__name__)
OWN_FLEET = "vsm"
APPEARING = {"celery_worker", "celery_queue"}  # kinds whose units appear by themselves
LEAVING = {*APPEARING, "host"}  # and those that leave by themselves
CONNECT_SECONDS = 3.0
KEEP_FAILURES = timedelta(hours=24)  # 002-16
MAX_FAILURES = 200_000  # a day of 12 dead units is that many: more would tell nothing new
KEEP_CYCLES = timedelta(hours=24)
GONE_AFTER = timedelta(hours=1)  # in containers workers get a new name at each restart; the old one has left for good
KEEP_GONE = timedelta(days=7)  # then its series go to its role
GONE_AT_ONCE = 500
GOODBYE_SHOWN = timedelta(minutes=10)  # how long a worker that was stopped properly is shown as silent
MAX_AGENTS = 10_000  # per system: a source per request must not fill the database
SILENCE = "silence"  # the source of a pain about many units, and the cause of every such pain
MAX_NAMED = 1_000  # units that one pain names
MAX_TOLD = 500  # series of one batch of which open dashboards are told at once; the others they read
SEEN_RESOLUTION_SECONDS = 2.0  # how fresh `last_seen_at` of an agent is kept: not a write per batch


# --- Fleets ---------------------------------------------------------------------------------------------------------
def watch_fleet(system: System, url: str, *, name: str = "") -> Fleet:
    """Watch the Celery application on the broker at *url*; its workers and queues appear with the next cycles.

    A broker that is down is watched all the same, and the fleet says so. Raises Invalid naming `url` or `name`.
    """
    url = broker_urls.check(url)
    name = _free_name(system, name.strip() or broker_urls.default_name(url))
    error = try_connection(url)
    try:
        with transaction.atomic():
            fleet = Fleet.objects.create(
                system=system,
                name=name,
                broker_url_sealed=seal(url, settings.SECRET_KEY),
                broker_display=broker_urls.display(url)[:300],
                connected_at=None if error else timezone.now(),
                last_error=error,
            )
    except IntegrityError:
        raise Invalid(f"There is a fleet named {name!r} already.", field="name") from None
    push(system.pk, "fleet", str(fleet.pk), fleet_body(fleet))
    return fleet


def forget_fleet(fleet: Fleet) -> None:
    """Stop watching a fleet and forget its units. The platform's own fleet cannot be forgotten."""
    if fleet.own:
        raise Refused("The platform always watches its own workers.")
    key = str(fleet.pk)
    try:
        fleet.delete()
    except RestrictedError as error:
        raise _still_watched(fleet.name, error) from None
    push(fleet.system_id, "fleet", key, None)


def try_connection(url: str) -> str:
    """Return why the broker cannot be reached within 3 s, or an empty text; never the credentials."""
    app = watching_app(FleetRef(0, "try", url))
    connection: Connection = app.connection_for_read(connect_timeout=CONNECT_SECONDS)
    try:
        connection.connect()
    except link_errors(app) as error:
        return broker_urls.scrub(str(error) or type(error).__name__, url)
    finally:
        connection.collect(socket_timeout=0.5)
    return ""


def ensure_own_units() -> None:
    """Let the platform watch itself: this host, and its own workers and queues. Doing it twice changes nothing."""
    system = root_system()
    Fleet.objects.get_or_create(
        system=system,
        name=OWN_FLEET,
        defaults={"own": True, "broker_display": broker_urls.display(settings.BROKER_URL)[:300]},
    )
    Unit.objects.get_or_create(system=system, kind="host", name=socket.gethostname())


def own_queues() -> list[str]:
    """Return the names of the platform's own queues."""
    return [queue.name for queue in current_app.conf.task_queues or ()]


def _free_name(system: System, name: str) -> str:
    if not name.isprintable() or len(name) > 100 or "/" in name[:1]:
        raise Invalid("A fleet's name is at most 100 printable characters.", field="name")
    if Fleet.objects.filter(system=system, name=name).exists():
        raise Invalid(f"There is a fleet named {name!r} already.", field="name")
    for other in Fleet.objects.filter(system=system).values_list("name", flat=True):
        # The queue b/c of a fleet a would be called like the queue c of a fleet a/b.
        if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
            raise Invalid(f"Its units could be called like those of the fleet {other!r}: choose another.", field="name")
    return name


# --- Units ----------------------------------------------------------------------------------------------------------
def add_unit(system: System, kind: str, name: str, config: Mapping[str, Any]) -> Unit:
    """Watch one more unit. Raises Invalid naming `kind`, `name` or the field of `config` at fault."""
    adapter = adapters.registry().get(kind)
    if adapter is None or kind in APPEARING or kind == "host":
        offered = sorted(set(adapters.registry()) - APPEARING - {"host"})
        raise Invalid(f"The kinds that can be added are {', '.join(offered)}; got {kind!r:.60}.", field="kind")
    checked = check_config(kind, config)
    name = check_name(name)
    try:
        with transaction.atomic():
            unit = Unit.objects.create(system=system, kind=kind, name=name, config=checked)
    except IntegrityError:
        raise Invalid(f"There is a unit of kind {kind} named {name!r:.80} already.", field="name") from None
    _tell(unit)
    return unit


def check_name(name: str) -> str:
    """Return a unit's name that can be the source of its series. Raises Invalid."""
    refusal = source_refusal(name.strip() if isinstance(name, str) else name)
    if refusal:
        raise Invalid(refusal[1], field="name")
    return name.strip()


def check_config(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return *config* as the kind's adapter understands it. Raises Invalid naming the field."""
    if not isinstance(config, Mapping):
        raise Invalid("The configuration must be an object.", field="config")
    try:
        checked = adapters.registry()[kind].Config.model_validate(dict(config))
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(["config", *(str(part) for part in mistake["loc"])])
        raise Invalid(f"{field}: {mistake['msg']}", field=field) from None
    if kind in {"http", "prometheus"}:
        _refuse_internal(str(getattr(getattr(checked, "url", None), "host", "")))
    return checked.model_dump(mode="json", exclude_unset=True)


def notice_queues(fleet: Fleet, names: Sequence[str]) -> int:
    """Measure queues of which no worker tells; return how many are new. Doing it twice changes nothing."""
    known = Unit.objects.filter(fleet=fleet, kind="celery_queue").count()
    fitting = [name for name in names if 0 < len(name) <= 200 - len(fleet.name) - 1 and name.isprintable()]
    units = [
        Unit(system_id=fleet.system_id, fleet=fleet, kind="celery_queue", name=f"{fleet.name}/{name}")
        for name in fitting[: max(0, MAX_QUEUES - known)]
    ]
    Unit.objects.bulk_create(units, ignore_conflicts=True)
    return len(units)


def pause_unit(unit: Unit) -> Unit:
    """Stop collecting *unit* until it is resumed."""
    return _set_state(unit, Unit.State.PAUSED)


def resume_unit(unit: Unit) -> Unit:
    """Collect *unit* again; until it is heard nothing is known of it."""
    if unit.state != Unit.State.PAUSED:
        raise Refused(f"{unit.name} is not paused.")
    return _set_state(unit, Unit.State.NEW)


def forget_unit(unit: Unit) -> None:
    """Delete *unit*. One that appears by itself comes back when it is heard again: pause it instead.

    Raises Refused naming the alert rules that watch it, and it alone: they would go with it, and nobody would know.
    """
    key = str(unit.pk)
    try:
        unit.delete()
    except RestrictedError as error:
        raise _still_watched(unit.name, error) from None
    push(unit.system_id, "unit", key, None)


def _still_watched(name: str, error: RestrictedError) -> Refused:
    rules = sorted(str(rule) for rule in error.restricted_objects)
    some = ", ".join(f"“{rule}”" for rule in rules[:10]) + (f" and {len(rules) - 10} more" if len(rules) > 10 else "")
    return Refused(f"{name} has alert rules: {some}. Delete them first, or let them watch another unit.", code="in_use")


def _set_state(unit: Unit, state: Unit.State) -> Unit:
    unit.state, unit.score, unit.health_parts, unit.last_error = state, None, {}, ""
    unit.save(update_fields=["state", "score", "health_parts", "last_error"])
    gathering.decided(unit.name, "pause" if state == Unit.State.PAUSED else "resume", system_id=unit.system_id)
    _tell(unit)
    return unit


def _refuse_internal(host: str) -> None:
    address = literal_address(host)
    if address is not None and not is_allowed(host, address, settings.HTTP_ALLOW):
        raise Invalid(
            f"{host} is an internal address; VSM_HTTP_ALLOW must list it before it can be watched.", field="config.url"
        )


def _tell(unit: Unit) -> None:
    push(unit.system_id, "unit", str(unit.pk), unit_body(unit))


# --- Agents that push -----------------------------------------------------------------------------------------------
@dataclass
class KnownAgent:
    """What this process remembers of an agent, so that a batch costs no query but its own."""

    unit_id: int
    silent_after_seconds: float
    heard_at: float  # epoch seconds
    written_at: float
    parts: dict[str, float | None]


_agents: dict[tuple[int, str], KnownAgent] = {}
_agents_lock = Lock()


def receive_batch(system: System, source: str, samples: Sequence[Sample], *, now: datetime | None = None) -> Outcome:
    """Record what one agent pushed; for callers with few samples. See `receive_table`."""
    return receive_table(system, table_of({source: samples}), now=now)


def receive_table(system: System, table: Table, *, now: datetime | None = None) -> Outcome:
    """Record what agents pushed; a unit appears with the first samples of its source.

    Raises Refused naming `source` when the only source may not push; among several only its samples are refused.
    """
    now = now or timezone.now()
    agents, refused = _pushing(system, table, now)
    outcome = record_table(table, system_id=system.pk, now=now.timestamp(), refused=refused)
    for source, latest in _latest(table, outcome.kept).items() if outcome.accepted else ():
        _touch(system, source, agents[source], latest, now)
        push(system.pk, "samples", str(agents[source].unit_id), latest)
    return outcome


def receive_operations(system: System, pushed: Pushed, *, now: datetime | None = None) -> None:
    """Keep what an agent told of its operations; its unit appears with the first of them, as with its samples.

    Raises Refused naming `source` when that may not push.
    """
    now = now or timezone.now()
    agent = _known_agent(system, pushed.source, now)
    take(system, pushed, now=now.timestamp())
    if now.timestamp() - agent.heard_at >= SEEN_RESOLUTION_SECONDS:
        _touch(system, pushed.source, agent, {}, now, parts=agent.parts)


def _pushing(system: System, table: Table, now: datetime) -> tuple[dict[str, KnownAgent], dict[int, Refusal]]:
    """Return the agents of a table's sources, and by code the names of those that may not push."""
    sources = table.sources()
    agents: dict[str, KnownAgent] = {}
    wrong: dict[str, Refusal] = {}
    for source in sources:
        try:
            agents[source] = _known_agent(system, source, now)
        except Refused as error:
            if len(sources) == 1:
                raise
            wrong[source] = error.code, error.detail
    names = enumerate(table.names) if wrong else ()
    return agents, {code: wrong[name[0]] for code, name in names if name[0] in wrong}


def _latest(table: Table, kept: Mask | None) -> dict[str, dict[str, list[float]]]:
    """Return by source the newest values of its series by name: what a dashboard is told, of many series not all."""
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for code, at, value in table.newest(kept, table.shown(MAX_TOLD, HEALTH_METRICS)):
        source, metric, labels = table.names[code]
        found[source][series_name(metric, labels)] = [at, value]
    return found


def _known_agent(system: System, source: str, now: datetime) -> KnownAgent:
    known = _agents.get((system.pk, source))
    return known or _remember_agent(system, source, now)


def _remember_agent(system: System, source: str, now: datetime) -> KnownAgent:
    unit = _agent_unit(system, source)
    silent_after = float(unit.config.get("silent_after_seconds", SILENT_AFTER_SECONDS))
    agent = KnownAgent(unit.pk, silent_after, heard_at=0.0, written_at=0.0, parts=dict(unit.health_parts))
    with _agents_lock:
        if len(_agents) >= 4 * MAX_AGENTS:
            _agents.clear()  # bounded; each comes back with its next batch
        _agents[system.pk, source] = agent
    return agent


def _agent_unit(system: System, source: str) -> Unit:
    refusal = source_refusal(source)
    if refusal:
        raise Invalid(refusal[1], field="source")
    units = {unit.kind: unit for unit in Unit.objects.filter(system=system, name=source)}
    if "agent" in units:
        return units["agent"]
    if units:
        raise Invalid(f"{source!r:.80} is the name of a unit that the platform measures itself.", field="source")
    if Unit.objects.filter(system=system, kind="agent").count() >= MAX_AGENTS:
        raise Refused(f"There are {MAX_AGENTS} agents already.", field="source", code="too_many_agents")
    return Unit.objects.get_or_create(system=system, kind="agent", name=source)[0]


def _touch(
    system: System,
    source: str,
    agent: KnownAgent,
    latest: dict[str, list[float]],
    now: datetime,
    *,
    parts: dict[str, float | None] | None = None,
) -> None:
    """Note that an agent was heard: one UPDATE every two seconds, and a push when something about it changed.

    *parts* are its health where its samples do not tell it.
    """
    moment = now.timestamp()
    returned = moment - agent.heard_at >= agent.silent_after_seconds  # or its first batch in this process
    if parts is None:
        parts = _rounded(health_parts({metric: value for metric, (_, value) in latest.items()}))
    agent.heard_at = moment
    changed = returned or parts != agent.parts
    if not changed and moment - agent.written_at < SEEN_RESOLUTION_SECONDS:
        return
    agent.written_at, agent.parts = moment, parts
    if not changed and _note_heard(system, source, agent, now):
        return
    updated = Unit.objects.filter(pk=agent.unit_id, system=system, kind="agent", name=source).update(
        last_seen_at=now,
        score=Case(When(state=Unit.State.PAUSED, then=F("score")), default=Value(mean_known(parts.values()))),
        health_parts=parts,
        last_error="",
        state=Case(When(state=Unit.State.PAUSED, then=F("state")), default=Value(Unit.State.ACTIVE.value)),
    )
    if not updated:  # it was forgotten meanwhile: it appears again
        with _agents_lock:
            _agents.pop((system.pk, source), None)
        agent.unit_id = _known_agent(system, source, now).unit_id
        _touch(system, source, _agents[system.pk, source], latest, now, parts=parts)
    else:
        _tell(Unit.objects.select_related("fleet").get(pk=agent.unit_id))


# By hand: building this statement anew takes twenty times as long as it does, and most batches are nothing else.
NOTE_HEARD = (
    "UPDATE s1_operations_unit SET last_seen_at = %s"
    " WHERE id = %s AND system_id = %s AND kind = 'agent' AND name = %s AND state IN ('active', 'paused')"
)


def _note_heard(system: System, source: str, agent: KnownAgent, now: datetime) -> bool:
    """Write only when an agent was heard; return False when more than that is news."""
    moment = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        cursor.execute(NOTE_HEARD, [moment, agent.unit_id, system.pk, source])
        return bool(cursor.rowcount)


def _rounded(parts: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 3) for name, value in parts.items()}


# --- Workers heard through their events -----------------------------------------------------------------------------
def hear_workers(
    fleet: Fleet, reports: Mapping[str, Mapping[str, float]], *, heard: Sequence[str], now: datetime
) -> None:
    """Record what events told of workers, by node name, and that those in *heard* live.

    Only workers that are units already: events do not tell which of the applications on a broker a worker is of.
    """
    units = {
        unit.name: unit
        for unit in Unit.objects.filter(fleet=fleet, kind="celery_worker").exclude(state=Unit.State.PAUSED)
    }
    known = {name: units[f"{fleet.name}/{name}"] for name in {*reports, *heard} if f"{fleet.name}/{name}" in units}
    at = now.timestamp()
    batches = {
        known[name].name: [Sample(metric, at, value) for metric, value in metrics.items()]
        for name, metrics in reports.items()
        if name in known and metrics
    }
    if batches:
        record(batches, system_id=fleet.system_id, now=at)
    for name in reports:
        if name in known:
            body = {metric: [at, value] for metric, value in reports[name].items()}
            push(fleet.system_id, "samples", str(known[name].pk), body)
    alive = [known[name] for name in heard if name in known]
    if alive:
        Unit.objects.filter(pk__in=[unit.pk for unit in alive]).update(last_seen_at=now)
    revive([unit for unit in alive if unit.state != Unit.State.ACTIVE])


def revive(units: Sequence[Unit]) -> None:
    """Mark units that are heard again active; how well they are is for the next reading to say."""
    if not units:
        return
    keys = [unit.pk for unit in units]
    claimed = Unit.objects.filter(pk__in=keys).exclude(state__in=[Unit.State.PAUSED, Unit.State.ACTIVE])
    claimed.update(state=Unit.State.ACTIVE, score=None, health_parts={}, last_error="")
    for unit in Unit.objects.filter(pk__in=keys, state=Unit.State.ACTIVE).select_related("fleet"):
        _tell(unit)


def report_offline(fleet: Fleet, names: Sequence[str], *, now: datetime) -> int:
    """Take leave of workers that said goodbye; return of how many units.

    Who stopped another's worker should see it: it is silent first, and gone a little later. Our own are gone at once,
    for the platform restarts them itself, and a host goes with its last worker.
    """
    full_names = [f"{fleet.name}/{name}" for name in names]
    leaving = Q(fleet=fleet, kind="celery_worker", name__in=full_names)
    if fleet.own:
        leaving |= Q(system=fleet.system_id, kind="host", name__in=_hosts_left(fleet, names))
    present = Unit.objects.filter(leaving, state__in=[Unit.State.ACTIVE, Unit.State.SILENT])
    units = list(present)
    present.update(said_goodbye_at=now)  # first: for a cycle under way it is no failure that they do not answer
    silent = silence(units, why="said goodbye")
    if fleet.own:
        let_go(silent)
    return len(silent)


def report_own_offline(node: str, *, now: datetime) -> None:
    """Take leave of one of the platform's own workers."""
    for fleet in Fleet.objects.filter(own=True):
        report_offline(fleet, [node], now=now)


def _hosts_left(fleet: Fleet, names: Sequence[str]) -> set[str]:
    workers = Unit.objects.filter(fleet=fleet, kind="celery_worker", state=Unit.State.ACTIVE)
    staying = {name.removeprefix(f"{fleet.name}/") for name in workers.values_list("name", flat=True)} - set(names)
    return {name.partition("@")[2] for name in names} - {name.partition("@")[2] for name in staying}


def silence(units: Sequence[Unit], *, why: str = "", unheard_since: datetime | None = None) -> list[Unit]:
    """Mark *units* silent unless they were heard after *unheard_since*; return those that now are."""
    if not units:
        return []
    active = Unit.objects.filter(pk__in=[unit.pk for unit in units], state=Unit.State.ACTIVE)
    if unheard_since is not None:
        active = active.filter(Q(last_seen_at=None) | Q(last_seen_at__lte=unheard_since))
    with transaction.atomic():  # the lock lets whoever comes second see that there is nothing left to tell
        claimed = set(active.select_for_update().values_list("pk", flat=True))
        Unit.objects.filter(pk__in=claimed).update(
            state=Unit.State.SILENT, score=0.0, health_parts={"heard": 0.0}, **({"last_error": why} if why else {})
        )
        _raise_pain([unit for unit in units if unit.pk in claimed], why)
    now_silent = Unit.objects.filter(pk__in=[unit.pk for unit in units], state=Unit.State.SILENT).select_related(
        "fleet"
    )
    silent = list(now_silent)
    for unit in silent:
        _tell(unit)
    return silent


def _raise_pain(silent: Sequence[Unit], why: str) -> None:
    """Raise one pain for each system whose units fell silent: medium, or low when they had said goodbye."""
    by_system: dict[int, list[Unit]] = defaultdict(list)
    for unit in silent:
        by_system[unit.system_id].append(unit)
    for system_id, units in by_system.items():
        names = sorted(unit.name for unit in units)
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        try_to_raise(
            type="pain",
            source=names[0] if len(names) == 1 else SILENCE,
            severity=Severity.LOW if why else Severity.MEDIUM,
            data={CAUSE: SILENCE, "count": len(names), "units": [unit.pk for unit in units[:MAX_NAMED]]},
            system_id=system_id,
            description=f"Silent: {shown}."[:2000] if not why else f"Silent ({why}): {shown}."[:2000],
            origin=Party.S1,
        )


def settle_silences(*, now: datetime) -> int:
    """End the pains of silence whose units are all heard again, or no longer watched; return how many."""
    pains = open_pains(cause=SILENCE)
    if not pains:
        return 0
    named = {pk for pain in pains for pk in pain.data.get("units", [])}
    still = set(Unit.objects.filter(pk__in=named, state=Unit.State.SILENT).values_list("pk", flat=True))
    over = [pain for pain in pains if still.isdisjoint(pain.data.get("units", []))]
    return sum(end_by_itself(pain, now=now, why="All of them are heard again.") for pain in over)


# --- Forgetting -----------------------------------------------------------------------------------------------------
def left_since(moment: datetime) -> set[int]:
    """Return the keys of units that said goodbye after *moment*."""
    return set(Unit.objects.filter(said_goodbye_at__gte=moment).values_list("pk", flat=True))


def let_go_silent(units: Sequence[Unit], *, now: datetime) -> None:
    """Let those of *units* go that have been silent for long enough."""
    let_go([unit for unit in units if unit.state == Unit.State.SILENT and _stayed_away(unit, now)])


def let_go(units: Sequence[Unit]) -> None:
    """Mark silent *units* gone: nothing is expected of them. One that is heard again comes back."""
    if not units:
        return
    keys = [unit.pk for unit in units]
    silent = Unit.objects.filter(pk__in=keys, state=Unit.State.SILENT)
    silent.update(state=Unit.State.GONE, score=None, health_parts={})
    for unit in Unit.objects.filter(pk__in=keys, state=Unit.State.GONE).select_related("fleet"):
        _tell(unit)


def _stayed_away(unit: Unit, now: datetime) -> bool:
    heard_at = unit.last_seen_at or unit.created_at
    if unit.said_goodbye_at is not None and unit.said_goodbye_at >= heard_at:
        return now - unit.said_goodbye_at >= GOODBYE_SHOWN
    return unit.kind in LEAVING and now - heard_at >= GONE_AFTER


def forget_gone(*, now: datetime) -> int:
    """Delete units that have been gone for a week; return how many. Their history stays, under their role's name.

    A unit that an alert rule watches by name stays too.
    """
    gone = Unit.objects.annotate(heard_at=Coalesce("last_seen_at", "created_at")).filter(
        state=Unit.State.GONE, heard_at__lt=now - KEEP_GONE, alert_rules=None
    )
    units = list(gone.order_by("pk")[:GONE_AT_ONCE])
    roles: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for unit in units:
        if role_of(unit.name) != unit.name:
            roles[unit.system_id][unit.name] = role_of(unit.name)
    for system_id, of_system in roles.items():
        merging.merge_sources(system_id, of_system)
    merging.forget_names(now=now)
    Unit.objects.filter(pk__in=[unit.pk for unit in units], state=Unit.State.GONE, alert_rules=None).delete()
    for unit in units:
        push(unit.system_id, "unit", str(unit.pk), None)
    return len(units)


def forget_failures(*, now: datetime) -> int:
    """Delete failures and cycles of more than a day ago; return the number of failures."""
    CollectionCycle.objects.filter(started_at__lt=now - KEEP_CYCLES).delete()
    deleted = CollectionFailure.objects.filter(at__lt=now - KEEP_FAILURES).delete()[0]
    oldest_kept = CollectionFailure.objects.order_by("-pk").values_list("pk", flat=True)[
        MAX_FAILURES : MAX_FAILURES + 1
    ]
    for pk in oldest_kept:
        deleted += CollectionFailure.objects.filter(pk__lte=pk).delete()[0]
    return deleted
