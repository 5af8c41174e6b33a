"""The steps of a policy as they are written, and the conditions under which they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from alerts.people.escalation import Do, read_steps
from subsystems.kernel.errors import Invalid

NOTIFY = {"notify": {"user": "anna"}}
OFFICE = {"hours": [{"days": ["mon"], "from": "09:00", "until": "17:00"}], "time_zone": "Europe/Berlin"}


def test_steps_are_read_in_their_order() -> None:
    """What is written is what is done."""
    steps = read_steps([NOTIFY, {"wait": "5m"}, {"notify": {"rota": 7}}, {"repeat": 2}, {"stop": True}])

    assert [step.do for step in steps] == [Do.NOTIFY, Do.WAIT, Do.NOTIFY, Do.REPEAT, Do.STOP]
    assert (steps[1].seconds, steps[2].whom, steps[2].who, steps[3].times) == (300.0, "rota", 7, 2)


@pytest.mark.parametrize(
    ("severity", "hour", "expected"),
    [("critical", 12, True), ("warning", 12, False), ("critical", 16, False), ("critical", 7, False)],
)
def test_a_condition_is_about_severity_and_time(severity: str, hour: int, expected: bool) -> None:
    """09:00 to 17:00 in Berlin is 08:00 to 16:00 UTC in winter."""
    (step,) = read_steps([{**NOTIFY, "only_if": {"severity": "critical", **OFFICE}}])

    assert step.condition.met(severity, datetime(2026, 11, 23, hour, tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([], "steps"),
        ("x", "steps"),
        ([{"wait": "5m"}], "steps"),
        ([NOTIFY, 5], "steps[1]"),
        ([NOTIFY, {}], "steps[1]"),
        ([{**NOTIFY, "wait": "5m"}], "steps[0]"),
        ([NOTIFY, {"wait": "soon"}], "steps[1].wait"),
        ([NOTIFY, {"wait": "2d"}], "steps[1].wait"),
        ([NOTIFY, {"wait": "5m"}, {"repeat": 6}], "steps[2].repeat"),
        ([NOTIFY, {"repeat": 1}], "steps[1].repeat"),
        ([NOTIFY, {"stop": False}], "steps[1].stop"),
        ([{"notify": {"user": "a", "team": "b"}}], "steps[0].notify"),
        ([{"notify": {"user": []}}], "steps[0].notify.user"),
        ([{"notify": {"pigeon": "a"}}], "steps[0].notify"),
        ([{**NOTIFY, "only_if": {"severity": "fatal"}}], "steps[0].only_if.severity"),
        ([{**NOTIFY, "only_if": {"severity": []}}], "steps[0].only_if.severity"),
        ([{**NOTIFY, "only_if": {"hours": [1]}}], "steps[0].only_if.hours[0]"),
        ([{**NOTIFY, "only_if": {"time_zone": "Mars"}}], "steps[0].only_if.time_zone"),
        ([NOTIFY] * 51, "steps"),
    ],
)
def test_what_is_no_policy_is_refused_by_its_place(steps: Any, field: str) -> None:
    """Also one that would tell everybody everything at once, again and again."""
    with pytest.raises(Invalid) as caught:
        read_steps(steps)

    assert caught.value.field == field
