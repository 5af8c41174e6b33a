"""What a pattern may say, field by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from subsystems.s3_control.acts import ACTS
from subsystems.s4_intelligence.patterns.conditions import Mistaken, compiled
from subsystems.s4_intelligence.patterns.durations import seconds_of
from subsystems.s4_intelligence.patterns.happening import names_of

MAX_TERMS = 12
MAX_KEYS = 10_000
DEFAULT_SENSITIVITY = 0.8  # pattern_detection_sensitivity (004-42): what a pattern says holds as it is written
WINDOW = 300.0


def _conditions(given: object) -> object:
    try:
        compiled(given)
    except Mistaken as mistake:
        raise PydanticCustomError("conditions", "{words}", {"words": mistake.words, "path": mistake.path}) from None
    return given


def _event_names(given: object) -> list[str]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not 0 < len(names) <= 20:
        raise ValueError("the name of an event, or a list of at most 20 names")
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= 80 or any(letter.isspace() for letter in name):
            raise ValueError("the name of an event has at most 80 letters and no spaces")
        if "*" in name[:-1] or name == "*":
            raise ValueError("a star stands at the end of a name, such as vsm.s1.*")
    return list(dict.fromkeys(canonical for name in names for canonical in names_of(name)))


def _paths(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _at_least(given: object) -> object:
    """Return the number of events that `count` asks for: `11`, `{gt: 10}`, `{gte: 11}` or `> 10`."""
    if isinstance(given, str):
        sign, _, number = given.partition(" ")
        given = {sign: int(number)} if number.strip().isdecimal() and len(number) < 9 else given
    if isinstance(given, dict) and len(given) == 1:
        [(sign, number)] = given.items()
        if isinstance(number, int) and not isinstance(number, bool) and sign in (">", "gt", ">=", "gte"):
            return number + 1 if sign in (">", "gt") else number
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise ValueError("a number of events, such as 11 or {gt: 10}")


Duration = Annotated[float, BeforeValidator(seconds_of)]
Names = Annotated[list[str], BeforeValidator(_event_names)]
Path = Annotated[str, Field(min_length=1, max_length=200)]
Where = Annotated[dict[str, Any], AfterValidator(_conditions)]
Count = Annotated[int, BeforeValidator(_at_least), Field(ge=1, le=10_000)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Match(Strict):
    """An event of these names whose fields meet the conditions."""

    event: Names
    where: Where = Field(default_factory=dict)


class Recent(Match):
    within: Duration = WINDOW


class Step(Match):
    within: Duration | None = Field(default=None, description="After the step before it")


class Several(Strict):
    within: Duration | None = None


class Ordered(Several):
    steps: Annotated[list[Step], Field(min_length=2, max_length=20)]


class Concurrent(Several):
    events: Annotated[list[Match], Field(min_length=1, max_length=20)]
    within: Duration = 30.0


class Often(Match):
    count: Count
    within: Duration = WINDOW
    distinct: Path | None = Field(default=None, description="Count the different values of this field")


class Measured(Match):
    metric: Path


class Trending(Measured):
    direction: Literal["increasing", "decreasing"]
    duration: Duration = WINDOW
    confidence: Share = 0.8
    least: Annotated[int, Field(ge=3, le=64)] = 5


class Missing(Match):
    within: Duration
    after: Match | None = None


class Related(Strict):
    left: Measured
    right: Measured
    within: Duration = WINDOW
    step: Duration | None = None
    coefficient: Annotated[float, Field(ge=-0.999, le=0.999)] = 0.8
    least: Annotated[int, Field(ge=4, le=64)] = 6

    @model_validator(mode="after")
    def _fits(self) -> Related:
        if self.coefficient == 0:
            raise PydanticCustomError("zero", "0 is no correlation", {"path": ("coefficient",)})
        if self.step is not None and not 4 <= self.within / self.step <= 240:
            raise PydanticCustomError("steps", "the window is 4 to 240 steps long", {"path": ("step",)})
        return self


def _listed(name: str) -> Callable[[Any], Any]:
    """Return what lets a list stand for the mapping that has it as *name* (the documents write it so)."""
    return lambda given: {name: given} if isinstance(given, list) else given


class Node(Strict):
    """One part of what a pattern waits for: exactly one of these."""

    all: Annotated[list[Node], Field(min_length=1, max_length=MAX_TERMS)] | None = None
    any: Annotated[list[Node], Field(min_length=1, max_length=MAX_TERMS)] | None = None
    not_: Node | None = Field(default=None, alias="not")
    recent: Recent | None = None
    concurrent: Annotated[Concurrent, BeforeValidator(_listed("events"))] | None = None
    sequence: Annotated[Ordered, BeforeValidator(_listed("steps"))] | None = None
    frequency: Often | None = None
    trend: Trending | None = None
    absence: Missing | None = None
    correlation: Related | None = None

    @model_validator(mode="after")
    def _one(self) -> Node:
        said = sorted(name.rstrip("_") for name in self.model_fields_set)
        if len(said) != 1:
            known = ", ".join(name.rstrip("_") for name in Node.model_fields)
            raise ValueError(f"say exactly one of {known}" + (f"; here are {', '.join(said)}" if said else ""))
        if getattr(self, next(iter(self.model_fields_set))) is None:
            raise PydanticCustomError("empty", "says nothing", {"path": (said[0],)})
        return self


class Levels(Strict):
    """From which share of what it waits for a pattern warns early (requirements 1b-13)."""

    watch: Share | None = None
    warn: Share | None = None

    @model_validator(mode="after")
    def _rising(self) -> Levels:
        if self.watch is not None and self.warn is not None and self.watch >= self.warn:
            raise PydanticCustomError("levels", "watch comes before warn", {"path": ("watch",)})
        return self


class Signal(Strict):
    """Let it hurt: an algedonic signal."""

    type: Literal["pain", "pleasure"] = "pain"
    severity: Literal["critical", "high", "medium", "low"] = "medium"


class Do(Strict):
    """The act that a coordination adjustment is: as S3 knows it, on a fleet, and within its brakes."""

    fleet: Annotated[str, Field(min_length=1, max_length=200)]
    kind: str
    target: Annotated[str, Field(max_length=200)] = Field(default="", description="Without it, the pattern's key")
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Do:
        act = ACTS.get(self.kind)
        if act is None:
            raise PydanticCustomError("kind", "there is no such act", {"path": ("kind",)})
        try:
            act.parameters.model_validate(self.parameters)
        except ValidationError as error:
            mistake = error.errors(include_url=False, include_input=False)[0]
            words = f"{'.'.join(str(step) for step in mistake['loc'])}: {mistake['msg']}".removeprefix(": ")
            raise PydanticCustomError("parameters", "{words}", {"words": words, "path": ("parameters",)}) from None
        return self


class Expected(Strict):
    """By what the act is judged: a metric that goes from where it is to here."""

    metric: Annotated[str, Field(min_length=1, max_length=200)]
    source: Annotated[str, Field(max_length=200)] = Field(default="", description="Without it, `fleet/target`")
    to: Annotated[float, Field(allow_inf_nan=False)]
    unit: Annotated[str, Field(max_length=40)] = ""


class Advice(Strict):
    """Recommend something to S3; nobody acts on a pattern without its approval."""

    act: Literal["auto_scale", "coordination_adjustment", "look"]
    title: Annotated[str, Field(max_length=200)] = ""
    direction: Literal["out", "in"] = "out"
    target: Annotated[str, Field(max_length=200)] = Field(default="", description="Without it, the pattern's key")
    do: Do | None = None
    expect: Expected | None = None

    @model_validator(mode="after")
    def _judged(self) -> Advice:
        if self.do is not None and self.act != "coordination_adjustment":
            raise PydanticCustomError("do", "only a coordination_adjustment names its act", {"path": ("do",)})
        if (self.do is None) != (self.expect is None):
            raise ValueError("an act and what is expected of it go together: `do` and `expect`")
        return self


class Act(Strict):
    signal: Signal | None = None
    recommend: Advice | None = None

    @model_validator(mode="after")
    def _one(self) -> Act:
        if (self.signal is None) == (self.recommend is None):
            raise ValueError("say exactly one of signal, recommend")
        return self


class Definition(Strict):
    """One pattern."""

    pattern: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,59}$")]
    description: Annotated[str, Field(max_length=1000)] = ""
    key: Annotated[list[Path], BeforeValidator(_paths), Field(max_length=8)] = Field(
        default_factory=list, description="The first of these fields that an event has tells the cases apart"
    )
    when: Node
    levels: Levels = Field(default_factory=Levels)
    rearm_after: Duration = Field(default=WINDOW, description="How long it must not hold before it is new again")
    sensitivity: Annotated[float, Field(ge=0.1, le=1)] | None = None  # without one, that of the platform
    max_keys: Annotated[int, Field(ge=1, le=MAX_KEYS)] = 1_000
    actions: Annotated[list[Act], Field(max_length=5)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _can_begin(self) -> Definition:
        if _terms(self.when) > MAX_TERMS:
            raise PydanticCustomError("terms", "at most 12 operators in one pattern", {"path": ("when",)})
        if not _positive(self.when):
            words = "at least one operator must not be denied: nothing would ever begin it"
            raise PydanticCustomError("negative", words, {"path": ("when",)})
        return self


def _terms(node: Node) -> int:
    parts = [*(node.all or []), *(node.any or []), *([node.not_] if node.not_ else [])]
    return sum(map(_terms, parts)) if parts else 1


def _positive(node: Node) -> bool:
    """Return whether *node* needs something to happen before it holds."""
    if node.all:
        return any(map(_positive, node.all))
    if node.any:
        return all(map(_positive, node.any))
    return node.not_ is None
