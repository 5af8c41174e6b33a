"""What an answer of a source outside means, and how aware S4 is."""

from __future__ import annotations

import pytest

from subsystems.s4_intelligence.sources import awareness_of, of_age, of_broker, pointed_number
from subsystems.s4_intelligence.threats import of_source

BODY = b'{"queue": {"depth": 7}, "a/b": [1, 2.5], "on": true, "words": "many"}'


@pytest.mark.parametrize(("pointer", "number"), [("/queue/depth", 7), ("/a~1b/1", 2.5)])
def test_a_pointer_leads_to_a_number(pointer: str, number: float) -> None:
    """Through objects and lists, with the escapes of RFC 6901."""
    assert pointed_number(BODY, pointer) == number


@pytest.mark.parametrize("pointer", ["/queue", "/queue/none", "/a~1b/2", "/on", "/words", "/a~1b/-"])
def test_what_is_no_number_is_said(pointer: str) -> None:
    """A wrong pointer must not pass for zero."""
    with pytest.raises(ValueError, match="there is no"):
        pointed_number(BODY, pointer)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 60_000, b'{"a": NaN}', b"\xff"])
def test_an_odd_body_is_no_number(body: bytes) -> None:
    """Whatever a stranger's page sends."""
    with pytest.raises(ValueError, match="no JSON|there is no"):
        pointed_number(body, "/a")


def test_awareness_is_the_share_scanned_in_time() -> None:
    """One never scanned is not in time; without sources it is unknown."""
    found = awareness_of([(1000, 60), (800, 60), (None, 60), (500, 3600)], now=1010.0)

    assert (found.scanned, found.configured, found.share) == (2, 4, 0.5)
    assert awareness_of([], now=0.0).share is None


def test_old_news_is_no_answer() -> None:
    """A stale value and a silent broker are told with their age."""
    assert of_age(3.0, 20, 30).ok
    assert of_age(3.0, 400, 300) == (False, 3.0, "stale: the newest value is 400 s old", None)
    assert of_broker(5, "").ok
    assert of_broker(40, "").error == "the broker has not answered for 40 s"
    assert not of_broker(None, "").ok


def test_one_failure_is_no_threat_yet() -> None:
    """It may be a restart; two in a row are told with what was seen."""
    assert of_source("shop", "http", "refused", 1, every_seconds=60, at=10.0) is None

    threat = of_source("shop", "http", "refused", 2, every_seconds=60, at=10.0)

    assert threat is not None
    assert threat.evidence == {
        "kind": "http", "error": "refused", "failures": 2, "scanned_at": 10.0, "every_seconds": 60,
    }  # fmt: skip
