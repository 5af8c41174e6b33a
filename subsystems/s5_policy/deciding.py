"""Decisions that people put down: what is to be decided by when and by whom, what came of it, and what it was worth."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Forbidden, Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import System
from subsystems.s5_policy import queries
from subsystems.s5_policy.models import Decision

FURTHEST = timedelta(days=5 * 366)
MAX_TITLE, MAX_LINE, MAX_TEXT = 200, 500, 10_000


@transaction.atomic
def put_down(
    system: System,
    *,
    by: User,
    title: str,
    question: str = "",
    criterion: str = "",
    due_at: datetime,
    review_by: datetime | None = None,
    approver: User | None = None,
    values: Iterable[str] = (),
    now: datetime | None = None,
) -> Decision:
    """Ask S5 to decide something until *due_at*. Raises Invalid naming the field."""
    now = now or timezone.now()
    _check_texts({"title": (title, MAX_TITLE), "question": (question, MAX_TEXT), "criterion": (criterion, MAX_LINE)})
    if not title.strip():
        raise Invalid("What is to be decided?", field="title", code="required")
    _check_moment(due_at, now, "due_at")
    _check_review(criterion, review_by, now)
    decision = Decision.objects.create(
        system=system, fingerprint=uuid4().hex, asked_at=now, due_at=due_at, title=title.strip(), question=question,
        criterion=criterion.strip(), review_by=review_by, approver=approver, asked_by=by,
        values=queries.checked_values(system, values),
    )  # fmt: skip
    _record(decision, "DecisionAsked", by, title=decision.title, due_at=moment_text(due_at))
    return decision


@transaction.atomic
def decide(
    decision: Decision,
    *,
    by: User,
    answer: str,
    criterion: str | None = None,
    review_by: datetime | None = None,
    now: datetime | None = None,
) -> Decision:
    """Write down what was decided, and by what its outcome is to be judged.

    Raises Forbidden where somebody else is named as the approver, Refused where it was decided before.
    """
    now = now or timezone.now()
    row = Decision.objects.select_for_update().get(pk=decision.pk)
    if not row.title:
        raise Refused("An alert is answered where it is told: acknowledge or resolve it.", code="asked_by_alert")
    if row.answered_at is not None:
        raise Refused("It is decided already.", code="decided_already")
    if row.approver_id is not None and row.approver_id != by.pk:
        raise Forbidden("Somebody else is named to decide this.", field="approver")
    _check_texts({"answer": (answer, MAX_TEXT), "criterion": (criterion or "", MAX_LINE)})
    if not answer.strip():
        raise Invalid("What was decided?", field="answer", code="required")
    row.criterion = row.criterion if criterion is None else criterion.strip()
    row.review_by = review_by or row.review_by
    _check_review(row.criterion, row.review_by, now if review_by else None)
    row.answer, row.answered_at, row.decided_by = answer.strip(), now, by.get_username()
    row.save()
    _record(row, "DecisionMade", by, title=row.title, answer=row.answer[:MAX_LINE], criterion=row.criterion)
    return row


@transaction.atomic
def review(
    decision: Decision,
    *,
    by: User,
    outcome: str,
    note: str = "",
    criterion: str = "",
    judgement: float | None = None,
    now: datetime | None = None,
) -> Decision:
    """Say whether the outcome of a decision met its criterion; of an alert's question, too, once it was answered.

    Raises Refused where nothing was decided yet, or where there is no criterion to judge by.
    """
    now = now or timezone.now()
    row = Decision.objects.select_for_update().get(pk=decision.pk)
    if row.answered_at is None:
        raise Refused("It is not decided yet.", code="not_decided")
    _check_texts({"outcome_note": (note, MAX_LINE), "criterion": (criterion, MAX_LINE)})
    row.criterion = row.criterion or criterion.strip()
    if not row.criterion:
        raise Invalid("Without a criterion there is nothing to judge by.", field="criterion", code="required")
    if outcome not in Decision.Outcome.values:
        raise Invalid(f"One of {', '.join(Decision.Outcome.values)}.", field="outcome")
    if judgement is not None and not 0 <= judgement <= 1:
        raise Invalid("A number from 0 to 1.", field="judgement")
    row.outcome, row.outcome_note, row.judgement = outcome, note, judgement
    row.reviewed_at, row.reviewed_by = now, by.get_username()
    row.save()
    _record(row, "DecisionReviewed", by, title=row.title, outcome=outcome, criterion=row.criterion)
    return row


def _check_texts(texts: dict[str, tuple[str, int]]) -> None:
    for name, (text, most) in texts.items():
        if len(text) > most or "\0" in text:
            raise Invalid(f"A text of at most {most} characters.", field=name)


def _check_review(criterion: str, review_by: datetime | None, now: datetime | None) -> None:
    if review_by is not None and not criterion.strip():
        raise Invalid("Say by what its outcome is to be judged.", field="criterion", code="required")
    if review_by is not None and now is not None:
        _check_moment(review_by, now, "review_by")


def _check_moment(moment: datetime, now: datetime, field: str) -> None:
    if not now < moment <= now + FURTHEST:
        raise Invalid("In the future, and within five years.", field=field)


def _record(decision: Decision, type_: str, by: User, **data: object) -> None:
    append(Stream.POLICY, type_, {"decision": decision.pk, **data}, system_id=decision.system_id,
           actor=by.get_username())  # fmt: skip
