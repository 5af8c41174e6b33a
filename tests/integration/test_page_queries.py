"""No page asks the database more often because there is more to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse
from django.utils import timezone

from alerts.models import Alert
from subsystems.s1_operations.models import Unit
from tests.support.crowd import crowd_rows, crowd_units
from tests.support.factories import make_user
from vsm_site.dashboard.urls import urlpatterns

pytestmark = pytest.mark.django_db
FEW, MANY = 10, 60
ROWS = [
    "alerts.AlertRule", "alerts.Alert", "alerts.AlertComment", "alerts.Check", "alerts.Target", "alerts.Notification",
    "alerts.Silence", "alerts.MaintenanceWindow", "algedonic.Signal", "messaging.Message", "messaging.DeadLetter",
    "event_log.PendingEvent", "fleets.Task", "fleets.WorkerState", "fleets.QueueState", "fleets.StuckFinding",
    "s3_control.Action", "s3_control.Recommendation", "s2_coordination.CoordinationFinding",
]  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and path of each page that is one of its kind, and of a unit and an alert for all others."""
    for pattern in urlpatterns:
        if isinstance(pattern, URLPattern) and pattern.name and not pattern.pattern.converters:
            yield pattern.name, reverse(f"dashboard:{pattern.name}")
    yield "unit", f"/dashboard/units/{Unit.objects.order_by('pk').values_list('pk', flat=True)[0]}/"
    yield "alert", f"/dashboard/alerts/{Alert.objects.order_by('pk').values_list('pk', flat=True)[0]}/"


def counted(client: Client) -> dict[str, int]:
    """Return by page how many queries a second look at it takes; those that only take a form are left out."""
    found: dict[str, int] = {}
    for name, path in pages():
        if client.get(path).status_code != 200:  # also has what is remembered for all pages remembered
            continue
        with CaptureQueriesContext(connection) as asked:
            client.get(path)
        found[name] = len(asked)
    return found


def test_every_page_needs_as_many_queries_for_many_rows_as_for_few(client: Client) -> None:
    """A query for each row is not seen in a test of one row, and is what makes a page of ten thousand stand still."""
    user: Any = make_user(superuser=True)
    client.force_login(user)
    with time_machine.travel(timezone.now(), tick=False):  # pages of the last minutes ask no less on a slow machine
        crowd_units(FEW)
        crowd_rows(ROWS, FEW)
        few = counted(client)

        crowd_units(MANY - FEW, start=FEW)
        crowd_rows(ROWS, MANY - FEW, start=FEW)
        many = counted(client)

    assert len(few) > 40
    assert {name: (few[name], many.get(name)) for name in few if many.get(name) != few[name]} == {}
