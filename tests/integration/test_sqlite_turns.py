"""Writers of the embedded profile's database take turns, and nobody depends on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import Error, OperationalError, connection, connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper as DjangoWrapper

from subsystems.recursion.models import System
from tests.support.factories import make_system

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.embedded,
]


@pytest.fixture
def turn() -> Iterator[threading.Lock]:
    """The turn of this test's database; nobody may have it afterwards."""
    from vsm_site.sqlite import base

    with transaction.atomic():
        found = base._turns[connection.settings_dict["NAME"]]
    assert not found.locked()
    yield found
    assert not found.locked()


def test_a_transaction_has_the_turn_until_its_end(turn: threading.Lock) -> None:
    """Nested ones belong to the outermost."""
    with transaction.atomic():
        with transaction.atomic():
            make_system(slug="a")
        assert turn.locked()


def test_a_transaction_that_fails_ends_its_turn(turn: threading.Lock) -> None:
    """One mistake must not slow down every writer from then on."""

    def fail() -> None:
        with transaction.atomic():
            make_system(slug="a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not System.objects.filter(slug="a").exists()


def test_a_connection_that_is_closed_half_way_ends_its_turn(turn: threading.Lock) -> None:
    """As after a time limit, or when a thread gives everything back."""

    def close_half_way() -> None:
        with transaction.atomic():
            connection.close()
            assert not turn.locked()
            make_system(slug="a")

    with pytest.raises(Error):
        close_half_way()


def test_a_transaction_that_cannot_begin_ends_its_turn(turn: threading.Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is locked by another process for too long."""

    def locked(_: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(DjangoWrapper, "_start_transaction_under_autocommit", locked)
        with pytest.raises(OperationalError), transaction.atomic():
            make_system(slug="a")


def test_the_next_writer_waits_for_its_turn_and_goes_on(turn: threading.Lock) -> None:
    """Both write, one after the other."""

    def write() -> None:
        with transaction.atomic():
            make_system(slug="second")
        connections.close_all()

    other = threading.Thread(target=write)
    with transaction.atomic():
        make_system(slug="first")
        other.start()
    other.join(10)

    assert System.objects.filter(slug__in=["first", "second"]).count() == 2


def test_who_waited_too_long_for_a_turn_leaves_it_to_sqlite(
    turn: threading.Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that somebody took with him must not stop the platform."""
    from vsm_site.sqlite import base

    monkeypatch.setattr(base, "TURN_SECONDS", 0.0)
    with turn, transaction.atomic():
        make_system(slug="a")

    assert System.objects.filter(slug="a").exists()
