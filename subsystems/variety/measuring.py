"""From states that were seen to what is said of them: the windows of a system and of its units, panels and findings.

What is asked of a unit is its environment. Each thing that it did well is an answer of its own. To fail is not to
answer, and must add no variety: what failed is counted with the commonest answer, so that a unit that fails at half of
what is asked has not the variety that it needs, however many ways to fail it knows. How it ended (well, or by which
exception) is the outcome. What was decided about it is its management.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from subsystems.kernel.words import Subsystem
from subsystems.telemetry import requisite
from subsystems.telemetry.attenuation import range_suggestions
from subsystems.telemetry.entropy import Variety, relation_of_counts, variety
from subsystems.telemetry.panel import Panel, three_way_panel
from subsystems.telemetry.recorders import OK
from subsystems.telemetry.requisite import Band, Outside, RangeFinding
from subsystems.telemetry.states import OTHER, Binning, equal_width, logarithmic
from subsystems.telemetry.temporal_variety import TemporalVariety
from subsystems.variety.rules import Rules

WINDOW, WINDOW_SECONDS = "5m", 300.0  # 3.1: the window of patterns
FAILED = "(failed)"
BETWEEN = "\x1f"  # no name holds it: names are printable
ENVIRONMENT, OPERATION, OUTCOME, MANAGEMENT, PAIRS = "environment", "operation", "outcome", "management", "pairs"
OTHERS = (Subsystem.S2, Subsystem.S3, Subsystem.S4, Subsystem.S5)
SUBJECTS = (ENVIRONMENT, OPERATION, OUTCOME, MANAGEMENT, *map(str, OTHERS))  # on all scales
OF_UNIT = (ENVIRONMENT, PAIRS, MANAGEMENT)
NAMES, PAIR_NAMES = 256, 1_024
RATIO = "ratio"
METASYSTEM = (MANAGEMENT, *map(str, OTHERS))
# How continuous measures become states, for units of which nothing else tells what reaches them; the first is taken.
BINNINGS: Mapping[str, Binning] = {
    "latency_seconds": logarithmic(0.001, 10.0, 12),
    "ready": logarithmic(1.0, 1e6, 12),
    "cpu_ratio": equal_width(0.0, 1.0, 10),
}

Seen = tuple[str, float, int]  # name, second, how often


@dataclass
class Windows:
    """The windows of one subject, and what was seen later than the last reading."""

    temporal: TemporalVariety
    later: list[Seen] = field(default_factory=list)

    def take(self, seen: Iterable[Seen], *, until: float) -> None:
        """Count what was seen before *until*; the rest waits, because a window that ends then must not hold it."""
        everything = [*self.later, *seen]
        due = [each for each in everything if each[1] < until]
        self.later = [each for each in everything if each[1] >= until]
        if due:
            names, seconds, counts = zip(*due, strict=True)
            self.temporal.observe(names, [second + 0.5 for second in seconds], now=until, counts=counts)

    def recent(self, *, now: float) -> dict[str, int]:
        """Return the counts of the last five minutes."""
        return self.temporal.counts(WINDOW, now=now)

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"windows": self.temporal.to_wire(), "later": self.later}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Windows:
        """Return what `to_wire` wrote."""
        return cls(TemporalVariety.from_wire(wire["windows"]), [tuple(each) for each in wire["later"]])


def fresh(subject: str) -> Windows:
    """Return the empty windows of a subject of a system."""
    if subject == PAIRS:
        return Windows(TemporalVariety(limit=PAIR_NAMES, scales=(WINDOW,)))
    return Windows(TemporalVariety(limit=NAMES))


def fresh_of_unit(side: str) -> Windows:
    """Return the empty windows of one side of a unit."""
    return Windows(TemporalVariety(limit=PAIR_NAMES if side == PAIRS else NAMES, scales=(WINDOW,)))


# --- States -----------------------------------------------------------------------------------------------------------
def sides_of(operation: str, asked: bool, ends: Iterable[tuple[float, str, int]]) -> dict[str, list[Seen]]:
    """Return what operations that ended say of each side of their unit."""
    sides: defaultdict[str, list[Seen]] = defaultdict(list)
    for second, outcome, n in ends:
        sides[PAIRS].append((f"{operation}{BETWEEN}{outcome}", second, n))
        if asked:
            sides[ENVIRONMENT].append((operation, second, n))
    return sides


def subjects_of(sides: Mapping[str, Sequence[Seen]]) -> dict[str, list[Seen]]:
    """Return what the sides of units say of the subjects of their system."""
    subjects = {name: list(seen) for name, seen in sides.items()}
    for name, second, n in sides.get(PAIRS, ()):
        operation, outcome = _parted(name)
        subjects.setdefault(OPERATION, []).append((_answer(operation, outcome), second, n))
        subjects.setdefault(OUTCOME, []).append((outcome, second, n))
    return subjects


@dataclass(frozen=True, slots=True)
class Answers:
    """What was done, how it ended, and which answer went with what was asked, in one window."""

    done: Mapping[str, int]
    outcomes: Mapping[str, int]
    pairs: Mapping[tuple[str, str], int]  # (answer, asked)


def answers_of(pairs: Mapping[str, int]) -> Answers:
    """Return what the counts of pairs say; what failed is paired as if it had been given the commonest answer."""
    done, outcomes = Counter[str](), Counter[str]()
    asked = {_parted(name): n for name, n in pairs.items()}
    for (operation, outcome), n in asked.items():
        done[_answer(operation, outcome)] += n
        outcomes[outcome] += n
    instead = _commonest(done)
    matched = Counter[tuple[str, str]]()
    for (operation, outcome), n in asked.items():
        answer = _answer(operation, outcome)
        matched[instead if answer == FAILED else answer, operation] += n
    return Answers(done, outcomes, matched)


def answered(done: Mapping[str, int]) -> dict[str, int]:
    """Return what was done with all that failed counted as the commonest of it."""
    counts = Counter({name: n for name, n in done.items() if name != FAILED})
    if FAILED in done:
        counts[_commonest(done)] += done[FAILED]
    return dict(counts)


def _commonest(done: Mapping[str, int]) -> str:
    well = {name: n for name, n in done.items() if name != FAILED}
    return max(well, key=well.__getitem__, default=FAILED)


# --- Panels -----------------------------------------------------------------------------------------------------------
def panel_of(environment: Mapping[str, int], answers: Answers, management: Mapping[str, int], rules: Rules) -> Panel:
    """Return the three-way panel of a window."""
    return three_way_panel(
        environment,
        answered(answers.done),
        management,
        pairs=relation_of_counts(answers.pairs),
        outcomes=answers.outcomes or None,
        buffer_bits=rules.buffer_bits,
        goal_bits=rules.goal_bits,
        bands=rules.bands,
    )


def unit_body(
    windows: Mapping[str, Windows], measured: Mapping[str, Any], rules: Rules, *, now: float
) -> dict[str, Any]:
    """Return the panel of one unit; where nobody tells what is asked of it, a measure that was binned stands for it."""
    counts = {side: windows[side].recent(now=now) for side in OF_UNIT}
    answers = answers_of(counts[PAIRS])
    environment, source = counts[ENVIRONMENT], "operations" if counts[ENVIRONMENT] else None
    binning = None
    if not environment and measured:
        metric, values = next(iter(measured.items()))
        binning, source = BINNINGS[metric], metric
        codes = binning.codes(values)
        environment = {f"bin {code}": n for code, n in Counter(codes.tolist()).items()}
    panel = panel_of(environment, answers, counts[MANAGEMENT], rules)
    told = {**panel.to_wire(), "outcome": variety(answers.outcomes).to_wire(), "environment_from": source}
    return {
        **told,
        "binning": binning and binning.to_wire(),
        "window_seconds": WINDOW_SECONDS,
        "states": top(environment),
    }


def top(counts: Mapping[str, int], most: int = 12) -> list[list[Any]]:
    """Return the most frequent states, with how often they occurred."""
    return [list(each) for each in Counter(counts).most_common(most)]


# --- A system ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered from reading to reading: who is outside its range, and since when the ratio is too low."""

    outside: Mapping[str, Outside] = field(default_factory=dict)
    critical: int = 0  # readings in a row

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON."""
        told = {name: [str(each.position), each.windows, each.told] for name, each in self.outside.items()}
        return {"outside": told, "critical": self.critical}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Watch:
        """Return what `to_wire` wrote."""
        outside = {
            name: Outside(requisite.Position(position), windows, told)
            for name, (position, windows, told) in wire["outside"].items()
        }
        return cls(outside, wire["critical"])


@dataclass(frozen=True, slots=True)
class Reading:
    """What is said of a system in one slot; *imbalances* are news, told once."""

    figures: dict[str, Any]
    body: dict[str, Any]
    watch: Watch
    imbalances: list[RangeFinding]
    recovered: list[str]  # of which something may have been told before, and which is well now
    panel: Panel
    varieties: dict[Subsystem, Variety]


def read(windows: Mapping[str, Windows], before: Watch | None, rules: Rules, *, now: float) -> Reading:
    """Return the reading of a system at *now*."""
    recent = {name: each.recent(now=now) for name, each in windows.items()}
    answers = answers_of(recent[PAIRS])
    panel = panel_of(recent[ENVIRONMENT], answers, _metasystem(recent), rules)
    varieties = {Subsystem.S1: variety(answered(answers.done)), **{each: variety(recent[str(each)]) for each in OTHERS}}
    findings = {each: requisite.place(each, measured, rules.ranges[each]) for each, measured in varieties.items()}
    outside, news = _outside(before or Watch(), findings)
    band = panel.operational.balance.band
    critical = (before.critical if before else 0) + 1 if band is Band.CRITICAL else 0
    balance, leads = requisite.s3_s4_balance(varieties[Subsystem.S3].bits, varieties[Subsystem.S4].bits)
    relation = relation_of_counts({_parted(name): n for name, n in recent[PAIRS].items()})
    body = {
        "at": now,
        "window_seconds": WINDOW_SECONDS,
        **panel.to_wire(),
        "outcome": variety(answers.outcomes).to_wire(),
        "operation_and_outcome": relation and relation.to_wire(),
        "subsystems": {
            str(each): {
                "variety": varieties[each].to_wire(),
                **findings[each].to_wire(),
                "suggestions": [told.to_wire() for told in range_suggestions(findings[each])],
            }
            for each in findings
        },
        "s3_s4_balance": balance,
        "s3_s4": leads,
        "temporal": {
            name: [scale.to_wire() for scale in windows[name].temporal.reading(now=now, absorbed=FAILED)]
            for name in SUBJECTS
        },
        "states": {name: top(recent[name]) for name in (ENVIRONMENT, OUTCOME, MANAGEMENT)}
        | {OPERATION: top(answers.done)},
    }
    watch = Watch(outside, critical)
    return Reading(_figures(panel, varieties), body, watch, news, _recovered(before, watch), panel, varieties)


def _parted(name: str) -> tuple[str, str]:
    """Return operation and outcome of a pair; what is beyond the names that are kept has neither."""
    operation, _, outcome = name.partition(BETWEEN)
    return operation, outcome or OTHER


def _answer(operation: str, outcome: str) -> str:
    return operation if outcome in {OK, OTHER} else FAILED


def _metasystem(recent: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return what was decided about a system: by people and rules, and by what S2 to S5 did."""
    total = Counter[str]()
    for name in METASYSTEM:
        total.update(recent[name])
    return total


