"""StatsD's lines and what they add up to; whatever is sent, nothing breaks and nothing grows without end."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subsystems.telemetry.doors import statsd
from subsystems.telemetry.doors.statsd import Sums

NOW = 1_800_000_000.0


def taken(sums: Sums) -> dict[str, float]:
    """Return the values by source, metric and labels."""
    table = sums.take(NOW)
    return {
        f"{source} {metric}{{{labels}}}": value
        for (source, metric, labels), value in zip(table.names, table.values.tolist(), strict=True)
    }


def after(*packets: bytes) -> dict[str, float]:
    sums = Sums()
    for packet in packets:
        sums.add(packet)
    return taken(sums)


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        pytest.param([b"a.b:1|c", b"a.b:2|c"], {"statsd a.b{}": 3}, id="counts add up"),
        pytest.param([b"a:1|c|@0.1"], {"statsd a{}": 10}, id="a sampled count stands for ten"),
        pytest.param([b"a:1|c\nb:2|c\n"], {"statsd a{}": 1, "statsd b{}": 2}, id="several lines"),
        pytest.param([b"g:5|g", b"g:+2|g", b"g:-3|g"], {"statsd g{}": 4}, id="a gauge and its steps"),
        pytest.param([b"g:5|g\ng:+2|g\na:1|c\ng:5|g"], {"statsd a{}": 1, "statsd g{}": 5}, id="a gauge in its order"),
        pytest.param([b"g:5|g\ng:+2|g\ng:+2|g"], {"statsd g{}": 9}, id="equal steps of a gauge"),
        pytest.param([b"a:2|c|@0.5\n" * 3], {"statsd a{}": 12}, id="equal lines"),
        pytest.param([b"u:x|s", b"u:y|s", b"u:x|s"], {"statsd u{}": 2}, id="a set counts what differs"),
        pytest.param([b"a:1|c|#env:prod,up"], {'statsd a{env="prod",up="true"}': 1}, id="tags"),
        pytest.param([b"a:1|c|#service:shop"], {"shop a{}": 1}, id="a service is the source"),
        pytest.param([b"a:1|c|#x:1|c:abc|T17"], {'statsd a{x="1"}': 1}, id="newer sections are passed over"),
        pytest.param([b"9 a/b:1|c"], {"statsd _9_a_b{}": 1}, id="a name becomes one that is ours"),
    ],
)
def test_lines_add_up(packets: list[bytes], expected: dict[str, float]) -> None:
    """As StatsD's own documentation has it."""
    assert after(*packets) == expected


def test_a_timer_has_a_count_a_sum_extremes_and_quantiles() -> None:
    """What people look at of durations; several values in one line are DogStatsD's."""
    assert after(b"t:10|ms", b"t:20:30|ms") == {
        "statsd t_count{}": 3, "statsd t_sum{}": 60, "statsd t_min{}": 10, "statsd t_max{}": 30,
        'statsd t{quantile="0.5"}': 20, 'statsd t{quantile="0.9"}': 28,
        'statsd t{quantile="0.99"}': pytest.approx(29.8),
    }  # fmt: skip


def test_equal_times_are_told_as_often_as_they_came() -> None:
    """Equal lines are read once, whether they come together or apart."""
    together, apart = after(b"\n".join([b"t:10|ms"] * 3 + [b"t:50|ms"])), after(*[b"t:10|ms"] * 3, b"t:50|ms")

    assert together == apart
    assert (together["statsd t_count{}"], together["statsd t_sum{}"], together['statsd t{quantile="0.5"}']) == (
        4,
        80,
        10,
    )


def test_what_is_quiet_is_not_told_again_but_a_gauge_holds() -> None:
    """A gauge is a state: it is what it was until somebody says otherwise, or nobody speaks for five minutes."""
    sums = Sums()
    sums.add(b"a:1|c\ng:5|g")

    found = [taken(sums) for _ in range(statsd.IDLE_INTERVALS + 3)]

    assert found[0] == {"statsd a{}": 1, "statsd g{}": 5}
    assert found[1] == {"statsd g{}": 5}
    assert found[-1] == {}


def test_the_same_lines_share_a_layout() -> None:
    """So that the registry looks nothing up."""
    sums = Sums()
    layouts = []
    for _ in range(2):
        sums.add(b"a:1|c\nb:1|c")
        layouts.append(sums.take(NOW).layout)

    assert layouts[0] is layouts[1]


@pytest.mark.parametrize(
    ("packet", "counter"),
    [
        pytest.param(b"a:nan|c", statsd.BAD, id="NaN"),
        pytest.param(b"a:1e999|c", statsd.BAD, id="infinity"),
        pytest.param(b"a:x|c", statsd.BAD, id="no number"),
        pytest.param(b"a", statsd.BAD, id="a name alone"),
        pytest.param(b":1|c", statsd.BAD, id="no name"),
        pytest.param(b"a:1|zz", statsd.BAD, id="another type"),
        pytest.param(b"a:1|c|@0", statsd.BAD, id="a rate of zero"),
        pytest.param(b"a:1|c|@7", statsd.BAD, id="a rate above one"),
        pytest.param(b"a" * 2000 + b":1|c", statsd.BAD, id="a long name"),
        pytest.param(b"a:1|c|#" + b",".join(b"t%d:1" % n for n in range(50)), statsd.BAD, id="fifty tags"),
        pytest.param(b"_e{5,4}:title|text", statsd.IGNORED, id="an event"),
        pytest.param(b"\x00\xff\xfe", statsd.BAD, id="bytes"),
    ],
)
def test_what_cannot_be_taken_is_counted(packet: bytes, counter: str) -> None:
    """And costs the other lines of its packet nothing."""
    sums = Sums()

    sums.add(b"good:1|c\n" + packet)

    assert sums.take_counted() == {counter: 1}
    assert sums.take_counted() == {}
    assert taken(sums)["statsd good{}"] == 1


def test_series_and_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on this machine may send; a name in every line must not fill the memory."""
    monkeypatch.setattr(statsd, "MAX_SERIES", 3)
    monkeypatch.setattr(statsd, "MAX_VALUES", 2)
    sums = Sums()

    for n in range(5):
        sums.add(b"name%d:1|c" % n)
    timer = after(b"\n".join(b"t:%d|ms" % n for n in range(5)) + b"\nu:a|s\nu:b|s\nu:c|s")

    assert sums.take_counted() == {statsd.FULL: 2}
    assert len(taken(sums)) == 3
    assert (timer["statsd t_count{}"], timer["statsd t_max{}"], timer["statsd u{}"]) == (5, 4, 2)


lines = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda name, value, kind, rest: name + b":" + value + b"|" + kind + rest,
        st.binary(max_size=5), st.sampled_from([b"1", b"-1", b"+5", b"", b"1e308", b"inf", b"1:2", b"\xff"]),
        st.sampled_from([b"c", b"g", b"ms", b"h", b"d", b"s", b""]),
        st.sampled_from([b"", b"|@0.5", b"|#a:b", b"|@x", b"|#", b"|#:,::", b"|"]),
    ),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(packets=st.lists(st.lists(lines, max_size=4).map(b"\n".join), max_size=4))
def test_no_packet_makes_it_stumble(packets: list[bytes]) -> None:
    """UDP comes from anywhere."""
    sums = Sums()
    for packet in packets:
        sums.add(packet)
    for _ in range(2):
        table = sums.take(NOW)
        assert len(table.names) == len(table.codes) == len(table.values)
