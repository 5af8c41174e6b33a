"""Who is on call: exactly one, whatever the clocks do, overrides before layers and higher layers before lower ones."""

# ruff: noqa: DTZ001  (clocks on the wall show no zone)
from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.people.hours import Hours, holds, over_at, read_hours, wall
from alerts.people.rotas import Layer, Override, Rota, Shift, handover_after, on_call, read_layers, shifts
from subsystems.kernel.errors import Invalid

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")]
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
# From a month before clocks go forward in the north to a month after they go back there.
moments = st.datetimes(datetime(2026, 3, 1), datetime(2026, 12, 1), timezones=st.just(UTC))
zones = st.sampled_from(ZONES)
turns = st.one_of(st.integers(1, 72).map(lambda n: n * HOUR), st.integers(1, 9).map(lambda n: n * DAY), st.just(WEEK))
clocks = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))
hours = st.builds(Hours, clocks, clocks, st.frozensets(st.integers(0, 6), min_size=1))
starts = st.builds(
    lambda day, clock: datetime.combine(day.date(), clock),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 20)), clocks,
)  # fmt: skip
people = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)
always = st.builds(Layer, st.just("always"), people, turns, starts)
sometimes = st.builds(Layer, st.just("sometimes"), people, turns, starts, st.lists(hours, max_size=3).map(tuple))
overrides = st.lists(
    st.builds(
        lambda user, start, length: Override(user, start, start + length),
        st.integers(7, 9), moments, st.integers(1, 200).map(lambda n: n * HOUR),
    ),
    max_size=4,
)  # fmt: skip


def london(hour: int, day: int = 23, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


@given(always, zones, moments, st.integers(1, 400))
def test_a_layer_without_hours_has_one_holder_at_every_moment(
    layer: Layer, zone: ZoneInfo, start: datetime, length: int
) -> None:
    """A gap of an hour, once a year, would be the hour in which it burns."""
    end = start + length * HOUR

    found = list(layer.shifts(start, end, zone))

    assert (found[0].starts_at, found[-1].ends_at) == (start, end)
    assert all(first.ends_at == second.starts_at for first, second in zip(found, found[1:], strict=False))
    assert all(each.starts_at < each.ends_at for each in found)


@given(always, zones, moments)
def test_turns_go_round_in_order(layer: Layer, zone: ZoneInfo, start: datetime) -> None:
    """Nobody is left out, and nobody comes twice, except where clocks jump over a whole turn."""
    holders = [each.user for each in layer.shifts(start, start + 12 * layer.turn, zone)]
    ring = layer.participants
    doubled = (*ring, *ring)

    expected = [
        doubled[first : first + len(ring)] * 14 for first in range(len(ring)) if doubled[first] == holders[0]
    ]  # fmt: skip
    if layer.turn > 2 * HOUR:
        assert any(tuple(each[: len(holders)]) == tuple(holders) for each in expected)


@given(st.integers(1, 20), st.sampled_from(ZONES[:2]), clocks)
def test_handover_stays_at_its_time_when_clocks_change(number: int, zone: ZoneInfo, clock: time) -> None:
    """10:00 stays 10:00."""
    layer = Layer("l", (1, 2), DAY, datetime.combine(datetime(2026, 3, 1).date(), clock))
    start = datetime(2026, 3, 10, tzinfo=UTC)

    found = list(layer.shifts(start, start + timedelta(days=240), zone))[1:]

    skipped = time(2) <= clock < time(3)  # an hour that is not on every day
    assert skipped or {wall(each.starts_at, zone).time() for each in found} == {clock}


def by_hand(rota: Rota, at: datetime) -> int | None:
    """Say it once more, in another way: look at the overrides from the last, then at the layers from the top."""
    for override in reversed(rota.overrides):
        if override.starts_at <= at < override.ends_at:
            return override.user
    for layer in reversed(rota.layers):
        if layer.hours and not holds(layer.hours, at, rota.zone):
            continue
        for shift in Layer("", layer.participants, layer.turn, layer.starts).shifts(at, at + HOUR / 60, rota.zone):
            return shift.user
    return None


@given(st.lists(sometimes, min_size=1, max_size=3), overrides, zones, moments, st.lists(st.integers(0, 30 * 60)))
def test_overrides_win_and_then_higher_layers(
    layers: list[Layer], taken: list[Override], zone: ZoneInfo, start: datetime, minutes: list[int]
) -> None:
    """What is drawn is what holds: at any moment the timeline says whom a page would reach."""
    named = tuple(
        Layer(str(n), each.participants, each.turn, each.starts, each.hours) for n, each in enumerate(layers)
    )  # fmt: skip
    rota = Rota(zone, named, tuple(taken))
    found = shifts(rota, start, start + timedelta(hours=500))

    for first, second in zip(found, found[1:], strict=False):
        assert first.ends_at <= second.starts_at
    for at in (start + timedelta(minutes=each) for each in minutes):
        drawn = next((each.user for each in found if each.starts_at <= at < each.ends_at), None)
        assert drawn == by_hand(rota, at) == on_call(rota, at)


def test_clocks_that_go_forward_shorten_a_turn() -> None:
    """29 March 2026 has 23 hours in Berlin; whoever has it is relieved at nine all the same."""
    layer = Layer("l", (1, 2), DAY, datetime(2026, 3, 1, 9))

    lengths = [each.ends_at - each.starts_at for each in layer.shifts(london(8, 28), london(7, 31), BERLIN)]

    assert lengths == [23 * HOUR, 24 * HOUR, 24 * HOUR]


def test_the_night_belongs_to_the_day_on_which_it_begins() -> None:
    """Friday from 22:00 until 07:00 is Saturday's morning, too."""
    (night,) = read_hours([{"days": ["fri"], "from": "22:00", "until": "07:00"}], "hours")

    held = [holds([night], datetime(2026, 11, day, hour, tzinfo=UTC), ZONES[-1])
            for day, hour in [(20, 21), (20, 22), (21, 6), (21, 7), (21, 23)]]  # fmt: skip

    assert held == [False, True, True, False, False]
    assert over_at([night], datetime(2026, 11, 20, 23, tzinfo=UTC), ZONES[-1]) == datetime(2026, 11, 21, 7, tzinfo=UTC)


@given(hours, zones, moments)
def test_hours_are_over_when_they_hold_no_more(one: Hours, zone: ZoneInfo, at: datetime) -> None:
    """What waits for their end must not wait again."""
    end = over_at([one], at, zone)

    assert (end is not None) == holds([one], at, zone) or one.begins == one.ends
    assert end is None or (end > at and not holds([one], end, zone))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param((), london(8, 30), id="the next turn"),
        pytest.param((Override(1, london(8, 30), london(12, 30)),), london(12, 30), id="who stays for longer"),
        pytest.param((Override(9, london(12, 24), london(13, 24)),), london(12, 24), id="an override in between"),
    ],
)
def test_the_next_handover_is_when_somebody_else_comes(overrides: tuple[Override, ...], expected: datetime) -> None:
    """Not when a layer or a turn changes, but the person."""
    rota = Rota(ZoneInfo("UTC"), (Layer("l", (1, 2), WEEK, datetime(2026, 3, 23, 8)),), overrides)

    assert handover_after(rota, london(9)) == expected


