"""What an act would do, said before it is done: how many it touches, how those are now, and who cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from subsystems.fleets.models import Task
from subsystems.fleets.states import OPEN, State
from subsystems.kernel.errors import Invalid
from subsystems.s1_operations.adapters.base import FleetRef
from subsystems.s1_operations.adapters.celery_control import FleetControl, NoQueue, control_of
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s1_operations.queries import fleet_ref
from subsystems.s1_operations.services import own_queues
from subsystems.s3_control import acts, draining, shares
from subsystems.s3_control.acts import Act, Parameters, Target
from subsystems.s3_control.hooks import previews as hooks
from subsystems.s3_control.launching import previews as launching
from subsystems.s3_control.models import CapturedTask, ResentTask, StandingOrder
from subsystems.s3_control.workers import Worker, refusal

SHOWN = 20  # workers that words name
BELOW_PER_SECOND = 0.2  # so slow a share is kept by any worker, nearly
BELOW = (
    "under a backlog Celery itself starts about one limited task a second;"
    " vsm_client.limits, or a prefetch count of one, lets a worker keep its limit"
)
REVOKES_AT_ONCE = 100
MAX_REVOKES = 40_000  # in force at a time and fleet: a worker remembers 50,000 and forgets the oldest


@dataclass(frozen=True)
class Preview:
    """How many an act touches, in words too; *before* is how those are now; *refusal* says why it cannot be done."""

    count: int
    words: str
    before: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""


def reference(fleet: Fleet) -> FleetRef:
    """Return *fleet* as the adapters see it, with the workers that should answer."""
    return fleet_ref(fleet, list(Unit.objects.filter(fleet=fleet, state=Unit.State.ACTIVE)), own_queues())


def preview(fleet: Fleet, act: Act, target: str, parameters: Parameters) -> Preview:
    """Return what *act* would do now. Raises Invalid for a target that is not there, FleetUnreachable."""
    if isinstance(parameters, acts.ResendTasks):
        return _resend(fleet, parameters.ids)
    if isinstance(parameters, acts.Which):
        return _tasks(fleet, act.kind, parameters)
    with control_of(reference(fleet)) as control:
        return PREVIEWS[act.kind](Look(fleet, target, control), parameters)


def workers_now(control: FleetControl, nodes: list[str] | None = None) -> dict[str, Worker]:
    """Return the fleet's workers that answer, by node."""
    return {node: Worker.of(node, answers) for node, answers in control.look(nodes).items()}


def rates_now(control: FleetControl, task: str, nodes: Iterable[str]) -> dict[str, str | None]:
    """Return the rate limit of *task* on each of *nodes* that knows it; None is no limit."""
    answers = control.ask("registered", {"taskinfoitems": ["rate_limit"]}, list(nodes))
    found = {node: shares.registered_rates(lines) for node, lines in answers.items()}
    return {node: rates[task] for node, rates in found.items() if task in rates}


def matching(fleet: Fleet, kind: str, which: acts.Which) -> QuerySet[Task]:
    """Return the tasks of the history that a filter means: ended ones to retry, open ones to revoke."""
    tasks = Task.objects.filter(fleet=fleet)
    tasks = tasks.filter(state__in=OPEN) if kind == "task.revoke" else tasks.filter(state__gte=State.REJECTED)
    if which.name:
        tasks = tasks.filter(name=which.name)
    if which.queue:
        tasks = tasks.filter(queue=which.queue)
    if which.state:
        tasks = tasks.filter(state=_state(which.state))
    if which.since:
        tasks = tasks.filter(seen_at__gte=which.since.timestamp())
    if which.until:
        tasks = tasks.filter(seen_at__lte=which.until.timestamp())
    return tasks


def _state(name: str) -> State:
    try:
        return State[name.upper()]
    except KeyError:
        known = ", ".join(state.name.lower() for state in State)
        raise Invalid(f"The states of tasks are {known}.", field="parameters.state") from None


