"""The closed loop of one recommendation, step by step as it happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from subsystems.s3_control.models import Action, Recommendation

State = Recommendation.State
# Parts of the evidence that lead to a page of their own.
CAUSES = (("signal", "Signal", "signal"), ("alert", "Alert", "alert"))


@dataclass(frozen=True)
class Step:
    """One station of the loop; what has not happened yet is *open*."""

    name: str
    words: str = ""
    at: datetime | None = None
    link: str = ""
    mark: str = ""  # good, bad, unknown, or nothing
    open: bool = False


def steps(row: Recommendation, query: str) -> list[Step]:
    """Return what led to *row*, what was decided and done, and what came of it."""
    found = [*_causes(row, query), _advised(row), _decided(row)]
    return [*found, _acted(row, query), _effect(row)]


def _causes(row: Recommendation, query: str) -> list[Step]:
    found = []
    for name, title, page in CAUSES:
        key = row.evidence.get(name)
        if isinstance(key, (int, str)) and key:
            words = str(row.evidence.get(f"{name}_title") or f"{title} {key}")
            found.append(Step(title, words, link=_address(page, key, query)))
    assessed = row.evidence.get("assessment")
    if isinstance(assessed, str) and assessed:
        found.append(Step("Assessment", assessed))
    return found


def _address(page: str, key: Any, query: str) -> str:
    if page == "alert" and not str(key).isdigit():
        return ""
    return f"{reverse(f'dashboard:{page}', args=[key])}{query}"


def _advised(row: Recommendation) -> Step:
    return Step(
        "Recommendation", f"{row.get_source_display()}{f', {row.author}' if row.author else ''}", row.created_at
    )


def _decided(row: Recommendation) -> Step:
    if row.state == State.PROPOSED:
        return Step("Decision", row.waits_for or "Waits for a person.", open=True)
    if row.state == State.EXPIRED and row.decided_at is None:
        return Step("Decision", "Nobody decided it in time.", row.settled_at, mark="unknown")
    what = {"refused": "Refused by", "deferred": "Deferred by"}.get(row.state, "Approved by")
    words = f"{what} {row.decided_by or 'nobody'}{f': {row.decided_why}' if row.decided_why else ''}"
    return Step("Decision", words, row.decided_at, mark="bad" if row.state == State.REFUSED else "good")


def _acted(row: Recommendation, query: str) -> Step:
    action = row.action
    if action is None:
        words = "Nothing is to be done by the platform." if not row.act_kind else "Not begun."
        return Step("Action", words, row.applied_at, open=row.applied_at is None)
    mark = {"failed": "bad", "verified": "good", "applied": "good"}.get(str(action.state), "")
    undone = ", undone since" if action.undone_by_id else ""
    link = f"{reverse('dashboard:action', args=[action.pk])}{query}"
    words = f"{action.kind} on {action.target}: {action.get_state_display().lower()}{undone}"
    return Step("Action", words, action.finished_at, link, mark, open=action.state in Action.OPEN)


def _effect(row: Recommendation) -> Step:
    if row.met is not None and row.score is not None:
        words = f"{row.outcome['before']:g} → {row.outcome['after']:g}: {row.score:.0%} of what was promised"
        return Step("Effect", words, row.settled_at, mark="good" if row.met else "bad")
    if row.met is False:
        return Step("Effect", "None: the action failed.", row.settled_at, mark="bad")
    if row.outcome.get("why"):
        return Step("Effect", f"Unknown. {row.outcome['why']}", row.settled_at, mark="unknown")
    if not row.effect:
        return Step("Effect", "None was promised that could be measured.", open=row.settled_at is None)
    words = f"{row.effect['metric']} is measured {row.settle_seconds:g} s after it was applied."
    return Step("Effect", words, open=True)
