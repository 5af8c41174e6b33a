"""The steps of starting workers, all of them or none, and of stopping them when they have no work left.

What is meant is written into the action's row before it is done, and doing it again changes nothing: whoever carries on
after a crash does not start a worker twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from subsystems.s3_control import draining, emptying
from subsystems.s3_control.launching import previews, sizes, store
from subsystems.s3_control.launching.adapters.base import Actuator, LauncherRefuses
from subsystems.s3_control.launching.models import Launcher
from subsystems.s3_control.models import Action
from subsystems.s3_control.previews import workers_now
from subsystems.s3_control.stepping import Outcome, Work, verified

GONE_SECONDS = 60.0  # for a worker that was told to stop, and has nothing left to do
BACK_SECONDS = 600.0  # for workers of a start that failed, to end what they have begun


def start(work: Work) -> Outcome:
    """Take the next step of starting workers."""
    launcher = _launcher(work)
    actuator = store.actuator(launcher)
    if "back" in work.memory:
        return _take_back(work, actuator)
    count = work.parameters().workers
    try:
        if "launch" not in work.memory:
            _plan(work, launcher, actuator, count)
        plan = work.memory["launch"]
        if not plan.get("told"):
            actuator.start(plan["names"], len(plan["before"]) + count)
            plan["told"] = True
            return Outcome(detail=f"{count} are starting.", counts={"total": count})
    except LauncherRefuses as error:
        return _fail(work, str(error)) if "launch" in work.memory else Outcome(Action.State.FAILED, str(error))
    return _watched(work, launcher, actuator, count)


def stop(work: Work) -> Outcome:
    """Take the next step of stopping the idlest workers."""
    launcher = _launcher(work)
    actuator = store.actuator(launcher)
    given = work.parameters()
    if "drains" not in work.memory:
        _choose(work, launcher, actuator, given.workers)
    plan = work.memory["launch"]
    drains = _drained(work, actuator, late=work.elapsed_seconds > given.wait_seconds)
    found = draining.summary(drains)
    seen = sizes.here(actuator.observe())
    left = sorted({each.name for each in seen} & set(plan["gone"]))
    after = {"size": len(seen), "workers": {drain.node: drain.body() for drain in drains}}
    counts = {"done": len(plan["gone"]) - len(left), "failed": found["left_alone"], "total": len(drains)}
    words = f"{counts['done']} stopped, {found['draining']} still have work, {found['left_alone']} left alone."
    if found["draining"] or (left and work.elapsed_seconds < plan["told_at"] + GONE_SECONDS):
        return Outcome(None, words, after, counts)
    if left:
        return Outcome(Action.State.APPLIED, f"{words} Told to stop and still there: {', '.join(left)}.", after, counts)
    actuator.stop(plan["gone"], plan["size"] - len(plan["gone"]))  # what ended is forgotten
    return Outcome(Action.State.FAILED if found["left_alone"] else Action.State.VERIFIED, words, after, counts)


# --- Beginning -------------------------------------------------------------------------------------------------------
def _launcher(work: Work) -> Launcher:
    """Return the launcher, claimed for this action alone. Raises LauncherRefuses."""
    launcher = Launcher.objects.filter(fleet=work.action.fleet, name=work.target).select_related("action").first()
    if launcher is None:
        raise LauncherRefuses(f"There is no launcher {work.target} any more.")
    if launcher.action_id == work.action.pk:
        return launcher
    if why := previews.busy(launcher):
        raise LauncherRefuses(why)
    unclaimed = Launcher.objects.filter(pk=launcher.pk, action=launcher.action_id)
    if launcher.action_id is None:
        unclaimed = Launcher.objects.filter(pk=launcher.pk, action=None)
    if not unclaimed.update(action=work.action.pk):
        raise LauncherRefuses(f"Somebody else began to change {launcher.name} at this moment: one writer at a time.")
    return launcher


def _plan(work: Work, launcher: Launcher, actuator: Actuator, count: int) -> None:
    """Write down what is meant, before any of it is done. Raises LauncherRefuses where it is not to be."""
    seen = actuator.observe()
    before = [each.name for each in sizes.here(seen)]
    if why := actuator.refusal() or sizes.refusal(len(before), count, launcher.least, launcher.most):
        raise LauncherRefuses(why)
    _remember(work, launch={"before": before, "names": actuator.fresh(seen, count)})


def _remember(work: Work, **told: Any) -> None:
    work.memory.update(told)
    Action.objects.filter(pk=work.action.pk).update(memory=work.memory)


# --- Starting --------------------------------------------------------------------------------------------------------
def _watched(work: Work, launcher: Launcher, actuator: Actuator, count: int) -> Outcome:
    """Look who came up: it counts only when the launcher and the worker itself say so."""
    plan = work.memory["launch"]
    found, seen = _progress(work, actuator)
    if len(found.up) >= count:
        after = {"size": len(sizes.here(seen)), "workers": [each.body() for each in seen]}
        return verified(f"{', '.join(found.up)} run and answer.", after, done=count, total=count)
    if found.down:
        return _fail(work, "; ".join(found.down))
    if work.elapsed_seconds > launcher.start_seconds:
        missing = ", ".join(found.waiting) or f"{count - found.new} of {count}"
        return _fail(work, f"Not up within {launcher.start_seconds} s: {missing}")
    done = {"done": len(found.up), "total": count}
    return Outcome(detail=f"{len(found.up)} of {len(plan['names']) or count} answer.", counts=done)


def _progress(work: Work, actuator: Actuator) -> tuple[sizes.Start, list[sizes.Instance]]:
    plan, seen = work.memory["launch"], actuator.observe()
    new = [each.node for each in sizes.here(seen) if each.name not in plan["before"]]
    answering = workers_now(work.control, new) if new else {}
    return sizes.progress(plan["before"], plan["names"], seen, answering), seen


def _fail(work: Work, why: str) -> Outcome:
    _remember(work, back={"why": why.rstrip(".")[:300], "at": work.elapsed_seconds})
    return Outcome(detail=f"{why} What was started is stopped again.")


def _take_back(work: Work, actuator: Actuator) -> Outcome:
    """Stop what a failed start has brought; who came up well may have begun tasks, and is drained first."""
    plan, back = work.memory["launch"], work.memory["back"]
    found, seen = _progress(work, actuator)
    names = {each.name: each for each in seen if each.name in plan["names"] or each.name not in plan["before"]}
    if "drains" not in work.memory:
        drains = [draining.Drain(names[name].node).body() for name in found.up]
        nodes = {names[name].node: name for name in found.up}
        size = len(plan["before"]) + len(found.up)
        _remember(work, drains=drains, launch={**plan, "nodes": nodes, "size": size, "gone": [], "told_at": 0.0})
        actuator.stop([name for name in names if name not in found.up], size)
    late = work.elapsed_seconds > back["at"] + BACK_SECONDS
    left_alone = draining.summary(_drained(work, actuator, late=late))["left_alone"]
    left = sorted({each.name for each in sizes.here(actuator.observe())} & set(names))
    counts = {"done": 0, "failed": work.parameters().workers, "total": work.parameters().workers}
    if left and not left_alone and not late:
        return Outcome(detail=f"{back['why']}. Waits for {', '.join(left)} to stop.", counts=counts)
    actuator.stop([name for name in names if name not in left], len(plan["before"]) + len(left))
    end = f"Still there: {', '.join(left)}." if left else "What was started is stopped again."
    return Outcome(Action.State.FAILED, f"{back['why']}. {end}", {"left": left}, counts)


# --- Stopping --------------------------------------------------------------------------------------------------------
def _choose(work: Work, launcher: Launcher, actuator: Actuator, count: int) -> None:
    """Write down who is to leave: the idlest of those that may, and only who says what it does."""
    seen = actuator.observe()
    size = len(sizes.here(seen))
    if why := actuator.refusal() or sizes.refusal(size, -count, launcher.least, launcher.most):
        raise LauncherRefuses(why)
    nodes = {each.node: each.name for each in actuator.leaving(seen, count)}
    chosen = draining.choose(list(workers_now(work.control, sorted(nodes)).values()), count, keep=0)
    if len(chosen) < count:
        raise LauncherRefuses(f"Of {len(nodes)} that may leave {len(chosen)} answer: who does not is left alone.")
    names = {worker.node: nodes[worker.node] for worker in chosen}
    drains = [draining.Drain(node).body() for node in names]
    _remember(work, drains=drains, launch={"nodes": names, "size": size, "gone": [], "told_at": 0.0})


def _drained(work: Work, actuator: Actuator, *, late: bool) -> Sequence[draining.Drain]:
    """Look at who is to leave, and stop those that have no work left."""
    plan = work.memory["launch"]

    def let_go(_: Work, idle: list[str]) -> None:
        names = [plan["nodes"][node] for node in idle]
        plan["gone"] = sorted({*plan["gone"], *names})
        plan["told_at"] = work.elapsed_seconds
        _remember(work)
        actuator.stop(names, plan["size"] - len(plan["gone"]))

    drains = [draining.Drain.of(body) for body in work.memory["drains"]]
    if any(not drain.outcome for drain in drains):
        drains = emptying.step(work, drains, late=late, stop=let_go)
        work.memory["drains"] = [drain.body() for drain in drains]
    return drains
