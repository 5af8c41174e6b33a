"""Timelines through our rules, with the time passed in; `test_alertmanager` runs the same ones through Alertmanager."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from alerts.notices.external import Report
from alerts.notices.matchers import read_matchers
from alerts.notices.rehearsal import Rehearsal
from alerts.notices.routing import read_routing
from tests.support.timelines import Heard, Timeline, timelines

START = 1_790_812_800.0
FAR = 10**6
UNIT = 30.0  # seconds


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(START + at * UNIT, UTC)


class Rehearsed:
    """Plays a timeline in memory."""

    def __init__(self, timeline: Timeline) -> None:
        self.rehearsal = Rehearsal(read_routing(timeline.document(UNIT)))

    def alert(self, at: float, labels: dict[str, str], starts_at: float | None, ends_at: float | None) -> None:
        starts = moment(at if starts_at is None else starts_at) if ends_at != at else moment(at)
        ends = moment(FAR if ends_at is None else ends_at)
        self.rehearsal.report(Report(labels, {}, starts, ends, moment(at)))

    def silence(self, at: float, matchers: list[str], ends_at: float) -> None:
        self.rehearsal.silence(read_matchers(matchers), moment(at).timestamp(), moment(ends_at).timestamp())


def names(labels: Any) -> frozenset[str]:
    return frozenset(each["name"] for each in labels)


@pytest.mark.parametrize("timeline", timelines(), ids=lambda timeline: timeline.name)
def test_a_timeline_is_told_as_alertmanager_tells_it(timeline: Timeline) -> None:
    """People bring their habits and their routes from Alertmanager: what it would not say, we do not say either."""
    player = Rehearsed(timeline)
    heard: Heard = {receiver: [] for receiver in timeline.says}

    for at in timeline.play(player):
        for said in player.rehearsal.until(moment(at).timestamp()):
            at = round((said.at - START) / UNIT, 3)
            heard[said.receiver].append((at, names(said.firing), names(said.resolved)))

    assert heard == timeline.expected()
