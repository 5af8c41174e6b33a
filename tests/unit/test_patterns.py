"""Event patterns: each operator against one that looks at everything anew, and the engine around them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subsystems.s4_intelligence.patterns.compiling import plan_of
from subsystems.s4_intelligence.patterns.conditions import compiled
from subsystems.s4_intelligence.patterns.durations import seconds_of
from subsystems.s4_intelligence.patterns.engine import Engine, Finding, Level
from subsystems.s4_intelligence.patterns.happening import Happening, flat, name_of
from subsystems.s4_intelligence.patterns.language import Mistaken, read
from subsystems.s4_intelligence.patterns.terms import STEPS

EXAMPLES = 30
Holds = Callable[[Sequence[Happening], float], bool]


def pattern(when: str, **more: Any) -> str:
    """Return the text of a pattern; what follows *when* is indented below it."""
    return json.dumps({"pattern": "under_test", "when": json.loads(when), **more})


SECONDS, NAMES, VALUES = 61, "abc", 5


def happening(place: int, number: int) -> Happening:
    rest, value = divmod(number, VALUES)
    at, name = divmod(rest, len(NAMES))
    return Happening(float(at), NAMES[name], {"v": value, "k": value % 2}, place + 1)


def happenings(*, largest: int = 40) -> st.SearchStrategy[list[Happening]]:
    """Events of a few kinds with a whole number, in the order of their time; several may be at one moment."""
    numbers = st.lists(st.integers(0, SECONDS * len(NAMES) * VALUES - 1), max_size=largest)
    return numbers.map(lambda found: [happening(place, number) for place, number in enumerate(sorted(found))])


def answers(text: str, events: Sequence[Happening]) -> list[tuple[int, bool]]:
    """Return after which event the pattern of *text* holds, by its operators alone."""
    plan = plan_of(read(text))
    terms = [asking.spec.new() for asking in plan.askings]
    told = []
    for event in events:
        for term, asking in zip(terms, plan.askings, strict=True):
            wanted = [each for each in asking.wanted if event.type in each.names]
            for each in sorted(wanted, key=lambda one: one.which, reverse=asking.spec.last_first):
                if each.where is None or each.where(event.data):
                    term.take(each.which, event.at, each.value(event.data) if each.value else None, event.ref)
        told.append((event.ref, plan.holds(terms, event.at)))
    return told


def naive(holds: Holds, events: Sequence[Happening]) -> list[tuple[int, bool]]:
    """Return the same by looking at all events so far, every time."""
    return [(event.ref, holds(events[: place + 1], event.at)) for place, event in enumerate(events)]


# --- Operators against a brute-force matcher --------------------------------------------------------------------------
def often(events: Sequence[Happening], now: float) -> bool:
    return sum(each.type == "a" and each.data["v"] > 0 and now - each.at <= 10 for each in events) > 3


def different(events: Sequence[Happening], now: float) -> bool:
    return len({each.data["v"] for each in events if each.type == "a" and now - each.at <= 10}) >= 3


def recent(events: Sequence[Happening], now: float) -> bool:
    return any(each.type == "a" and each.data["v"] == 2 and now - each.at <= 7 for each in events)


def together(events: Sequence[Happening], now: float) -> bool:
    return all(any(each.type == name and now - each.at <= 5 for each in events) for name in "ab")


def one_after_another(events: Sequence[Happening], now: float) -> bool:
    """Try every way through the events: an a, within 8 s a b or an a, within 6 s a c; all within 12 s of now."""
    for one, first in enumerate(events):
        for two, second in enumerate(events[one + 1 :], one + 1):
            for third in events[two + 1 :]:
                if (
                    first.type == "a" and second.type in "ab" and third.type == "c"
                    and second.at - first.at <= 8 and third.at - second.at <= 6 and now - first.at <= 12
                ):  # fmt: skip
                    return True
    return False


def missing_after(events: Sequence[Happening], now: float) -> bool:
    last_b = max((place for place, each in enumerate(events) if each.type == "b"), default=-1)
    waiting = [each.at for each in events[last_b + 1 :] if each.type == "a"]
    return bool(waiting) and now - waiting[0] > 9


def missing(events: Sequence[Happening], now: float) -> bool:
    seen = [each.at for each in events if each.type == "b"]
    return bool(seen) and now - seen[-1] > 9


def by_steps(events: Sequence[Happening], width: float, name: str) -> dict[int, list[tuple[float, float]]]:
    steps: dict[int, list[tuple[float, float]]] = {}
    for each in events:
        if each.type == name:
            steps.setdefault(int(each.at // width), []).append((each.at, each.data["v"]))
    return steps


def rising(events: Sequence[Happening], now: float) -> bool:
    """Mann and Kendall's test on the means of steps, each pair compared."""
    steps = by_steps(events, 32 / STEPS, "a")
    points = [
        (seen[0][0], sum(value for _, value in seen) / len(seen))
        for _, seen in sorted(steps.items())
        if now - seen[0][0] <= 32
    ]
    count, values = len(points), [value for _, value in points]
    if count < 5 or points[-1][0] - points[0][0] < 16:
        return False
    score = sum((b > a) - (b < a) for place, a in enumerate(values) for b in values[place + 1 :])
    ties = sum(t * (t - 1) * (2 * t + 5) for t in (values.count(value) for value in set(values)))
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if score <= 0 or variance <= 0:
        return False
    return 0.5 * (1 + math.erf((score - 1) / math.sqrt(variance) / math.sqrt(2))) >= 0.8


