"""What a recommendation promises, as it is written: a metric of a source that goes from here to there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from subsystems.kernel.errors import Invalid

Number = Annotated[float, Field(allow_inf_nan=False)]
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Effect(BaseModel):
    """The expected effect: *metric* of *source* (a unit's name) changes from one value to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    metric: Word
    source: Word
    before: Annotated[Number, Field(alias="from")]
    after: Annotated[Number, Field(alias="to")]
    unit: Annotated[str, Field(max_length=40)] = ""

    @model_validator(mode="after")
    def _changes(self) -> Self:
        if self.before == self.after:
            raise ValueError("an effect goes from one value to another")
        return self

    def body(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


class ActAsked(BaseModel):
    """The act that a recommendation proposes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[str, Field(min_length=1, max_length=40)]
    target: Annotated[str, Field(max_length=200)] = ""
    parameters: dict[str, Any] = {}


def effect_of(given: Mapping[str, Any] | Effect | None) -> Effect | None:
    """Return an expected effect from JSON. Raises Invalid naming the field."""
    return given if isinstance(given, Effect) else _read(Effect, given, "expected_effect")


def act_of(given: Mapping[str, Any] | ActAsked | None) -> ActAsked | None:
    """Return a proposed act from JSON. Raises Invalid naming the field."""
    return given if isinstance(given, ActAsked) else _read(ActAsked, given, "act")


def _read(form: Any, given: Any, name: str) -> Any:
    if not given:
        return None
    if not isinstance(given, Mapping):
        raise Invalid(f"{name} must be an object of names and values.", field=name)
    try:
        return form.model_validate(dict(given))
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join([name, *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg'].removeprefix('Value error, ')}", field=place) from None