def _tasks(fleet: Fleet, kind: str, which: acts.Which) -> Preview:
    if which.ids:
        ids = list(dict.fromkeys(which.ids))
        count = len(ids)
        captured = sum(
            CapturedTask.objects.filter(fleet=fleet, task_id__in=ids[place : place + 500]).count()
            for place in range(0, count, 500)
        )
    else:
        tasks = matching(fleet, kind, which)
        count = tasks.count()
        captured = CapturedTask.objects.filter(fleet=fleet, task_id__in=tasks.values("uuid")).count()
    if count > acts.MAX_IDS:
        return Preview(count, "", {}, f"{count:,} tasks match; at most {acts.MAX_IDS:,} at a time.")
    before = {"matching": count}
    if kind == "task.revoke" and not standing_room(fleet, count):
        words = f"{MAX_REVOKES:,} revokes at a time is what workers surely remember: park or purge the queue instead."
        return Preview(count, "", before, words)
    if kind != "task.retry":
        return Preview(count, f"{count:,} tasks to revoke.", before, "" if count else "No task matches.")
    words = f"{count:,} tasks; of {captured:,} the true arguments are known."
    return Preview(captured, words, {**before, "captured": captured}, "" if captured else _no_retry(count))


def _resend(fleet: Fleet, ids: list[str]) -> Preview:
    """Say which of *ids* are lost, are known whole, and were not sent again before."""
    from subsystems.s3_control import handing_over  # which advises, and so looks at acts

    given = list(dict.fromkeys(ids))
    lost = handing_over.lost_among(fleet, given, now=timezone.now())
    resent = ResentTask.objects.filter(fleet=fleet, task_id__in=sorted(lost)).values("task_id")
    fitting = CapturedTask.objects.filter(fleet=fleet, task_id__in=sorted(lost))
    captured = fitting.exclude(task_id__in=resent).count()
    before = {"asked": len(given), "lost": len(lost), "sent_before": resent.count(), "captured": captured}
    words = (
        f"{len(lost):,} of {len(given):,} are lost, {resent.count():,} were sent again before;"
        f" of {captured:,} others the true arguments are known."
    )
    return Preview(captured, words, before, "" if captured else f"{words} None can be sent again.")


def standing_room(fleet: Fleet, count: int) -> bool:
    """Return whether *count* more tasks can be revoked, beside the revokes in force."""
    chunks = StandingOrder.objects.filter(fleet=fleet, kind=StandingOrder.Kind.REVOKE, ended_at=None).count()
    return chunks * REVOKES_AT_ONCE + count <= MAX_REVOKES


def _no_retry(count: int) -> str:
    if not count:
        return "No task matches."
    return (
        "Of none of these tasks the message was captured when it was published, so that its true arguments are unknown."
    )


@dataclass(frozen=True)
class Look:
    """What a preview looks at."""

    fleet: Fleet
    target: str
    control: FleetControl

    def worker(self) -> Worker:
        found = workers_now(self.control, [self.target])
        if self.target not in found:
            raise Invalid(f"The worker {self.target!r} does not answer: what it can do is unknown.", field="target")
        return found[self.target]


Previewer = Callable[[Look, Any], Preview]


def _worker(verb: str = "") -> Previewer:
    def look(at: Look, parameters: Any) -> Preview:
        worker = at.worker()
        why = refusal(worker, verb) if verb else ""
        return Preview(1, f"{at.target}: {_told(worker)}.", _evidence([worker]), why and f"{at.target}: {why}.")

    return look


def _shrink(at: Look, parameters: acts.Resize) -> Preview:
    found = _worker("resize")(at, parameters)
    worker = at.worker()
    if not found.refusal and worker.autoscale is None and worker.size is not None and worker.size <= parameters.by:
        why = f"{at.target} has a pool of {worker.size}: it cannot shrink by {parameters.by}."
        return Preview(1, found.words, found.before, why)
    return found


def _consumer(reads: bool) -> Previewer:
    def look(at: Look, parameters: acts.Consume) -> Preview:
        worker = at.worker()
        now = parameters.queue in (worker.queues or ())
        why = "" if now != reads else f"{at.target} reads {parameters.queue} {'already' if reads else 'not'}."
        if reads and not why:
            at.control.depth(parameters.queue)  # a worker that is told to read a queue that is not there makes one
        return Preview(1, f"{at.target}: {_told(worker)}.", _evidence([worker]), why)

    return look


def _scale_in(at: Look, parameters: acts.ScaleIn) -> Preview:
    workers = workers_now(at.control)
    chosen = draining.choose(workers.values(), parameters.workers, queue=parameters.queue, keep=parameters.keep)
    silent = sorted(at.control.fleet.workers - set(workers))
    why = "" if chosen else f"None of {len(workers)} workers can be spared ({parameters.keep} must stay)."
    words = f"Would drain {_names(worker.node for worker in chosen)}."
    if silent:
        words += f" {_names(silent)} did not answer and is left alone."
    return Preview(len(chosen), words, {**_evidence(chosen), "silent": silent}, why)


