"""Failures that are the same share a number."""

from __future__ import annotations

import pytest

from subsystems.fleets.fingerprints import fingerprint, split

FRAME = '  File "/app/shop.py", line {line}, in {function}\n    raise\n'


def traceback(function: str = "pay", line: int = 12) -> str:
    return "Traceback (most recent call last):\n" + FRAME.format(line=1, function="run") + FRAME.format(
        line=line, function=function)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("Late('order 17')", traceback()), ("Late('order 18')", traceback(line=13)), id="numbers"),
        pytest.param(("KeyError('ann')", traceback()), ("KeyError('bob')", traceback()), id="what was quoted"),
        pytest.param(("X('at 0xdeadbeef')", ""), ("X('at 0xcafebabe')", ""), id="addresses"),
    ],
)  # fmt: skip
def test_the_same_failure_with_other_values_is_one_kind(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A list of ten thousand kinds of one mistake hides the second mistake."""
    assert fingerprint(*one) == fingerprint(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(("KeyError('a')", traceback("pay")), ("KeyError('a')", traceback("ship")), id="place"),
        pytest.param(("KeyError('a')", traceback()), ("TypeError('a')", traceback()), id="class"),
        pytest.param(("ValueError('too big')", ""), ("ValueError('too small')", ""), id="message without a place"),
    ],
)
def test_different_failures_are_different_kinds(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two mistakes in one group are fixed once, and one of them stays."""
    assert fingerprint(*one) != fingerprint(*other)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ValueError('bad')", ("ValueError", "'bad'")),
        ("shop.errors.Late: order", ("shop.errors.Late", "order")),
        ("WorkerLostError", ("WorkerLostError", "")),
        ("", ("Exception", "")),
        ("not a class at all!", ("Exception", "not a class at all!")),
    ],
)
def test_class_and_message_are_told_apart(text: str, parts: tuple[str, str]) -> None:
    """However the serializer wrote the exception."""
    assert split(text) == parts
