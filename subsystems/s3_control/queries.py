"""Who may trigger and see runs; runs, actions, standing orders and recommendations as JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from subsystems.kernel.times import moment_text
from subsystems.kernel.triggerable import Triggerable
from subsystems.recursion.models import ApiToken
from subsystems.recursion.queries import ROOT_SLUG, Principal, systems_for
from subsystems.s3_control import braking
from subsystems.s3_control.models import Action, ActionPolicy, Hold, Recommendation, StandingOrder, TaskRun


def triggerable_by(user: Principal, token: ApiToken | None = None) -> Callable[[Triggerable], bool]:
    """Return what tells whether *user* may trigger an entry: what acts on every system takes its scope in the root."""
    held = {scope: _slugs(user, scope, token) for scope in ("operate", "admin")}
    return lambda entry: ROOT_SLUG in held[entry.scope] or (entry.harmless and bool(held["operate"]))


def _slugs(user: Principal, scope: str, token: ApiToken | None) -> set[str]:
    return set(systems_for(user, scope, token).values_list("slug", flat=True))


def runs_for(user: Principal, token: ApiToken | None = None) -> QuerySet[TaskRun]:
    """Return the runs that *user* may see, newest first: their own; administrators of the root see everybody's."""
    runs = TaskRun.objects.select_related("requested_by")
    everywhere = token is None or token.system_id is None
    if everywhere and systems_for(user, "admin").filter(slug=ROOT_SLUG).exists():
        return runs
    return runs.filter(requested_by_id=user.pk)


def run_body(run: TaskRun) -> dict[str, Any]:
    """Return one run as JSON."""
    return {
        "id": str(run.pk),
        "name": run.name,
        "arguments": run.arguments,
        "state": str(run.state),
        "result": run.result,
        "error": run.error,
        "worker": run.worker,
        "requested_by": run.requested_by.get_username() if run.requested_by else None,
        "progress": None if run.done is None else {"done": run.done, "total": run.total},
        "requested_at": moment_text(run.requested_at),
        "started_at": moment_text(run.started_at),
        "finished_at": moment_text(run.finished_at),
    }


def action_body(action: Action) -> dict[str, Any]:
    """Return one action as it is shown, logged and exported."""
    return {
        "id": str(action.pk),
        "kind": action.kind,
        "fleet": action.fleet_name,
        "fleet_id": action.fleet_id,
        "target": action.target,
        "parameters": _short(action.parameters),
        "reason": action.reason,
        "dry_run": action.dry_run,
        "state": str(action.state),
        "actor": action.actor,
        "via": action.via,
        "requested_at": moment_text(action.requested_at),
        "started_at": moment_text(action.started_at),
        "finished_at": moment_text(action.finished_at),
        "total": action.total,
        "done": action.done,
        "failed": action.failed,
        "detail": action.detail,
        "before": action.before,
        "after": action.after,
        "undone_by": str(action.undone_by_id) if action.undone_by_id else None,
    }


def order_body(order: StandingOrder) -> dict[str, Any]:
    """Return a standing order with who has confirmed it."""
    return {
        "id": order.pk,
        "kind": str(order.kind),
        "key": order.key,
        "action": str(order.action_id),
        "since": moment_text(order.since),
        "until": moment_text(order.until),
        "ending": order.ending,
        "confirmed": {each.node: each.value for each in order.holders()},
    }


def recommendation_body(row: Recommendation) -> dict[str, Any]:
    """Return a recommendation with what was decided and what came of it."""
    return {
        "id": str(row.pk),
        "kind": str(row.kind),
        "source": str(row.source),
        "author": row.author,
        "subject": row.subject,
        "title": row.title,
        "reason": row.reason,
        "evidence": row.evidence,
        "expected_effect": row.effect or None,
        "act": _act_body(row),
        "fleet_id": row.fleet_id,
        "measured_at": moment_text(row.measured_at),
        "created_at": moment_text(row.created_at),
        "expires_at": moment_text(row.expires_at),
        "state": str(row.state),
        "deferred_until": moment_text(row.deferred_until),
        "decided_by": row.decided_by,
        "decided_at": moment_text(row.decided_at),
        "decided_why": row.decided_why,
        "automatic": row.automatic,
        "waits_for": row.waits_for,
        "action": str(row.action_id) if row.action_id else None,
        "applied_at": moment_text(row.applied_at),
        "outcome": row.outcome,
        "score": row.score,
        "met": row.met,
        "settled_at": moment_text(row.settled_at),
    }


def _act_body(row: Recommendation) -> dict[str, Any] | None:
    if not row.act_kind:
        return None
    return {"kind": row.act_kind, "target": row.act_target, "parameters": row.act_parameters}


def policy_body(row: ActionPolicy) -> dict[str, Any]:
    """Return what is permitted for one kind of act, with every limit as it holds."""
    limits = braking.Limits.model_validate(row.limits).model_dump(mode="json")
    return {
        "id": row.pk, "kind": row.kind, "mode": str(row.mode), "limits": limits, "set_by": row.set_by,
        "set_at": moment_text(row.set_at), "reason": row.reason,
    }  # fmt: skip


def hold_body(hold: Hold) -> dict[str, Any]:
    """Return a subject that is held."""
    return {
        "id": hold.pk, "subject": hold.subject, "since": moment_text(hold.since), "failures": hold.failures,
        "reason": hold.reason, "detail": hold.detail, "signal": hold.signal_id or None,
        "released_at": moment_text(hold.released_at), "released_by": hold.released_by,
    }  # fmt: skip


def optimisation_score(system_id: int, *, since: datetime) -> tuple[float | None, int]:
    """Return the mean share of promised benefits that came (§3.7), and of how many applied recommendations."""
    rows = Recommendation.objects.filter(system_id=system_id, score__isnull=False, settled_at__gte=since)
    scores = [score for score in rows.values_list("score", flat=True) if score is not None]
    return braking.optimisation_score(scores), len(scores)


def _short(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters without a list of thousands of ids: its items tell them."""
    ids = parameters.get("ids")
    if not isinstance(ids, list) or len(ids) <= MOST_IDS:
        return parameters
    return {**parameters, "ids": ids[:MOST_IDS], "more_ids": len(ids) - MOST_IDS}


MOST_IDS = 20