def alike(events: Sequence[Happening], now: float) -> bool:
    left, right, last = by_steps(events, 2.0, "a"), by_steps(events, 2.0, "b"), int(now // 2)
    pairs = [
        (sum(v for _, v in left[place]) / len(left[place]), sum(v for _, v in right[place]) / len(right[place]))
        for place in sorted(left)
        if place in right and last - 20 <= place < last
    ]
    if len(pairs) < 4:
        return False
    xs, ys = zip(*pairs, strict=True)
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    own = sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys)
    return bool(own) and sum((x - mx) * (y - my) for x, y in pairs) / math.sqrt(own) >= 0.301


OPERATORS = [
    pytest.param('{"frequency": {"event": "a", "where": {"v": {"gt": 0}}, "count": {"gt": 3}, "within": "10s"}}',
                 often, id="frequency"),
    pytest.param('{"frequency": {"event": "a", "count": 3, "distinct": "v", "within": "10s"}}', different,
                 id="frequency of different values"),
    pytest.param('{"recent": {"event": "a", "where": {"v": 2}, "within": "7s"}}', recent, id="recent"),
    pytest.param('{"concurrent": {"events": [{"event": "a"}, {"event": "b"}], "within": "5s"}}', together,
                 id="concurrent"),
    pytest.param('{"sequence": {"within": "12s", "steps": [{"event": "a"}, {"event": ["a", "b"], "within": "8s"},'
                 ' {"event": "c", "within": "6s"}]}}', one_after_another, id="sequence"),
    pytest.param('{"absence": {"event": "b", "within": "9s", "after": {"event": "a"}}}', missing_after,
                 id="absence after an event"),
    pytest.param('{"absence": {"event": "b", "within": "9s"}}', missing, id="absence"),
    pytest.param('{"trend": {"event": "a", "metric": "v", "direction": "increasing", "duration": "32s"}}', rising,
                 id="trend"),
    pytest.param('{"correlation": {"left": {"event": "a", "metric": "v"}, "right": {"event": "b", "metric": "v"},'
                 ' "within": "40s", "step": "2s", "coefficient": 0.301, "least": 4}}', alike, id="correlation"),
    pytest.param('{"all": [{"recent": {"event": "a", "where": {"v": 2}, "within": "7s"}},'
                 ' {"not": {"concurrent": {"events": [{"event": "a"}, {"event": "b"}], "within": "5s"}}}]}',
                 lambda events, now: recent(events, now) and not together(events, now), id="all and not"),
]  # fmt: skip


@pytest.mark.parametrize(("when", "holds"), OPERATORS)
@settings(max_examples=EXAMPLES)
@given(events=happenings())
def test_an_operator_finds_what_brute_force_finds(when: str, holds: Holds, events: list[Happening]) -> None:
    """What is remembered is bounded; what is found must not be."""
    assert answers(pattern(when), events) == naive(holds, events)