def _outside(
    before: Watch, findings: Mapping[Subsystem, RangeFinding]
) -> tuple[dict[str, Outside], list[RangeFinding]]:
    after, news = {}, []
    for subsystem, finding in findings.items():
        after[str(subsystem)], tell = requisite.note_range(before.outside.get(str(subsystem), Outside()), finding)
        if tell:
            news.append(finding)
    return after, news


def _recovered(before: Watch | None, after: Watch) -> list[str]:
    """Return who is well again: RATIO or a subsystem. Who does not know what was before says all that are well."""
    ratio = [RATIO] if not after.critical and (before is None or before.critical >= requisite.PATIENCE) else []
    within = [name for name, each in after.outside.items() if each.position is requisite.Position.WITHIN]
    return ratio + [name for name in within if before is None or before.outside.get(name, Outside()).told]


def _figures(panel: Panel, varieties: Mapping[Subsystem, Variety]) -> dict[str, Any]:
    """Return the few numbers that are kept for long."""
    operational, managerial = panel.operational.balance, panel.managerial.balance
    return {
        "environment": panel.environment.bits,
        "operation": panel.operation.bits,
        "management": panel.management.bits,
        "ratio": operational.ratio,
        "band": str(operational.band),
        "deficit_bits": operational.deficit_bits,
        "management_ratio": managerial.ratio,
        "management_band": str(managerial.band),
        "samples": operational.sample_size,
        **{str(each): measured.bits for each, measured in varieties.items()},
    }


# --- Bytes ------------------------------------------------------------------------------------------------------------
def packed(told: Any) -> bytes:
    """Return plain JSON as few bytes."""
    return zlib.compress(msgspec.json.encode(told), 1)


def unpacked(raw: bytes) -> Any:
    """Return what `packed` was given."""
    return msgspec.json.decode(zlib.decompress(raw))