def _launcher(sign: int) -> Previewer:
    def look(at: Look, parameters: acts.StartWorkers | acts.StopWorkers) -> Preview:
        found = launching.look(at.fleet, at.target, sign * parameters.workers)
        return Preview(parameters.workers, found.words, found.before, found.refusal)

    return look


def _webhook(kind: str) -> Previewer:
    def look(at: Look, parameters: acts.CallWebhook) -> Preview:
        found = hooks.look(at.fleet, kind, at.target, parameters.payload)
        return Preview(1, found.words, found.before, found.refusal)

    return look


def _task(at: Look) -> dict[str, str | None]:
    rates = rates_now(at.control, at.target, sorted(workers_now(at.control)))
    if not rates:
        raise Invalid(f"No worker that answers knows a task {at.target!r}.", field="target")
    return rates


def _trigger(at: Look, parameters: acts.TriggerTask) -> Preview:
    rates = _task(at)
    at.control.depth(parameters.queue)
    readers = [node for node, worker in workers_now(at.control).items() if parameters.queue in (worker.queues or ())]
    words = f"{_names(readers)} would run it." if readers else f"Nobody reads {parameters.queue}: it would wait."
    return Preview(1, words, {"knowing": sorted(rates), "readers": sorted(readers)})


def _rate_limit(at: Look, parameters: acts.RateLimit) -> Preview:
    order = StandingOrder.objects.filter(fleet=at.fleet, kind="rate_limit", key=at.target, ended_at=None).first()
    rates = _task(at)
    chosen = {node: rate for node, rate in rates.items() if not parameters.nodes or node in parameters.nodes}
    why = "" if chosen else "None of these workers answers and knows the task."
    if order is not None:
        why = "A limit across the fleet is in force; end it first."
    return Preview(len(chosen), f"{len(chosen)} workers would be limited to {parameters.rate}.", {"rates": chosen}, why)


def _fleet_rate_limit(at: Look, parameters: acts.FleetRateLimit) -> Preview:
    rates = _task(at)
    workers = workers_now(at.control)
    below = sorted(node for node in rates if node in workers and not workers[node].keeps_limits)
    words = f"{parameters.rate} would be divided among {len(rates)} workers, and anew when they come or go."
    if below and (shares.per_second(parameters.rate) or 0.0) > BELOW_PER_SECOND * len(rates):
        words += f" {_names(below)} would stay below their shares: {BELOW}."
    return Preview(len(rates), words, {"rates": rates, "below": below})


def _end_rate_limit(at: Look, parameters: Parameters) -> Preview:
    order = StandingOrder.objects.filter(fleet=at.fleet, kind="rate_limit", key=at.target, ended_at=None).first()
    if order is None:
        return Preview(0, "", {}, "No limit across the fleet is in force for this task.")
    return Preview(1, "Each worker would get back the limit it had.", {"rate": order.parameters.get("rate")})


def _time_limit(at: Look, parameters: acts.TimeLimit) -> Preview:
    workers = workers_now(at.control)
    known = [workers[node] for node in _task(at) if not parameters.nodes or node in parameters.nodes]
    unable = {worker.node: why for worker in known if (why := refusal(worker, "time_limit"))}
    able = len(known) - len(unable)
    words = f"{able} workers would keep to it." + "".join(f" {node}: {why}." for node, why in _few(unable))
    why = "" if able else words if unable else "None of these workers answers and knows the task."
    return Preview(able, words, {**_evidence(known), "unable": unable}, why)


def _pause(at: Look, parameters: acts.Pause) -> Preview:
    order = StandingOrder.objects.filter(fleet=at.fleet, kind="pause", key=at.target, ended_at=None).first()
    depth = at.control.depth(at.target)
    readers = [worker for worker in workers_now(at.control).values() if at.target in (worker.queues or ())]
    words = f"{len(readers)} workers would stop reading {at.target}, {depth:,} messages would wait."
    evidence = {"depth": depth, "readers": sorted(worker.node for worker in readers)}
    return Preview(len(readers), words, evidence, "It is paused already." if order else "")


def _resume(at: Look, parameters: Parameters) -> Preview:
    order = StandingOrder.objects.filter(fleet=at.fleet, kind="pause", key=at.target, ended_at=None).first()
    if order is None:
        return Preview(0, "", {}, "It is not paused.")
    readers = sorted(order.confirmations.exclude(former="").values_list("node", flat=True))
    return Preview(len(readers), f"{_names(readers)} would read {at.target} again.", {"readers": readers})


