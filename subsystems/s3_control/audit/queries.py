"""Audits, findings and rules as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from subsystems.kernel.times import moment_text
from subsystems.s3_control.audit.models import AuditRun, Finding, FleetAudit
from subsystems.s3_control.audit.rules import BY_ID, RULES, WEIGHTS, Rule


def audits() -> QuerySet[FleetAudit]:
    """Return how each fleet stands, with what its body needs."""
    return FleetAudit.objects.select_related("fleet", "system").filter(fleet__enabled=True)


def findings() -> QuerySet[Finding]:
    """Return every finding with what its body needs."""
    return Finding.objects.select_related("fleet", "system", "accepted_by")


def counts(fleets: Iterable[int]) -> dict[int, Counter[str]]:
    """Return of each fleet how many findings are in each state, by one query."""
    found: dict[int, Counter[str]] = {pk: Counter() for pk in fleets}
    for fleet, state in Finding.objects.filter(fleet__in=list(found)).values_list("fleet_id", "state"):
        found[fleet][state] += 1
    return found


def audit_bodies(rows: Iterable[FleetAudit]) -> list[dict[str, Any]]:
    """Return how fleets stand as JSON."""
    listed = list(rows)
    counted = counts([row.fleet_id for row in listed])
    return [_audit_body(row, counted[row.fleet_id]) for row in listed]


def _audit_body(row: FleetAudit, counted: Counter[str]) -> dict[str, Any]:
    return {
        "id": row.fleet_id,
        "fleet": row.fleet.name,
        "own": row.fleet.own,
        "system": row.system.slug,
        "score": row.score,
        "audited_at": moment_text(row.audited_at),
        "next_at": moment_text(row.next_at),
        "error": row.error,
        "worker_count": row.worker_count,
        "open": counted["open"],
        "accepted": counted["accepted"],
        "fixed": counted["fixed"],
        "kept": row.kept,
        "not_applicable": row.not_applicable,
    }


def finding_body(finding: Finding) -> dict[str, Any]:
    """Return one finding as JSON, with its rule's words. A rule that is gone has none."""
    rule = BY_ID.get(finding.rule)
    return {
        "id": finding.pk,
        "fleet": finding.fleet.name,
        "system": finding.system.slug,
        "rule": finding.rule,
        "subject": finding.subject,
        "severity": str(finding.severity),
        "title": rule.title if rule else finding.rule,
        "reason": rule.reason if rule else "",
        "fix": rule.fix if rule else "",
        "link": rule.link if rule else "",
        "evidence": finding.evidence,
        "state": str(finding.state),
        "first_seen_at": moment_text(finding.first_seen_at),
        "last_seen_at": moment_text(finding.last_seen_at),
        "times_seen": finding.times_seen,
        "times_returned": finding.times_returned,
        "fixed_at": moment_text(finding.fixed_at),
        "accepted_at": moment_text(finding.accepted_at),
        "accepted_until": moment_text(finding.accepted_until),
        "accepted_by": finding.accepted_by.get_username() if finding.accepted_by else None,
        "accepted_reason": finding.accepted_reason,
    }


def run_body(run: AuditRun) -> dict[str, Any]:
    """Return one audit as JSON."""
    return {
        "id": run.pk,
        "fleet": run.fleet.name,
        "system": run.system.slug,
        "at": moment_text(run.at),
        "score": run.score,
        "worker_count": run.worker_count,
        "found": run.found_count,
        "new": run.new_count,
        "fixed": run.fixed_count,
        "error": run.error,
    }


def rule_bodies() -> list[dict[str, Any]]:
    """Return every rule as JSON."""
    return [_rule_body(rule) for rule in RULES]


def _rule_body(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "severity": rule.severity.value,
        "weight": WEIGHTS[rule.severity],
        "title": rule.title,
        "reason": rule.reason,
        "fix": rule.fix,
        "link": rule.link,
    }
