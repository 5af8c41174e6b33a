"""What a new installation makes for itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from vsm_site.first_run import ensure_admin, flower_password


@pytest.mark.django_db
def test_the_first_user_gets_a_password_that_works_and_the_second_run_makes_none() -> None:
    """A default password would be known to everybody; a new one on each start would lock people out."""
    password = ensure_admin("boss", "")
    again = ensure_admin("boss", "")

    user = User.objects.get(username="boss")
    assert user.check_password(password)
    assert user.is_superuser
    assert again == ""


@pytest.mark.django_db
def test_a_configured_password_is_used_and_not_repeated() -> None:
    """What the operator chose has no place in a log."""
    shown = ensure_admin("boss", "chosen-by-hand")

    assert shown == ""
    assert User.objects.get(username="boss").check_password("chosen-by-hand")


def test_flowers_password_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """It opens every task's arguments."""
    first = flower_password(tmp_path, "")
    second = flower_password(tmp_path, "")

    assert (first[1], second[1]) == (True, False)
    assert first[0] == second[0]
    assert (tmp_path / "flower_password").stat().st_mode & 0o777 == 0o600
