"""JSON without surprises: what could hurt later (in a database, a worker, a browser) is refused here.

The standard parser takes `1e999`, `NaN`, a hundred thousand brackets, half a surrogate pair, NUL characters and keys
that come twice; each of them has made some later step fail.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from subsystems.kernel.errors import Invalid

MAX_DEPTH = 32
LARGEST_INTEGER = 2**63 - 1  # what a database column holds


def loads(raw: bytes) -> Any:
    """Return the document of *raw*. Raises Invalid (code `malformed_json`) for anything that is not strict JSON."""
    try:
        document = _decoder.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno} column {error.colno}.") from None
    except ValueError:  # an integer with thousands of digits
        raise _malformed("A number is too large.") from None
    _refuse_depth(document)
    if b"\\u" in raw:  # only an escape can smuggle in half a pair or a NUL
        _refuse_text(document)
    return document


def _refuse_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [child for item in level for child in _children(item) if isinstance(child, (dict, list))]
        if not level:
            return
    raise _too_deep()


def _refuse_text(document: Any) -> None:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            _refuse_characters(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _refuse_characters(text: str) -> None:
    if "\0" in text:
        raise _malformed("A text contains the character NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _malformed("A text contains half of a surrogate pair.") from None


def _children(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _malformed(f"The key {twice[:80]!r} comes twice in one object.")
    return found


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _malformed("A number is too large.")
    return number


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST_INTEGER:
        raise _malformed("A number is too large.")
    return number


def _constant(name: str) -> Any:
    raise _malformed(f"{name} is not a JSON number.")


def _malformed(detail: str) -> Invalid:
    return Invalid(detail, code="malformed_json")


def _too_deep() -> Invalid:
    return _malformed(f"The body is nested more than {MAX_DEPTH} deep.")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_constant)
