"""What S3 advises about a queue by itself, and when it holds its tongue."""

from __future__ import annotations

import pytest
from django.utils import timezone

from subsystems.s1_operations.models import Unit
from subsystems.s3_control import advising, recommending
from subsystems.s3_control.models import Recommendation
from tests.integration.test_api_workers import make_fleet

pytestmark = pytest.mark.django_db


def test_nothing_else_is_advised_until_an_act_has_shown_its_effect() -> None:
    """What was seen last is of before the act: a queue just resumed needs no more workers yet."""
    fleet, now = make_fleet(), timezone.now()
    queue = Unit.objects.get(name="shop/mails")
    row = recommending.recommend(
        system_id=fleet.system_id, kind="resource", source="s3", subject="shop/mails", title="Resume mails", now=now
    )
    this = Recommendation.objects.filter(pk=row.pk)
    this.update(state="applied", act_kind="queue.resume")

    during = advising.suggest(queue, {}, now=now)
    this.update(state="verified", settled_at=now)
    after = advising.suggest(queue, {}, now=now)

    assert during is None
    assert after is not None
    assert after.title == "Start more workers for mails"
