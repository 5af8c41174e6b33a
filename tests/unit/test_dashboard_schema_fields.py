"""Forms from the schemas of triggerable tasks."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from subsystems.kernel.triggerable import Arguments
from vsm_site.dashboard.schema_fields import Unreadable, arguments, fields


class Everything(Arguments):
    count: int = Field(ge=1, le=9, description="How many")
    ratio: float = 0.5
    dry: bool = False
    mode: Literal["slow", "fast"] = "slow"
    note: str | None = None
    names: list[str] = []


def test_each_kind_of_argument_has_its_input() -> None:
    """A person must not have to write JSON for what a form can ask."""
    found = {field.name: field for field in fields(Everything.model_json_schema())}

    assert [field.type for field in found.values()] == ["integer", "number", "boolean", "choice", "string", "json"]
    assert found["count"].required
    assert (found["count"].minimum, found["count"].maximum, found["count"].description) == (1, 9, "How many")
    assert found["mode"].choices == ("slow", "fast")
    assert (found["ratio"].shown_default, found["names"].shown_default) == ("0.5", "[]")


def test_a_filled_form_becomes_typed_arguments() -> None:
    """The task's own model is strict: a number in quotes would be refused."""
    form = {"count": "3", "ratio": "", "dry": "on", "mode": "fast", "note": "", "names": '["a"]'}

    found = arguments(fields(Everything.model_json_schema()), form)

    assert found == {"count": 3, "dry": True, "mode": "fast", "names": ["a"]}
    assert Everything(**found).ratio == 0.5


@pytest.mark.parametrize(
    ("form", "field"),
    [
        pytest.param({}, "count", id="nothing where something is needed"),
        pytest.param({"count": "three"}, "count", id="a word for a whole number"),
        pytest.param({"count": "1", "ratio": "half"}, "ratio", id="a word for a number"),
        pytest.param({"count": "1", "names": "a, b"}, "names", id="no JSON"),
    ],
)
def test_what_cannot_be_read_names_its_field(form: dict[str, str], field: str) -> None:
    """The message belongs beside the input it is about."""
    with pytest.raises(Unreadable) as caught:
        arguments(fields(Everything.model_json_schema()), form)

    assert caught.value.field == field
