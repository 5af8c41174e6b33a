"""Taking workers out without interrupting a task: told to read no more, looked at until idle, then stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from subsystems.s3_control import draining
from subsystems.s3_control.draining import Step
from subsystems.s3_control.models import Action
from subsystems.s3_control.previews import workers_now
from subsystems.s3_control.stepping import Outcome, Work

Stopping = Callable[[Work, list[str]], None]


def drain(work: Work) -> Outcome:
    """Take the next step of draining one worker, or the idlest of a fleet."""
    given = work.parameters()
    if "drains" not in work.memory:
        work.memory["drains"] = [each.body() for each in _chosen(work, given)]
    drains = [draining.Drain.of(body) for body in work.memory["drains"]]
    if not drains:
        return Outcome(Action.State.FAILED, "No worker can be spared now.")
    late = work.elapsed_seconds > given.wait_seconds
    drains = step(work, drains, late=late, stop=_shut_down)
    work.memory["drains"] = [drain.body() for drain in drains]
    found = draining.summary(drains)
    after = {"workers": {drain.node: drain.body() for drain in drains}}
    counts = {"done": found["stopped"], "failed": found["left_alone"], "total": len(drains)}
    words = f"{found['stopped']} stopped, {found['draining']} still have work, {found['left_alone']} left alone."
    if found["draining"]:
        return Outcome(None, words, after, counts)
    state = Action.State.FAILED if found["left_alone"] else Action.State.VERIFIED
    return Outcome(state, words, after, counts)


def _shut_down(work: Work, nodes: list[str]) -> None:
    work.control.send("shutdown", {}, nodes)


def _chosen(work: Work, given: Any) -> list[draining.Drain]:
    if work.action.kind == "worker.drain":
        return [draining.Drain(work.target)]
    workers = workers_now(work.control).values()
    chosen = draining.choose(workers, given.workers, queue=given.queue, keep=given.keep)
    return [draining.Drain(worker.node) for worker in chosen]


def step(work: Work, drains: list[draining.Drain], *, late: bool, stop: Stopping) -> list[draining.Drain]:
    """Look at each worker that is being drained, and tell each what is next; *stop* lets those go that have no work."""
    open_nodes = [drain.node for drain in drains if not drain.outcome]
    seen = workers_now(work.control, open_nodes)
    steps: dict[Step, list[draining.Drain]] = {}
    result = {drain.node: drain for drain in drains}
    for node in open_nodes:
        following, drain = draining.next_step(result[node], seen.get(node), out_of_time=late)
        steps.setdefault(following, []).append(drain)
        result[node] = drain
    for drain in steps.get(Step.CANCEL, []):
        for queue in drain.queues:
            work.control.tell("cancel_consumer", {"queue": queue}, [drain.node])
    if idle := [drain.node for drain in steps.get(Step.STOP, [])]:
        stop(work, idle)  # idle, and cut off from its queues: that interrupts nothing; it answers by leaving
    for drain in steps.get(Step.GONE, []):
        result[drain.node] = draining.ended(drain, "stopped")
    for drain in steps.get(Step.GIVE_UP, []):
        result[drain.node] = _given_up(work, drain, drain.node in seen)
    return [result[drain.node] for drain in drains]


def _given_up(work: Work, drain: draining.Drain, answers: bool) -> draining.Drain:
    """Leave a worker alone: it reads its queues again."""
    for queue in drain.queues if answers else ():
        work.control.tell("add_consumer", {"queue": queue}, [drain.node])
    return draining.ended(drain, "it still had work" if answers else "it did not answer")
