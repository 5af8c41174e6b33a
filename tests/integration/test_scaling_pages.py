"""The pages of the auto-scaler."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.models import ScalingPolicy
from subsystems.s3_control.scaling import services
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.integration.test_inbox_pages import logged_in
from tests.integration.test_scaling import fleet, no_samples, now, policy, seen  # noqa: F401
from tests.support.factories import make_system

pytestmark = pytest.mark.django_db


def test_a_queue_is_scaled_from_the_page(fleet: Fleet) -> None:  # noqa: F811
    """Added with its bounds, changed on its page, dropped again; a mistake is shown where it was made."""
    client = logged_in()

    crossed = client.post("/dashboard/scaling/", {"fleet": fleet.pk, "queue": "mail", "least": 9, "most": 3})
    added = client.post("/dashboard/scaling/", {"fleet": fleet.pk, "queue": "mail", "least": 2, "most": 8})
    row = ScalingPolicy.objects.get()
    page = client.get(added["Location"]).content.decode()
    wrong = client.post(added["Location"], {"mode": "auto", "least": 2, "most": 8})
    dropped = client.post(f"/dashboard/scaling/{row.pk}/drop/")

    assert (crossed.status_code, "The fewest slots" in crossed.content.decode()) == (400, True)
    assert ("unknown slots" in page, wrong.status_code, dropped.status_code) == (True, 400, 302)
    assert not ScalingPolicy.objects.exists()


def test_a_decision_and_its_drivers_are_shown_and_the_policy_is_tried(fleet: Fleet, now: datetime) -> None:  # noqa: F811
    """Why it wants what it wants, and what it would have done."""
    client, row = logged_in(), policy(fleet)
    end = now.timestamp()
    rates = [Sample("published_rate", end - 30 * place, 1.0 + place % 7, {}) for place in range(60, 0, -1)]
    counts = [Sample("processed_total", end - back, 100.0 - back, {}) for back in (50.0, 5.0)]
    record({"shop/mail": rates, "shop/w0@x": counts}, system_id=root_system().pk, now=end)
    seen(fleet, now, busy=4)
    services.evaluate(row, now=now)

    page = client.get(f"/dashboard/scaling/{row.pk}/?hours=1").content.decode()

    for words in ("utilisation", "Grow w0@x by", "turned round", "<polyline"):
        assert words in page
    assert "shop/mail" in client.get("/dashboard/scaling/").content.decode()


def test_a_policy_is_tried_on_a_load_that_is_pasted_or_a_file(fleet: Fleet) -> None:  # noqa: F811
    """Before there is any load on record; who may look may try. A mistake is shown with its row, nothing is kept."""
    viewer, row = logged_in("viewer"), policy(fleet)
    path = f"/dashboard/scaling/{row.pk}/rehearse/"
    text = "at,arrivals,service_seconds\n" + "".join(f"{60 * step},{60 * (step % 15)},1\n" for step in range(60))

    pasted = viewer.post(path, {"load": text})
    sent = viewer.post(path, {"file": SimpleUploadedFile("load.csv", text.encode())})
    wrong = viewer.post(path, {"load": text.replace("\n120,", "\n110,")})
    binary = viewer.post(path, {"file": SimpleUploadedFile("load.csv", b"\xff\xfe\x00")})
    large = viewer.post(path, {"file": SimpleUploadedFile("load.csv", b"9" * 500_001)})

    assert [answer.status_code for answer in (pasted, sent, wrong, binary, large)] == [200, 200, 400, 400, 400]
    assert all("<polyline" in answer.content.decode() for answer in (pasted, sent))
    assert "Row 3, at" in wrong.content.decode()
    assert "text in UTF-8" in binary.content.decode()
    assert logged_in(system=make_system()).post(path, {"load": text}).status_code == 404
    assert viewer.get(path).status_code == 405


def test_readers_and_strangers_scale_nothing(fleet: Fleet) -> None:  # noqa: F811
    """Another tenant's policy is not there; viewers look."""
    row = policy(fleet)
    path = f"/dashboard/scaling/{row.pk}/"
    viewer, stranger = logged_in("viewer"), logged_in(system=make_system())

    assert (viewer.get(path).status_code, viewer.post(path).status_code) == (200, 403)
    assert [stranger.get(path).status_code, stranger.post(f"{path}drop/").status_code] == [404, 404]
    assert Client().get(path).status_code == 302
    assert logged_in().get(f"{path}drop/").status_code == 405