# --- The engine -------------------------------------------------------------------------------------------------------
MIXED = [
    pattern('{"frequency": {"event": "a", "count": 3, "within": "10s"}}', pattern="often", key="k", rearm_after="15s",
            levels={"watch": 0.3, "warn": 0.6}),
    pattern('{"sequence": [{"event": "a"}, {"event": "b", "within": "8s"}]}', pattern="one_by_one", rearm_after="5s"),
    pattern('{"absence": {"event": "b", "within": "9s", "after": {"event": "a"}}}', pattern="unanswered", key="k",
            rearm_after="12s"),
    pattern('{"trend": {"event": "c", "metric": "v", "direction": "increasing", "duration": "32s"}}', pattern="rising"),
]  # fmt: skip


def engine(*texts: str, lateness: float = 5.0) -> Engine:
    return Engine([plan_of(read(text)) for text in texts or MIXED], lateness=lateness)


def in_one(events: Sequence[Happening], **more: Any) -> list[Finding]:
    made = engine(**more)
    return [*made.feed(events), *made.finish(), *made.feed([], until=1000.0)]


@given(events=happenings(), mixed=st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES)
def test_order_and_batches_do_not_matter(events: list[Happening], mixed: Random) -> None:
    """Events that come out of order within the lateness, however divided, tell the same story."""
    expected = in_one(events)
    arrived = sorted(events, key=lambda each: each.at + mixed.uniform(0, 4.99))
    cut = mixed.randint(0, len(arrived))
    made = engine()

    told = [*made.feed(arrived[:cut]), *made.feed(arrived[cut:]), *made.finish(), *made.feed([], until=1000.0)]

    assert told == expected
    assert made.counts.late == 0


@given(events=happenings(), share=st.floats(0, 1))
@settings(max_examples=EXAMPLES)
def test_what_is_stored_goes_on_as_if_nothing_had_been(events: list[Happening], share: float) -> None:
    """A restart between any two events: the state as JSON is the whole state."""
    expected = in_one(events)
    cut = round(share * len(events))
    before = engine()
    told = before.feed(events[:cut])
    header = json.dumps(before.dump())
    cells = {name: [(key, json.dumps(cell.dump())) for key, cell in each.cells.items()]
             for name, each in before.running.items()}  # fmt: skip

    after = engine()
    after.load(json.loads(header))
    for name, kept in cells.items():
        for key, cell in kept:
            after.running[name].load(key, json.loads(cell))
    told += [*after.feed(events[cut:]), *after.finish(), *after.feed([], until=1000.0)]

    assert told == expected


def test_what_comes_too_late_is_counted_and_lowers_the_confidence() -> None:
    """Who reports a pattern must say how blind it was."""
    made = engine(pattern('{"frequency": {"event": "a", "count": 2, "within": "60s"}}'))

    made.feed([Happening(100.0, "a", {}, 1), Happening(10.0, "a", {}, 2), Happening(101.0, "a", {}, 3)])
    [found] = made.finish()

    assert made.counts.late == 1
    assert found.confidence == pytest.approx(2 / 3)


def test_detections_that_are_doubted_are_counted_and_not_told() -> None:
    """A pattern of little sensitivity wants to be sure."""
    made = engine(pattern('{"frequency": {"event": "a", "count": 2, "within": "60s"}}', sensitivity=0.2))
    late = [Happening(10.0, "a", {}, place) for place in range(2, 9)]

    made.feed([Happening(100.0, "a", {}, 1), *late, *(Happening(101.0, "a", {}, place) for place in range(10, 15))])

    assert made.finish() == []
    assert made.running["under_test"].counts.doubted > 0


@pytest.mark.parametrize(("sensitivity", "found"), [(1.0, 8), (0.8, 10), (0.5, 13)])
def test_sensitivity_scales_what_is_asked(sensitivity: float, found: int) -> None:
    """At the documented 0.8 a pattern says what is written; a more sensitive one is content with less."""
    made = engine(pattern('{"frequency": {"event": "a", "count": 10, "within": "60s"}}', sensitivity=sensitivity))

    told = made.feed(Happening(float(place), "a", {}, place) for place in range(1, 20))

    assert [each.at for each in [*told, *made.finish()] if each.what == "began"] == [found]


def test_keys_and_what_waits_are_bounded() -> None:
    """Whoever sends a million keys must not fill the memory; what gave way is counted."""
    text = pattern('{"frequency": {"event": "a", "count": 3, "within": "60s"}}', key="k", max_keys=10)
    made = Engine([plan_of(read(text))], lateness=1e6, max_waiting=50)

    made.feed(Happening(float(place) / 1000, "a", {"k": place}, place) for place in range(1000))

    assert len(made.running["under_test"].cells) == 10
    assert made.running["under_test"].counts.evicted == 940
    assert made.counts.crowded == 950


