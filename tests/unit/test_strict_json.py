"""Bodies that the standard parser lets through and some later step chokes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subsystems.kernel import strict_json
from subsystems.kernel.errors import Invalid

HOSTILE = [
    pytest.param(b'{"a": 1e999}', id="a float that becomes infinity"),
    pytest.param(b'{"a": NaN}', id="NaN"),
    pytest.param(b'{"a": -Infinity}', id="minus infinity"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="a hundred thousand brackets"),
    pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="a hundred thousand braces"),
    pytest.param(b"[" * 34 + b"]" * 34, id="just too deep"),
    pytest.param(b'{"a": "\\ud800"}', id="half a surrogate pair"),
    pytest.param(b'{"\\udfff": 1}', id="half a surrogate pair in a key"),
    pytest.param(b'["\\u0000"]', id="NUL escaped"),
    pytest.param(b'["\x00"]', id="NUL as it is"),
    pytest.param(b'{"a": 1, "a": 2}', id="a key twice"),
    pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="an integer of five thousand digits"),
    pytest.param(b'{"a": 9223372036854775808}', id="an integer that no column holds"),
    pytest.param(b'{"a": "\xff"}', id="no UTF-8"),
    pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
    pytest.param(b'{"a": 1} x', id="more after the end"),
    pytest.param(b'{"a": 1,}', id="a comma too many"),
    pytest.param(b"{'a': 1}", id="the wrong quotes"),
    pytest.param(b"   ", id="blanks"),
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@pytest.mark.parametrize("raw", HOSTILE)
def test_a_hostile_body_is_refused_with_one_code(raw: bytes) -> None:
    """Programs branch on the code; each of these made a stock server answer 500 or store something unusable."""
    with pytest.raises(Invalid) as caught:
        strict_json.loads(raw)

    assert caught.value.code == "malformed_json"


@given(VALUES)
def test_every_ordinary_document_is_read_as_the_standard_parser_reads_it(document: Any) -> None:
    """Strictness that refuses honest senders would be an outage of our own making."""
    raw = json.dumps(document).encode()

    assert strict_json.loads(raw) == json.loads(raw)


def test_a_surrogate_pair_that_is_whole_is_a_character() -> None:
    """Most JSON writers escape an emoji as a pair."""
    assert strict_json.loads(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_the_deepest_allowed_document_is_read() -> None:
    """The limit is a limit, not one less."""
    depth = strict_json.MAX_DEPTH

    assert strict_json.loads(b"[" * depth + b"]" * depth) is not None
