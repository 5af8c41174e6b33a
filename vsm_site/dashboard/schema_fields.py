"""Form fields from a JSON Schema, and the typed arguments that a filled-in form stands for.

Only what the schemas of triggerable tasks use: flat objects of strings, numbers, booleans and choices; anything richer
is written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """One input of the form."""

    name: str
    label: str
    type: str  # integer, number, boolean, string, choice, json
    required: bool
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""

    @property
    def shown_default(self) -> str:
        if self.default is None:
            return ""
        return json.dumps(self.default) if self.type == "json" else str(self.default)


class Unreadable(ValueError):
    """An input that does not hold what its field asks for."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.detail = detail


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """Return the inputs for an object *schema*, in its order."""
    required = set(schema.get("required", []))
    definitions = schema.get("$defs", {})
    return [
        _field(name, _resolved(body, definitions), name in required)
        for name, body in schema.get("properties", {}).items()
    ]


def arguments(wanted: list[Field], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the typed arguments in *form*; an empty optional input is left out. Raises Unreadable."""
    found: dict[str, Any] = {}
    for field in wanted:
        text = form.get(field.name, "").strip()
        if field.type == "boolean":
            found[field.name] = text in {"on", "true"}
        elif text:
            found[field.name] = _value(field, text)
        elif field.required:
            raise Unreadable(field.name, f"{field.label} is needed.")
    return found


def _field(name: str, body: Mapping[str, Any], required: bool) -> Field:
    choices = tuple(body.get("enum", ()))
    type_ = "choice" if choices else str(body.get("type", "json"))
    return Field(
        name=name,
        label=str(body.get("title") or name),
        type=type_ if type_ in {"integer", "number", "boolean", "string", "choice"} else "json",
        required=required,
        default=body.get("default"),
        choices=choices,
        minimum=body.get("minimum"),
        maximum=body.get("maximum"),
        description=str(body.get("description", "")),
    )


def _resolved(body: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Follow a reference, and read `X or null` as an X that may be left out."""
    options = [option for option in body.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1:
        return {**_resolved(options[0], definitions), **{k: v for k, v in body.items() if k != "anyOf"}}
    if "$ref" in body:
        name = body["$ref"].rsplit("/", 1)[-1]
        return {**definitions.get(name, {}), **{k: v for k, v in body.items() if k != "$ref"}}
    return dict(body)


def _value(field: Field, text: str) -> Any:
    if field.type == "choice":
        return next((choice for choice in field.choices if str(choice) == text), text)
    if field.type == "string":
        return text
    readers: dict[str, Any] = {"integer": int, "number": float, "json": json.loads}
    try:
        return readers[field.type](text)
    except ValueError:
        what = {"integer": "a whole number", "number": "a number", "json": "JSON"}[field.type]
        raise Unreadable(field.name, f"{field.label} must be {what}.") from None
