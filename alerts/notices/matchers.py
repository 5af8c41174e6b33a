"""Matchers on labels, in Alertmanager's words: `severity="critical"`, `team!=~"a|b"`, `unit=~"web-.+"`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from subsystems.kernel.errors import Invalid

MAX_MATCHERS = 50
MAX_LENGTH = 1000  # of a matcher's value; RE2 takes linear time, so a bounded pattern is a bounded cost
REGEX_MEMORY = 1 << 20
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
_PART = re.compile(
    r"""\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*|"(?:[^"\\]|\\.)+")\s*
        (?P<op>=~|!~|!=|=)\s*
        (?P<value>"(?:[^"\\]|\\.)*"|[^"{},]*?)\s*(?P<end>,|$)""",
    re.VERBOSE | re.DOTALL,
)


class Op(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; a label that is missing counts as empty."""

    name: str
    op: Op
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether *labels* meet the condition."""
        found = labels.get(self.name, "")
        if self.op is Op.EQUAL:
            return found == self.value
        if self.op is Op.NOT_EQUAL:
            return found != self.value
        hit = _compiled(self.value).fullmatch(found) is not None
        return hit if self.op is Op.REGEX else not hit

    def __str__(self) -> str:
        name = self.name if NAME.fullmatch(self.name) else quoted(self.name)
        return f"{name}{self.op}{quoted(self.value)}"

    def to_wire(self) -> dict[str, Any]:
        """Return the matcher as version 2 of Alertmanager's API has it."""
        regex, equal = self.op in (Op.REGEX, Op.NOT_REGEX), self.op in (Op.EQUAL, Op.REGEX)
        return {"name": self.name, "value": self.value, "isRegex": regex, "isEqual": equal}


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether *labels* meet every one of *matchers*."""
    return all(matcher.matches(labels) for matcher in matchers)


def read_matchers(given: object, field: str = "matchers") -> tuple[Matcher, ...]:
    """Read matchers from text, from a list of texts, or as version 2 of the API has them. Raises Invalid."""
    parts = [given] if isinstance(given, str | Mapping) else given
    if not isinstance(parts, Sequence):
        raise Invalid('Matchers are like severity="critical".', field=field)
    found = [matcher for part in parts for matcher in _read(part, field)]
    if len(found) > MAX_MATCHERS:
        raise Invalid(f"At most {MAX_MATCHERS} matchers.", field=field)
    return tuple(found)


def text_of(matchers: Iterable[Matcher]) -> str:
    """Return *matchers* as one text that `read_matchers` reads."""
    return ", ".join(map(str, matchers))


def quoted(text: str) -> str:
    """Return *text* in quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _read(part: object, field: str) -> list[Matcher]:
    if isinstance(part, Mapping):
        return [_from_wire(part, field)]
    if not isinstance(part, str):
        raise Invalid('A matcher is text like severity="critical".', field=field)
    return _parse(part, field)


def _parse(text: str, field: str) -> list[Matcher]:
    body = text.strip()
    if body.startswith("{") != body.endswith("}"):
        raise Invalid("A brace is not closed.", field=field)
    body = body[1:-1].strip() if body.startswith("{") else body
    found, at = [], 0
    while at < len(body):
        part = _PART.match(body, at)
        if part is None:
            raise Invalid(f'{body[at : at + 60]!r} is no matcher such as severity="critical".', field=field)
        found.append(_made(_unquoted(part["name"]), Op(part["op"]), _unquoted(part["value"]), field))
        at = part.end()
    return found


def _from_wire(part: Mapping[Any, Any], field: str) -> Matcher:
    name, value = part.get("name"), part.get("value")
    regex, equal = part.get("isRegex", False), part.get("isEqual", True)
    if not isinstance(name, str) or not isinstance(value, str):
        raise Invalid("A matcher has a name and a value, both text.", field=field)
    if not isinstance(regex, bool) or not isinstance(equal, bool):
        raise Invalid("isRegex and isEqual are true or false.", field=field)
    op = {(False, True): Op.EQUAL, (False, False): Op.NOT_EQUAL, (True, True): Op.REGEX, (True, False): Op.NOT_REGEX}
    return _made(name, op[regex, equal], value, field)


def _made(name: str, op: Op, value: str, field: str) -> Matcher:
    if not name or len(name) > 200 or len(value) > MAX_LENGTH:
        raise Invalid(f"A label's name has 1 to 200 characters, a value at most {MAX_LENGTH}.", field=field)
    if "\0" in name or "\0" in value:
        raise Invalid("A matcher cannot hold NUL.", field=field)
    if op in (Op.REGEX, Op.NOT_REGEX):
        _check_regex(value, field)
    return Matcher(name, op, value)


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return re.sub(r'\\\\|\\"|\\n', lambda found: _ESCAPES[found[0]], text[1:-1])


def _check_regex(pattern: str, field: str) -> None:
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        words = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise Invalid(f"{pattern[:60]!r} is no regular expression: {words}.", field=field) from None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    import re2  # four megabytes: only where somebody writes a regular expression

    options = re2.Options()
    options.max_mem, options.log_errors = REGEX_MEMORY, False
    return re2.compile(pattern, options)