def test_idle_keys_are_forgotten() -> None:
    """Of a key whose events lie behind every window nothing matters any more."""
    text = pattern('{"frequency": {"event": "a", "count": 3, "within": "60s"}}', key="k")
    made = engine(text)

    made.feed([Happening(1.0, "a", {"k": 1}, 1), Happening(500.0, "a", {"k": 2}, 2)])
    made.finish()

    assert list(made.running["under_test"].cells) == ["2"]


def test_a_pattern_warns_early_rises_and_ends() -> None:
    """Watch and warn are shares of what is asked; an end comes when it has not held for long enough."""
    text = pattern('{"frequency": {"event": "a", "count": 4, "within": "60s"}}', levels={"watch": 0.5, "warn": 0.75})
    made = engine(text)

    told = made.feed(Happening(float(place), "a", {}, place) for place in range(1, 7))
    told += [*made.finish(), *made.feed([], until=2000.0)]

    assert [(each.what, each.level, each.at) for each in told] == [
        ("began", Level.WATCH, 2.0), ("rose", Level.WARN, 3.0), ("rose", Level.ACT, 4.0), ("ended", Level.ACT, 6.0),
    ]  # fmt: skip
    assert told[2].evidence == [(1.0, 1), (2.0, 2), (3.0, 3), (4.0, 4)]
    assert told[3].times == 3


def test_an_absence_is_noticed_though_nothing_happens() -> None:
    """That is what an absence is."""
    made = engine(pattern('{"absence": {"event": "b", "within": "10s", "after": {"event": "a"}}}'))

    quiet = made.feed([Happening(100.0, "a", {}, 1)], until=112.0)
    [found] = made.feed([], until=116.0)

    assert (quiet, round(found.at, 3), found.evidence) == ([], 110.0, [(100.0, 1)])


def test_an_event_from_the_future_counts_as_of_now() -> None:
    """One skewed clock must not move the watermark past everybody else."""
    made = engine()

    made.feed([Happening(1e9, "a", {}, 1), Happening(99.0, "a", {}, 2)], now=100.0)

    assert (made.counts.ahead, made.counts.late, made.watermark) == (1, 0, 95.0)


# --- Conditions -------------------------------------------------------------------------------------------------------
CASES = [
    pytest.param({"v": 3}, {"v": 3}, True, id="equal"),
    pytest.param({"v": 1}, {"v": True}, False, id="true is not 1"),
    pytest.param({"v": {"neq": 3}}, {}, False, id="nothing is not different"),
    pytest.param({"v": {">": 8.0}}, {"v": 8.0}, False, id="greater is not equal"),
    pytest.param({"v": {"gte": 8}}, {"v": 8.0}, True, id="at least"),
    pytest.param({"v": {"lt": 2, "gt": 0}}, {"v": 1}, True, id="two operators"),
    pytest.param({"v": {"gt": 0}}, {"v": "7"}, False, id="a text is no number"),
    pytest.param({"v": {"gt": 0}}, {"v": float("nan")}, False, id="not a number"),
    pytest.param({"v": {"gt": 0}}, {"v": 10**400}, False, id="a number without bounds"),
    pytest.param({"a.b": {"exists": True}}, {"a": {"b": 0}}, True, id="nested"),
    pytest.param({"a.b": {"exists": False}}, {"a": [1]}, True, id="nested and absent"),
    pytest.param({"v": {"in": ["x", "y"]}}, {"v": "y"}, True, id="in"),
    pytest.param({"v": {"regex": "^w-[0-9]+$"}}, {"v": "w-12"}, True, id="regular expression"),
    pytest.param({"any": [{"v": 1}, {"w": 1}]}, {"w": 1}, True, id="any"),
    pytest.param({"not": {"v": 1}, "w": 1}, {"w": 1, "v": 1}, False, id="not"),
    pytest.param({}, {}, True, id="nothing asked"),
]


@pytest.mark.parametrize(("where", "data", "met"), CASES)
def test_conditions(where: dict[str, Any], data: dict[str, Any], met: bool) -> None:
    """Whatever an event says, a condition answers and never raises."""
    check = compiled(where)

    assert (check is None or check(data)) is met


def test_a_message_is_asked_for_what_it_says() -> None:
    """People write `utilization`, not `payload.utilization`."""
    assert flat({"channel": "audit", "payload": {"utilization": 0.4}})["utilization"] == 0.4


