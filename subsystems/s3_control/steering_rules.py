"""Who may steer what, beyond the scope `operate`: rules that leave some acts to a group."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Rule:
    """Acts of *kind* on *target* (both shell patterns) are for members of *group*."""

    kind: str
    target: str
    group: str


def groups_needed(rules: Iterable[Rule], kind: str, target: str) -> list[str]:
    """Return the groups to one of which an act is left; none when whoever operates may do it."""
    fitting = [rule.group for rule in rules if fnmatchcase(kind, rule.kind) and fnmatchcase(target, rule.target)]
    return sorted(set(fitting))


def refusal(rules: Iterable[Rule], kind: str, target: str, *, groups: Collection[str], admin: bool) -> str:
    """Return why somebody of *groups* may not do this; empty when they may. Administrators may do everything."""
    needed = groups_needed(rules, kind, target)
    if not needed or admin or set(needed) & set(groups):
        return ""
    return f"{kind} on {target} is left to the group {' or '.join(needed)}."
