"""Which brokers can be watched, and how their addresses are shown."""

from __future__ import annotations

import pytest

from subsystems.kernel.errors import Invalid
from subsystems.s1_operations import broker_urls
from subsystems.s1_operations.sealing import CannotOpen, seal, unseal

SECRET = "amqp://ops:p%40ss-word@broker.example:5672/orders"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("vsm://", id="the in-process broker, which nobody else can be on"),
        pytest.param("memory://", id="kombu's in-memory broker"),
        pytest.param("http://broker", id="a web address"),
        pytest.param("amqp:///orders", id="no host"),
        pytest.param("amqp://host:port/", id="a port that is no number"),
        pytest.param("amqp://ho st/", id="a space"),
        pytest.param("redis://host/orders", id="a Redis database that is no number"),
        pytest.param("amqp://[::1/", id="an open bracket"),
        pytest.param("amqp://host/x;amqp://bob:secret@other/", id="a second broker, whose password would be shown"),
        pytest.param("amqp://host/x;vsm://", id="the in-process broker behind another"),
        pytest.param("", id="nothing"),
    ],
)
def test_an_address_that_cannot_work_is_refused_without_being_repeated(url: str) -> None:
    """The message goes into logs and browsers, and an address may carry a password."""
    with pytest.raises(Invalid) as refusal:
        broker_urls.check(url)

    assert refusal.value.field == "url"
    assert not url or url not in refusal.value.detail


@pytest.mark.parametrize("url", [SECRET, "amqps://h//", "redis://:pw@h:6379/3", "rediss://h", "redis://h/"])
def test_brokers_that_celery_knows_are_accepted(url: str) -> None:
    """Both schemes with and without TLS; inside addresses too, since that is where brokers are."""
    assert broker_urls.check(f" {url} ") == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (SECRET, "amqp://broker.example:5672/orders"),
        ("redis://:pw@[::1]:6379/3?password=pw", "redis://[::1]:6379/3"),
        ("vsm://", "vsm://"),
    ],
)
def test_an_address_is_shown_without_its_credentials(url: str, shown: str) -> None:
    """The display is what everybody sees."""
    assert broker_urls.display(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"Error connecting to {SECRET}.", id="the whole address"),
        pytest.param("refused login for p@ss-word", id="the password alone"),
        pytest.param("refused login for p%40ss-word", id="as it was written"),
    ],
)
def test_an_error_is_scrubbed_of_credentials_in_any_spelling(text: str) -> None:
    """Client libraries quote the address that failed."""
    clean = broker_urls.scrub(text, SECRET)

    assert "ss-word" not in clean
    assert clean.startswith(text.split()[0])


def test_a_sealed_address_opens_only_under_the_same_key() -> None:
    """A copy of the database alone must not give away the brokers."""
    sealed = seal(SECRET, "key one")

    assert unseal(sealed, "key one") == SECRET
    assert "ss-word" not in sealed
    with pytest.raises(CannotOpen):
        unseal(sealed, "key two")


def test_sealing_twice_gives_different_texts() -> None:
    """Equal texts would tell which fleets share a broker."""
    assert seal(SECRET, "key") != seal(SECRET, "key")