# --- The language -----------------------------------------------------------------------------------------------------
MISTAKES = [
    pytest.param("pattern: ab\nwhen:\n  frequency: {event: a, count: many}\n", 3, "when.frequency.count", id="a count"),
    pytest.param("pattern: ab\nwhen:\n  recent:\n    event: a\n    where:\n      v: {gtt: 3}\n", 6,
                 "when.recent.where.v.gtt", id="an operator"),
    pytest.param("pattern: ab\nkeys: x\nwhen: {recent: {event: a}}\n", 2, "keys", id="a field there is not"),
    pytest.param("pattern: ab\nwhen:\n  sequence:\n    - {event: a}\n    - {event: b, within: soon}\n", 5,
                 "when.sequence[1].within", id="a list that stands for its mapping"),
    pytest.param("pattern: ab\nwhen: {not: {recent: {event: a}}}\n", 2, "when", id="nothing begins it"),
    pytest.param("pattern: ab\nwhen:\n  all:\n    - recent: {event: a}\n      trend: {}\n", 5,
                 "when.all[0].trend.event", id="two at once"),
    pytest.param("pattern: ab\npattern: cd\n", 2, "pattern", id="twice"),
    pytest.param("pattern: }", 1, "", id="no YAML"),
    pytest.param("a: &x 1\nb: *x\n", 1, "b", id="a reference"),
    pytest.param("", 1, "", id="nothing"),
    pytest.param("pattern: ab\nwhen:\n  recent: {event: a, where: {v: {regex: '('}}}\n", 3,
                 "when.recent.where.v.regex", id="a regular expression"),
    *(pytest.param(
        f"pattern: ab\nwhen: {{recent: {{event: a}}}}\nactions:\n  - recommend:\n      act: {act}\n{rest}", line, field,
        id=f"an act of an adjustment: {name}",
    ) for name, act, rest, line, field in [
        ("unknown", "coordination_adjustment", "      do:\n        fleet: shop\n        kind: worker.fly\n", 8,
         "actions[0].recommend.do.kind"),
        ("its parameters", "coordination_adjustment",
         "      do:\n        fleet: shop\n        kind: worker.grow\n        parameters: {by: lots}\n", 9,
         "actions[0].recommend.do.parameters"),
        ("without what is expected", "coordination_adjustment", "      do: {fleet: shop, kind: queue.pause}\n", 4,
         "actions[0].recommend"),
        ("of a scaling", "auto_scale",
         "      do: {fleet: shop, kind: queue.pause}\n      expect: {metric: a, to: 0}\n", 6,
         "actions[0].recommend.do"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "field"), MISTAKES)
def test_a_mistake_is_told_with_its_field_and_line(text: str, line: int, field: str) -> None:
    """Somebody who writes a pattern sees at once where it is wrong."""
    with pytest.raises(Mistaken) as caught:
        read(text)

    assert (line, field) in [(each.line, each.field) for each in caught.value.mistakes]


@given(st.text("abw:-[]{}&*!|>\n \"'0.", max_size=60))
@settings(max_examples=EXAMPLES)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """Patterns come from people and programs: nothing but a refusal may follow."""
    with pytest.raises(Mistaken):
        read(text)


@pytest.mark.parametrize(
    ("given_", "seconds"), [("30s", 30), ("1h30m", 5400), ("minutes_5", 300), (12, 12), ("250ms", 0.25)]
)
def test_lengths_of_time(given_: object, seconds: float) -> None:
    """As people write them, and as the documents do."""
    assert seconds_of(given_) == seconds


def test_the_names_of_the_documents_are_known() -> None:
    """`vsm_core.algedonic.signal` is two events here (requirements 2-14)."""
    found = read("pattern: ab\nwhen: {recent: {event: vsm_core.algedonic.signal}}")

    assert found.when.recent is not None
    assert found.when.recent.event == ["vsm.algedonic.pain", "vsm.algedonic.pleasure"]


def test_a_signal_is_heard_once_however_many_are_told_of_it() -> None:
    """The messages that tell of pain are in the log beside the pain itself, under the name that documents give it."""
    names = [name_of("AlgedonicSignalEmitted", {"signal_type": "pain"}), name_of("algedonic.signal", {})]

    assert names == ["vsm.algedonic.pain", "algedonic.told"]
