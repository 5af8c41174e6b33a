"""Alerts of other programs: taken in by the batch, ended when their own end comes, and routed as all others are.

Neither cooldown nor the cap of the hour is theirs: whoever replaces an Alertmanager is told as often as it told.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connection, transaction

from alerts import informing, lifecycle
from alerts.evaluation import fingerprint
from alerts.models import Alert
from alerts.notices.external import MAX_ALERTS, Report, merged, read_report
from alerts.notices.models import ExternalAlert
from alerts.transitions import Kind, Transition, note_all
from subsystems.kernel.errors import Invalid
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Unit

TYPE = "external"
AT_ONCE = 500
SHOWN_AT_ONCE = 100  # on open dashboards: a storm is read from the list


def receive(system: System, given: object, *, now: datetime) -> tuple[int, list[dict[str, Any]]]:
    """Take alerts in as Prometheus posts them; return how many were taken, and which were not. Saying it again is safe.

    Raises Invalid when the body is no list, or too long a one.
    """
    if not isinstance(given, list):
        raise Invalid("The body is a list of alerts.", field="alerts", code="malformed")
    if len(given) > MAX_ALERTS:
        raise Invalid(f"At most {MAX_ALERTS:,} alerts at once.", field="alerts", code="too_large")
    reports: dict[str, Report] = {}
    rejected: list[dict[str, Any]] = []
    for index, each in enumerate(given):
        try:
            report = read_report(each, now=now)
        except Invalid as error:
            rejected.append({"index": index, "code": error.code, "field": error.field, "detail": error.detail})
        else:
            key = fingerprint(TYPE, system.pk, report.fingerprint)
            reports[key] = merged(reports.get(key), report)
    rest = iter(reports.items())
    while batch := dict(islice(rest, AT_ONCE)):
        _take(system, batch, now)
    return len(given) - len(rejected), rejected


@transaction.atomic
def _take(system: System, reports: Mapping[str, Report], now: datetime) -> None:
    open_ = Alert.objects.filter(fingerprint__in=reports).exclude(state=Alert.State.RESOLVED)
    known = {alert.fingerprint: alert for alert in open_.select_related("external")}
    _open(system, {key: each for key, each in reports.items() if key not in known and not each.resolved(now)}, now)
    over: list[Alert] = []
    lasting: list[Alert] = []
    for key, alert in known.items():
        held = getattr(alert, "external", None)
        if held is None:
            continue
        now_known = merged(_report_of(alert, held), reports[key])
        held.starts_at, held.ends_at, held.timeout = now_known.starts_at, now_known.ends_at, now_known.timeout
        held.received_at, held.generator_url = now, now_known.generator_url
        alert.annotations = dict(now_known.annotations)
        (over if now_known.resolved(now) else lasting).append(alert)
    fields = ["starts_at", "ends_at", "timeout", "received_at", "generator_url"]
    ExternalAlert.objects.bulk_update([a.external for a in (*over, *lasting)], fields, batch_size=AT_ONCE)
    Alert.objects.bulk_update([*over, *lasting], ["annotations"], batch_size=AT_ONCE)
    _end([alert.pk for alert in over], now, "it was reported as over")


def end_overdue(*, now: datetime) -> int:
    """End the alerts whose end has come, or that nobody has reported for their timeout; return how many."""
    overdue = ExternalAlert.objects.filter(ends_at__lte=now).exclude(alert__state=Alert.State.RESOLVED)
    ids = list(overdue.order_by("ends_at").values_list("alert_id", flat=True)[:AT_ONCE])
    if not ids:
        return 0
    with transaction.atomic():
        return _end(ids, now, "its end has come")


def _open(system: System, reports: Mapping[str, Report], now: datetime) -> None:
    """Insert alerts that are new; of two senders at once one wins, which its mark in the row tells."""
    if not reports:
        return
    mark = uuid.uuid4().hex
    units = _units(system, reports.values())
    rows = [_row(system, key, report, units, mark) for key, report in reports.items()]
    Alert.objects.bulk_create(rows, ignore_conflicts=True, batch_size=AT_ONCE)
    found = Alert.objects.filter(fingerprint__in=reports, data__report=mark).select_related("system")
    made = [alert for alert in found if alert.open]
    ExternalAlert.objects.bulk_create([_external(alert, reports[alert.fingerprint]) for alert in made])
    note_all(Transition(alert, Kind.FIRING, now, {"reported": "firing"}) for alert in made)
    informing.inform(made, now=now)
    lifecycle.show_all(made[:SHOWN_AT_ONCE])


def _end(ids: Sequence[int], now: datetime, why: str) -> int:
    if not ids:
        return 0
    free = Alert.objects.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    mine = list(free.filter(pk__in=ids).exclude(state=Alert.State.RESOLVED).order_by("pk"))
    for alert in mine:
        alert.state, alert.resolved_at, alert.resolution = Alert.State.RESOLVED, now, Alert.Resolution.CONDITION
    Alert.objects.bulk_update(mine, ["state", "resolved_at", "resolution"], batch_size=AT_ONCE)
    note_all(Transition(alert, Kind.RESOLVED, now, {"reported": why}) for alert in mine)
    lifecycle.show_all(mine[:SHOWN_AT_ONCE])
    return len(mine)


def _row(system: System, key: str, report: Report, units: Mapping[str, int], mark: str) -> Alert:
    labels = {"system": system.slug, **report.labels}
    name = labels.get("alertname", "alert")
    subject = labels.get("instance") or labels.get("unit") or labels.get("job") or system.slug
    summary = report.annotations.get("summary") or f"{name}: {subject}"
    return Alert(
        system=system, unit_id=units.get(labels.get("unit", "")), type=TYPE, title=summary[:200], subject=subject[:260],
        fingerprint=key, severity=report.severity(), state=Alert.State.FIRING, labels=labels,
        annotations=dict(report.annotations), pending_at=report.starts_at, fired_at=report.starts_at,
        data={"report": mark},
    )  # fmt: skip


def _external(alert: Alert, report: Report) -> ExternalAlert:
    return ExternalAlert(
        alert=alert, starts_at=report.starts_at, ends_at=report.ends_at, timeout=report.timeout,
        received_at=report.received_at, generator_url=report.generator_url,
    )  # fmt: skip


def _report_of(alert: Alert, held: ExternalAlert) -> Report:
    return Report(
        alert.labels, alert.annotations, held.starts_at, held.ends_at, held.received_at, held.timeout,
        held.generator_url,
    )  # fmt: skip


def _units(system: System, reports: Collection[Report]) -> dict[str, int]:
    """Return the units that the reports name by a label `unit`."""
    names = {report.labels["unit"] for report in reports if "unit" in report.labels}
    return dict(Unit.objects.filter(system=system, name__in=names).values_list("name", "pk")) if names else {}
