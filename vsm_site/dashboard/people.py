"""Who is logged in, together with what they prefer: one query for both."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

from vsm_site.dashboard.models import Preferences


class PeopleBackend(ModelBackend):
    """Django's own accounts."""

    def get_user(self, user_id: Any) -> User | None:
        """Return the account of a session; what every page needs of its preferences comes along."""
        user = User.objects.select_related("preferences").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None


def preferences_of(user: AbstractBaseUser | AnonymousUser) -> Preferences:
    """Return what *user* prefers; who never chose anything prefers what is usual."""
    if not isinstance(user, User):
        return Preferences()
    found: Preferences = getattr(user, "preferences", None) or Preferences(user=user)
    return found


def keep(user: User, **fields: Any) -> dict[str, Any]:
    """Keep what *user* prefers, and return what these fields were before."""
    found = preferences_of(user)
    before = {name: getattr(found, name) for name in fields}
    user.preferences, _ = Preferences.objects.update_or_create(user=user, defaults=fields)
    return before