def test_a_rota_of_one_is_never_handed_over() -> None:
    """There is nobody else."""
    rota = Rota(ZoneInfo("UTC"), (Layer("l", (1,), WEEK, datetime(2026, 3, 23, 8)),))

    assert handover_after(rota, london(9)) is None


def test_office_hours_leave_the_nights_to_the_layer_below() -> None:
    """Or to nobody, where there is none."""
    office = Layer("office", (2,), WEEK, datetime(2026, 3, 2, 9), (Hours(time(9), time(17), frozenset({0})),))
    base = Layer("base", (1,), WEEK, datetime(2026, 3, 2, 9))

    both = shifts(Rota(ZoneInfo("UTC"), (base, office)), london(0), london(0, 24))
    alone = shifts(Rota(ZoneInfo("UTC"), (office,)), london(0), london(0, 24))

    assert [(each.starts_at.hour, each.user) for each in both] == [(0, 1), (9, 2), (17, 1)]
    assert alone == [Shift(london(9), london(17), 2, "office")]


LAYER = {
    "name": "l",
    "participants": [1, 2],
    "turn": 1,
    "unit": "weeks",
    "handover": "09:00",
    "starts_on": "2026-11-25",
}


def test_turns_of_weeks_begin_on_their_weekday() -> None:
    """Given on a Wednesday, handed over on Mondays."""
    (layer,) = read_layers([{**LAYER, "weekday": "mon"}])

    assert layer.starts == datetime(2026, 11, 23, 9)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "layers[0].name"),
        ({"participants": []}, "layers[0].participants"),
        ({"turn": 0}, "layers[0].turn"),
        ({"turn": True}, "layers[0].turn"),
        ({"unit": "years"}, "layers[0].unit"),
        ({"unit": []}, "layers[0].unit"),
        ({"handover": "9"}, "layers[0].handover"),
        ({"weekday": "noday"}, "layers[0].weekday"),
        ({"weekday": []}, "layers[0].weekday"),
        ({"starts_on": "soon"}, "layers[0].starts_on"),
        ({"starts_on": 5}, "layers[0].starts_on"),
        ({"starts_on": "0001-01-01"}, "layers[0].starts_on"),
        ({"hours": [{"from": "9"}]}, "layers[0].hours[0].from"),
        ({"hours": [{"from": "09:00", "until": "10:00", "days": ["x"]}]}, "layers[0].hours[0].days"),
        ({"more": 1}, "layers[0]"),
    ],
)
def test_what_is_no_layer_is_refused_by_its_place(change: dict[str, Any], field: str) -> None:
    """Whoever typed it finds it."""
    with pytest.raises(Invalid) as caught:
        read_layers([{**LAYER, **change}])

    assert caught.value.field == field
