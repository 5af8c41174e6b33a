"""Patterns as people write them: YAML or JSON, read strictly; what is wrong is told with its field and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from subsystems.kernel.errors import Invalid
from subsystems.s4_intelligence.patterns.schema import Definition

MAX_CHARACTERS = 20_000
MAX_MISTAKES = 20
MAX_DEPTH = 24
MAX_NODES = 2_000
Path = tuple[str | int, ...]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, in which field, and on which line (0 where there is none)."""

    field: str
    line: int
    message: str

    def to_wire(self) -> dict[str, Any]:
        return {"field": self.field, "line": self.line, "message": self.message}

    def __str__(self) -> str:
        where = f"line {self.line}, {self.field}" if self.line and self.field else self.field or f"line {self.line}"
        return f"{where}: {self.message}"


class Mistaken(Invalid):
    """A text that is no pattern, with all that is wrong in it."""

    code = "invalid_pattern"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(map(str, mistakes))[:2000], field="text")
        self.mistakes = list(mistakes)


def read(text: str) -> Definition:
    """Return the pattern that *text* says. Raises Mistaken."""
    document, lines = _document(text)
    try:
        return Definition.model_validate(document)
    except ValidationError as error:
        told = [_mistake(each, lines) for each in error.errors(include_url=False)[:MAX_MISTAKES]]
        raise Mistaken(list(dict.fromkeys(told))) from None


def _document(text: str) -> tuple[Any, dict[Path, int]]:
    """Return what *text* says and on which line each of its fields is."""
    if len(text) > MAX_CHARACTERS:
        raise Mistaken([Mistake("", 0, f"a pattern has at most {MAX_CHARACTERS:,} letters")])
    try:
        root = yaml.compose(text, Loader=_LOADER)
        if root is None:
            raise Mistaken([Mistake("", 1, "there is nothing here: a pattern has at least `pattern` and `when`")])
        lines: dict[Path, int] = {}
        _place(root, (), lines, set())
        return yaml.load(text, Loader=_LOADER), lines  # noqa: S506  (a safe loader, as quick as there is)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise Mistaken([Mistake("", line, f"no YAML: {error.problem or error.context}")]) from None
    except yaml.YAMLError as error:
        raise Mistaken([Mistake("", 0, f"no YAML: {str(error)[:200]}")]) from None
    except (ValueError, RecursionError) as error:  # a date that is none, a number of thousands of digits
        raise Mistaken([Mistake("", 0, f"no YAML: {str(error)[:200]}")]) from None


def _place(node: yaml.Node, path: Path, lines: dict[Path, int], seen: set[int]) -> None:
    """Note the line of each field, and refuse what would surprise: keys that come twice, references, depth."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if id(node) in seen:
        raise Mistaken([Mistake(_name(path), line, "references (& and *) are not read")])
    seen.add(id(node))
    if len(path) > MAX_DEPTH or len(seen) > MAX_NODES:
        raise Mistaken([Mistake(_name(path), line, "there is too much of it, or it is nested too deep")])
    if isinstance(node, yaml.SequenceNode):
        for place, each in enumerate(node.value):
            _place(each, (*path, place), lines, seen)
    elif isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Mistaken([Mistake(_name(path), key.start_mark.line + 1, "the name of a field is a word")])
            if key.value in names:
                raise Mistaken([Mistake(_name((*path, key.value)), key.start_mark.line + 1, "comes twice")])
            names.add(key.value)
            lines[(*path, key.value)] = key.start_mark.line + 1
            _place(value, (*path, key.value), lines, seen)


def _mistake(error: Any, lines: dict[Path, int]) -> Mistake:
    """Return what pydantic found in the words of the text: the field as written, and its line."""
    path: Path = (*error["loc"], *error.get("ctx", {}).get("path", ()))
    written = _written(path, lines)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "there is no such field here"
    elif error["type"] == "missing":
        message = "is missing"
    else:
        message = message[:1].lower() + message[1:]
    missing = error["type"] == "missing"
    return Mistake(_name((*written, path[-1]) if missing else written), lines.get(written, 1), message)


def _written(path: Path, lines: dict[Path, int]) -> Path:
    """Return as much of *path* as the text has, without the words that pydantic puts between."""
    found: Path = ()
    for part in path:
        if (*found, part) in lines:
            found = (*found, part)
        elif part in ("steps", "events"):
            continue  # a list that stands for the mapping which has it
        elif (*found, str(part)) in lines:
            found = (*found, str(part))
    return found


def _name(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
