"""Who may see and do what, in which systems."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Q, QuerySet

from subsystems.recursion.models import ApiToken, Membership, System

ROOT_SLUG = "main"
SCOPES_OF_ROLE = {
    Membership.Role.VIEWER: {"read"},
    Membership.Role.OPERATOR: {"read", "operate", "ingest"},
    Membership.Role.ADMIN: {"read", "operate", "ingest", "admin"},
}
Principal = AbstractBaseUser | AnonymousUser


def root_system() -> System:
    """Return the system that the platform itself and everything without another home belongs to."""
    return System.objects.get_or_create(slug=ROOT_SLUG, defaults={"name": "Main"})[0]


def systems_for(user: Principal, scope: str = "read", token: ApiToken | None = None) -> QuerySet[System]:
    """Return the systems in which *user* (through *token*, where there is one) holds *scope*."""
    if token is not None and scope not in token.scopes:
        return System.objects.none()
    ids = _system_ids(user, scope)
    systems = System.objects.all() if ids is None else System.objects.filter(pk__in=ids)
    return (
        systems
        if token is None or token.system_id is None
        else systems.filter(pk__in=with_descendants([token.system_id]))
    )


def holds(user: Principal, scope: str, token: ApiToken | None = None) -> bool:
    """Return whether *user* holds *scope* in any system at all."""
    return systems_for(user, scope, token).exists()


def people_in(system_id: int, scope: str = "operate") -> QuerySet[User]:
    """Return the active users who hold *scope* in a system, through their role there or in one above it."""
    parents = dict(System.objects.values_list("pk", "parent_id"))
    line: list[int] = []
    above: int | None = system_id
    while above is not None and above not in line:
        line.append(above)
        above = parents.get(above)
    roles = [role for role, scopes in SCOPES_OF_ROLE.items() if scope in scopes]
    members = Membership.objects.filter(system_id__in=line, role__in=roles).values("user_id")
    return User.objects.filter(is_active=True).filter(Q(is_superuser=True) | Q(pk__in=members))


def with_descendants(system_ids: list[int]) -> set[int]:
    """Return *system_ids* and every system below them."""
    children: dict[int | None, list[int]] = {}
    for pk, parent in System.objects.values_list("pk", "parent_id"):
        children.setdefault(parent, []).append(pk)
    found: set[int] = set()
    queue = list(system_ids)
    while queue:
        pk = queue.pop()
        if pk not in found:
            found.add(pk)
            queue.extend(children.get(pk, []))
    return found


def _system_ids(user: Principal, scope: str) -> set[int] | None:
    """Return the ids of the systems in which *user* holds *scope*; None stands for all of them."""
    if not user.is_authenticated or not user.is_active:
        return set()
    if getattr(user, "is_superuser", False):
        return None
    memberships = Membership.objects.filter(user_id=user.pk)
    return with_descendants([m.system_id for m in memberships if scope in SCOPES_OF_ROLE[Membership.Role(m.role)]])
