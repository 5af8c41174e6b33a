"""Auditing fleets when it is time, and tracking what was found until it is done."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction

from subsystems.algedonic.queries import CAUSE, open_pains
from subsystems.algedonic.services import end_by_itself, try_to_raise
from subsystems.event_log.services import append
from subsystems.event_log.streams import Stream
from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.severity import Severity
from subsystems.kernel.telemetry_events import emit
from subsystems.kernel.times import moment_text
from subsystems.messaging.channels import Party
from subsystems.messaging.topology import CONSUMED
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s1_operations.queries import fleet_ref
from subsystems.s1_operations.sealing import CannotOpen
from subsystems.s3_control.audit import gathering
from subsystems.s3_control.audit.gathering import Unanswered
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit
from subsystems.s3_control.audit.pace import SOONEST, next_audit
from subsystems.s3_control.audit.rules import Judgement, compliance, judge

logger = logging.getLogger(__name__)
KEEP = timedelta(days=90)
AT_ONCE = 5  # fleets in one turn: each may take seconds
LONGEST_ACCEPTANCE = timedelta(days=366)
CRITICAL = "audit_critical"
STATE = Finding.State


# --- Auditing ---------------------------------------------------------------------------------------------------------
def audit_due(*, now: datetime) -> int:
    """Audit the fleets whose time has come; return how many. Any number may try: each audit is claimed once."""
    for fleet in Fleet.objects.filter(enabled=True, audit=None):
        FleetAudit.objects.get_or_create(fleet=fleet, defaults={"system_id": fleet.system_id, "next_at": now})
    due = FleetAudit.objects.filter(fleet__enabled=True, next_at__lte=now).select_related("fleet").order_by("next_at")
    claimed = [row for row in due[:AT_ONCE] if _claim(row, now)]
    for row in claimed:
        audit(row.fleet, now=now)
    return len(claimed)


def audit(fleet: Fleet, *, now: datetime) -> AuditRun:
    """Ask *fleet* how it is set up, judge it, and keep what was found."""
    units = list(Unit.objects.filter(fleet=fleet))
    try:
        reference = fleet_ref(fleet, units, [queue.name for queue in CONSUMED])
        judged = judge(gathering.gather(reference))
    except (CannotOpen, Unanswered) as error:
        return _keep_failure(fleet, str(error), now)
    if judged.unknown:
        return _keep_failure(fleet, "No worker answered.", now)
    return keep(fleet, judged, worker_count=_workers(units), now=now)


def request(row: FleetAudit, *, now: datetime) -> None:
    """Let a fleet be audited with the next turn, within a minute."""
    FleetAudit.objects.filter(pk=row.pk).update(next_at=now)


@transaction.atomic
def keep(fleet: Fleet, judged: Judgement, *, worker_count: int, now: datetime) -> AuditRun:
    """Record what an audit found: new findings open, those no longer seen are fixed, those seen again come back."""
    row = _locked(fleet, now)
    known = {(finding.rule, finding.subject): finding for finding in Finding.objects.filter(fleet=fleet)}
    seen = {(found.rule.id, found.subject) for found in judged.findings}
    fresh = []
    for found in judged.findings:
        old = known.get((found.rule.id, found.subject))
        if old is None:
            fresh.append(
                Finding(
                    fleet=fleet, system_id=fleet.system_id, rule=found.rule.id, subject=found.subject[:200],
                    severity=found.rule.severity.value, evidence=found.evidence, first_seen_at=now, last_seen_at=now,
                )
            )  # fmt: skip
        else:
            old.severity, old.evidence = found.rule.severity.value, found.evidence
            _see_again(old, now)
    fixed = [old for key, old in known.items() if key not in seen and old.state != STATE.FIXED]
    for old in fixed:
        old.state, old.fixed_at = STATE.FIXED, now
    Finding.objects.bulk_create(fresh)
    Finding.objects.bulk_update(
        list(known.values()),
        ["severity", "evidence", "state", "last_seen_at", "times_seen", "times_returned", "fixed_at"],
        batch_size=200,
    )
    run = AuditRun.objects.create(
        fleet=fleet, system_id=fleet.system_id, at=now, worker_count=worker_count, found_count=len(seen),
        new_count=len(fresh), fixed_count=len(fixed),
    )  # fmt: skip
    row.kept, row.not_applicable = list(judged.kept), list(judged.not_applicable)
    row.audited_at, row.error, row.worker_count = now, "", worker_count
    _score(row, run, now)
    return run


def _score(row: FleetAudit, run: AuditRun | None, now: datetime) -> None:
    """Compute the score of what is open now, plan the next audit by it, and tell about critical findings."""
    severities = list(Finding.objects.filter(fleet=row.fleet, state=STATE.OPEN).values_list("severity", flat=True))
    row.score = round(compliance(severities), 4)
    row.next_at = next_audit(row.score, critical="critical" in severities, now=now)
    row.save()
    if run is None:
        return
    run.score = row.score
    run.save(update_fields=["score"])
    said = {"fleet": row.fleet.name, "score": row.score, "found": run.found_count, "fixed": run.fixed_count}
    append(Stream.CONTROL, "audit.completed", said, system_id=row.system_id, at=now)
    about = {"auditor": "s3_star", "subject": row.fleet.name}
    transaction.on_commit(lambda: emit("vsm.s3.audit.check", {"count": 1, "compliance": row.score or 0.0}, about))
    _tell(row.fleet, now)


def _tell(fleet: Fleet, now: datetime) -> None:
    """Raise one pain for the critical findings of a fleet, and end it when there are none."""
    told = [pain for pain in open_pains(cause=CRITICAL) if pain.data.get("fleet") == fleet.pk]
    rules = sorted(
        Finding.objects.filter(fleet=fleet, state=STATE.OPEN, severity="critical").values_list("rule", flat=True)
    )
    if not rules:
        for pain in told:
            end_by_itself(pain, now=now, why="No critical finding is open.")
    elif not told:
        try_to_raise(
            type="pain", source=f"audit:{fleet.name}"[:200], severity=Severity.HIGH, system_id=fleet.system_id,
            data={CAUSE: CRITICAL, "fleet": fleet.pk, "rules": rules}, origin=Party.S3_STAR, at=now,
            description=f"The audit of {fleet.name} found: {', '.join(rules)}."[:2000],
        )  # fmt: skip


def _claim(row: FleetAudit, now: datetime) -> bool:
    return bool(FleetAudit.objects.filter(pk=row.pk, next_at=row.next_at).update(next_at=now + SOONEST))


def _locked(fleet: Fleet, now: datetime) -> FleetAudit:
    made = {"system_id": fleet.system_id, "next_at": now}
    FleetAudit.objects.get_or_create(fleet=fleet, defaults=made)
    return FleetAudit.objects.select_for_update().select_related("fleet").get(fleet=fleet)


def _keep_failure(fleet: Fleet, why: str, now: datetime) -> AuditRun:
    """Keep that nothing was learned. What is known stays known; the score becomes unknown."""
    FleetAudit.objects.filter(fleet=fleet).update(
        error=why[:300], score=None, next_at=next_audit(None, critical=False, now=now)
    )
    return AuditRun.objects.create(fleet=fleet, system_id=fleet.system_id, at=now, error=why[:300])


def _see_again(finding: Finding, now: datetime) -> None:
    finding.last_seen_at = now
    finding.times_seen += 1
    if finding.state == STATE.FIXED:
        finding.state, finding.fixed_at = STATE.OPEN, None
        finding.times_returned += 1
    elif finding.state == STATE.ACCEPTED and finding.accepted_until is not None and finding.accepted_until <= now:
        finding.state = STATE.OPEN


def _workers(units: list[Unit]) -> int:
    return sum(unit.kind == "celery_worker" and unit.state == Unit.State.ACTIVE for unit in units)


# --- What people decide -----------------------------------------------------------------------------------------------
@transaction.atomic
def accept(finding: Finding, *, reason: str, until: datetime | None, by: User | None, now: datetime) -> Finding:
    """Leave a finding as it is, for a reason, until a moment or for good. Raises Invalid, Refused."""
    if not reason.strip():
        raise Invalid("Say why it is left as it is.", field="reason")
    if until is not None and not now < until <= now + LONGEST_ACCEPTANCE:
        raise Invalid("An acceptance ends in the future, within a year.", field="until")
    _move(finding, STATE.OPEN, STATE.ACCEPTED)
    finding.accepted_at, finding.accepted_until = now, until
    finding.accepted_by, finding.accepted_reason = by, reason.strip()[:500]
    finding.save()
    _decided("audit.accepted", finding, by, now, reason=finding.accepted_reason, until=moment_text(until))
    return finding


@transaction.atomic
def reopen(finding: Finding, *, by: User | None, now: datetime) -> Finding:
    """Take an acceptance back. Raises Refused when there is none."""
    _move(finding, STATE.ACCEPTED, STATE.OPEN)
    finding.save()
    _decided("audit.reopened", finding, by, now)
    return finding


def _move(finding: Finding, before: str, after: str) -> None:
    claimed = Finding.objects.filter(pk=finding.pk, state=before)
    if not claimed.update(state=after):
        raise Refused(f"This finding is not {before}.", code=f"not_{before}")
    finding.state = after


def _decided(type_: str, finding: Finding, by: User | None, now: datetime, **data: object) -> None:
    row = FleetAudit.objects.select_for_update().select_related("fleet").get(fleet=finding.fleet_id)
    next_at = row.next_at
    if row.score is not None:
        _score(row, None, now)
        FleetAudit.objects.filter(pk=row.pk).update(next_at=next_at)
    actor = by.get_username() if by else ""
    said = {"fleet": row.fleet.name, "rule": finding.rule, "subject": finding.subject, **data}
    append(Stream.CONTROL, type_, said, system_id=finding.system_id, actor=actor, at=now)
    _tell(row.fleet, now)


def forget_runs(*, now: datetime) -> int:
    """Delete the record of audits of more than 90 days ago, and findings that were fixed as long ago."""
    Finding.objects.filter(state=STATE.FIXED, fixed_at__lt=now - KEEP).delete()
    return AuditRun.objects.filter(at__lt=now - KEEP).delete()[0]
