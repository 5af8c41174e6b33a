"""Files that people bring: YAML or JSON read with the line of each entry, and what became of the entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from subsystems.kernel.errors import Invalid

MAX_CHARACTERS = 500_000
Lines = Mapping[tuple[int, str], int]


@dataclass
class Imported:
    """What became of each entry of a file; *kept*: it was kept, and not only tried or refused as a whole."""

    added: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, list[Any]]] = field(default_factory=dict)  # name -> field -> [before, after]
    unchanged: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)  # name, reason, and line where it is known
    kept: bool = True

    def to_wire(self) -> dict[str, Any]:
        return {
            "added": self.added, "changed": self.changed, "unchanged": self.unchanged, "refused": self.refused,
            "kept": self.kept,
        }  # fmt: skip


def read_document(text: str, what: str) -> dict[str, Any]:
    """Return the mapping that a text in YAML (or JSON, which is YAML) holds. Raises Invalid (field `text`)."""
    import yaml  # only where somebody brings a file

    if len(text) > MAX_CHARACTERS:
        raise Invalid(f"At most {MAX_CHARACTERS:,} characters.", field="text")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise Invalid("Aliases are not read: a few of them can fill the memory.", field="text")
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid(f"This is no YAML: {str(error)[:200]}", field="text") from None
    if not isinstance(document, dict):
        raise Invalid(what, field="text")
    return document


def entries_of(document: Mapping[str, Any], key: str, most: int) -> list[dict[str, Any]]:
    """Return the list of mappings under *key*. Raises Invalid (field `text`)."""
    entries = document[key]
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise Invalid(f"`{key}` is a list of mappings.", field="text")
    if len(entries) > most:
        raise Invalid(f"At most {most} {key} at once.", field="text")
    return entries


def lines_of(text: str, key: str) -> Lines:
    """Return the line (from 1) of each entry under *key*, by its number and "", and of each of its fields by name."""
    import yaml

    found: dict[tuple[int, str], int] = {}
    for name, node in _pairs(yaml.compose(text, yaml.SafeLoader)):
        if name == key and isinstance(node, yaml.SequenceNode):
            for number, entry in enumerate(node.value):
                found[number, ""] = entry.start_mark.line + 1
                _note(found, number, entry)
    return found


def line_of(lines: Lines, number: int, name: str) -> int | None:
    """Return where the field *name* of an entry is, else where the entry begins."""
    return lines.get((number, name), lines.get((number, "")))


def _note(found: dict[tuple[int, str], int], number: int, entry: Any) -> None:
    for name, node in _pairs(entry):
        found[number, name] = node.start_mark.line + 1
        if name == "fields":  # of a policy: those it consists of
            for inner, value in _pairs(node):
                found[number, inner] = value.start_mark.line + 1


def _pairs(node: Any) -> list[tuple[str, Any]]:
    pairs = getattr(node, "value", None)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return []
    return [(str(name.value), value) for name, value in pairs]
