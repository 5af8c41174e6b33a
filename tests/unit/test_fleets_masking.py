"""What must not be stored is hidden before it is."""

from __future__ import annotations

import pytest

from subsystems.fleets.masking import MASK, Masking


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        pytest.param("{'user': 'ann', 'password': 'hunter2'}", "hunter2", id="keyword"),
        pytest.param("{'db_password': \"it's\"}", "it's", id="part of a name, double quotes"),
        pytest.param("{'API_KEY': 'abc', 'n': 1}", "abc", id="capitals"),
        pytest.param("{'token': b'raw'}", "raw", id="bytes"),
        pytest.param("{'credentials': {'a': 'b'}}", "'b'", id="dictionary"),
        pytest.param("{'secret': 12345, 'x': 2}", "12345", id="number"),
        pytest.param("{'password': 'cut off her", "cut off", id="cut in the middle"),
        pytest.param("('amqp://bob:pass123@host/',)", "pass123", id="address"),
        pytest.param("connect(password=hunter2)", "hunter2", id="call"),
        pytest.param("'Bearer abcdefgh.123456'", "abcdefgh", id="bearer"),
        pytest.param("('eyJhbGciOiJI.eyJzdWIiOiIx.abc',)", "eyJzdWIi", id="jwt"),
        pytest.param("{'iban': 'DE02'}", "DE02", id="own rule"),
    ],
)
def test_secrets_are_hidden(text: str, hidden: str) -> None:
    """History is read by more people than the task's code."""
    masked = Masking(names=["iban"]).masked(text)

    assert hidden not in masked
    assert MASK in masked


@pytest.mark.parametrize("text", ["(1, 'two')", "{'user': 'ann', 'n': 1}", "{'url': 'https://example.org/a'}", ""])
def test_what_is_no_secret_stays(text: str) -> None:
    """A history of asterisks helps nobody."""
    assert Masking().masked(text) == text


def test_what_follows_a_secret_stays() -> None:
    """Only the value goes."""
    assert Masking().masked("{'password': 'a', 'order': 7}") == f"{{'password': {MASK}, 'order': 7}}"


def test_a_long_text_takes_no_long_time() -> None:
    """Patterns must not be led up the garden path by what a task was given."""
    for text in ("'" * 1024, "'password" * 100, "password=" * 100, "'a" * 500 + ":", "://" * 300, "eyJ." * 250):
        Masking().masked(text)