def _depth(words: str, source: Callable[[str, Any], str] = lambda target, parameters: target) -> Previewer:
    def look(at: Look, parameters: Any) -> Preview:
        name = source(at.target, parameters)
        depth = at.control.depth(name)
        count = min(depth, getattr(parameters, "limit", depth))
        why = "" if count else f"Nothing waits in {name}."
        return Preview(count, words.format(count=count, name=name), {"depth": depth, "queue": name}, why)

    return look


def parked_in(target: str, parameters: acts.Replay) -> str:
    """Return the queue out of which a replay takes messages."""
    return parameters.source or acts.parking_queue(target)


PREVIEWS: Mapping[str, Previewer] = {
    "task.trigger": _trigger,
    "task.rate_limit": _rate_limit,
    "task.fleet_rate_limit": _fleet_rate_limit,
    "task.end_fleet_rate_limit": _end_rate_limit,
    "task.time_limit": _time_limit,
    "worker.add_consumer": _consumer(True),
    "worker.cancel_consumer": _consumer(False),
    "worker.grow": _worker("resize"),
    "worker.shrink": _shrink,
    "worker.autoscale": _worker("autoscale"),
    "worker.drain": _worker(),
    "fleet.scale_in": _scale_in,
    "worker.start": _launcher(1),
    "worker.stop": _launcher(-1),
    "webhook.call": _webhook("webhook.call"),
    "webhook.undo": _webhook("webhook.undo"),
    "queue.pause": _pause,
    "queue.resume": _resume,
    "queue.purge": _depth("{count:,} messages would be thrown away for good."),
    "queue.park": _depth("{count:,} messages of {name} would be parked."),
    "queue.replay": _depth("{count:,} messages of {name} would go back.", parked_in),
}


def _evidence(workers: Iterable[Worker]) -> dict[str, Any]:
    return {"workers": {worker.node: worker.body() for worker in workers}}


def _told(worker: Worker) -> str:
    busy = "unknown" if worker.busy is None else f"{worker.active} running, {worker.reserved} held"
    return f"pool {worker.pool} of {worker.size}, {busy}"


def _names(nodes: Iterable[str]) -> str:
    listed = sorted(nodes)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return (", ".join(listed[:SHOWN]) or "nobody") + more


def _few(found: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(found.items())[:SHOWN]


@dataclass(frozen=True)
class Situation:
    """What a worker, a queue or a fleet is like now, and which acts cannot be done to it, with the reason."""

    target: Target
    name: str
    answers: bool = True
    workers: tuple[Worker, ...] = ()
    depth: int | None = None
    parked: int | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)


def situation(fleet: Fleet, target: Target, name: str) -> Situation:
    """Look at what is to be steered. Raises FleetUnreachable; a worker that does not answer is told as such."""
    with control_of(reference(fleet)) as control:
        if target is Target.WORKER:
            return _worker_situation(control, name)
        workers = tuple(worker for _, worker in sorted(workers_now(control).items()))
        if target is Target.FLEET:
            return Situation(target, name, bool(workers), workers)
        readers = tuple(worker for worker in workers if name in (worker.queues or ()))
        return _queue_situation(fleet, control, name, readers)


def _worker_situation(control: FleetControl, name: str) -> Situation:
    worker = workers_now(control, [name]).get(name)
    if worker is None:
        return Situation(Target.WORKER, name, answers=False)
    found = {kind: refusal(worker, verb) for kind, verb in NEEDED.items()}
    return Situation(Target.WORKER, name, True, (worker,), cannot={kind: why for kind, why in found.items() if why})


def _queue_situation(fleet: Fleet, control: FleetControl, name: str, readers: tuple[Worker, ...]) -> Situation:
    paused = StandingOrder.objects.filter(fleet=fleet, kind="pause", key=name, ended_at=None).exists()
    cannot = {"queue.pause": "It is paused already."} if paused else {"queue.resume": "It is not paused."}
    depth, parked = _depth_of(control, name), _depth_of(control, acts.parking_queue(name))
    if not depth:
        cannot |= dict.fromkeys(("queue.purge", "queue.park"), "Nothing waits in it.")
    if not parked:
        cannot["queue.replay"] = "Nothing is parked."
    return Situation(Target.QUEUE, name, depth is not None, readers, depth, parked, cannot)


def _depth_of(control: FleetControl, queue: str) -> int | None:
    try:
        return control.depth(queue)
    except NoQueue:
        return None


NEEDED = {"worker.grow": "resize", "worker.shrink": "resize", "worker.autoscale": "autoscale"}
