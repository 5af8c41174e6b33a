"""Rules in and out as files: Prometheus' own, this platform's YAML or JSON, and the sets to begin with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from django.contrib.auth.models import User
from django.db import transaction

from alerts import services
from alerts.models import AlertRule
from alerts.prometheus_rules import translated
from alerts.starters import PACKS
from subsystems.kernel.documents import Imported, Lines, entries_of, line_of, lines_of, read_document
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.recursion.models import System
from subsystems.s1_operations.models import Unit

MAX_RULES = 1_000
EXPORTED = tuple(name for name in services.EDITABLE if name not in ("owner", "unit"))


def import_rules(system: System, by: User | None, text: str, *, dry_run: bool = False, whole: bool = False) -> Imported:
    """Add the rules of a file, of Prometheus or as exported from here. Each is added whole or refused with the reason.

    With *whole* the file is kept as a whole or not at all, and a rule whose name is taken is changed to what the file
    says. With *dry_run* nothing is kept. Raises Invalid (field `text`) where it is no such file.
    """
    document = read_document(text, "A file of rules has `groups` (Prometheus) or `rules`.")
    lines: Lines = {}
    if "rules" in document and "groups" not in document:
        given, refused = entries_of(document, "rules", MAX_RULES), []
        lines = lines_of(text, "rules")
    else:
        try:
            found = translated(document)
        except ValueError as error:
            raise Invalid(str(error), field="text") from None
        given, refused = found.rules, found.refused
    if len(given) > MAX_RULES:
        raise Invalid(f"At most {MAX_RULES} rules at once.", field="text")
    return _import(system, by, given, Imported(refused=refused), lines, dry_run=dry_run, whole=whole)


def install(system: System, by: User | None, name: str) -> Imported:
    """Add a set of rules to begin with; those whose names are taken stay as they are. Raises NotListed."""
    pack = PACKS.get(name)
    if pack is None:
        raise NotListed(f"The sets are {', '.join(PACKS)}.", field="name")
    return _import(system, by, pack.rules, Imported(), {}, dry_run=False, whole=False)


def export_rules(system: System) -> str:
    """Return the rules of *system* as YAML that `import_rules` reads."""
    rules = AlertRule.objects.filter(system=system).select_related("unit").order_by("name")
    return yaml.safe_dump({"rules": [_exported(rule) for rule in rules]}, sort_keys=False, allow_unicode=True)


def _exported(rule: AlertRule) -> dict[str, Any]:
    """Return what differs from a rule with nothing but a name."""
    plain = AlertRule()
    fields = {name: getattr(rule, name) for name in EXPORTED}
    told = {
        name: value
        for name, value in fields.items()
        if name in ("name", "threshold") or value != getattr(plain, name)
    }  # fmt: skip
    return told | ({"unit": rule.unit.name} if rule.unit else {})


def _import(
    system: System, by: User | None, given: Iterable[dict[str, Any]], found: Imported, lines: Lines, *, dry_run: bool,
    whole: bool,
) -> Imported:  # fmt: skip
    taken = {rule.name: rule for rule in AlertRule.objects.filter(system=system)} if whole else {}
    with transaction.atomic():
        for number, fields in enumerate(given):
            name = str(fields.get("name", "without a name"))
            try:
                with transaction.atomic():
                    _take(system, by, _with_unit(system, fields), taken.get(name), found)
            except (Invalid, TypeError, ValueError) as error:
                at = error.field if isinstance(error, Invalid) else ""
                told = {"name": name[:120], "reason": f"{at}: {error}"[:300] if at else str(error)[:300]}
                line = line_of(lines, number, at)
                found.refused.append({**told, "line": line} if line else told)
        found.kept = not dry_run and not (whole and found.refused)
        if not found.kept:
            transaction.set_rollback(True)
    return found


def _take(system: System, by: User | None, fields: dict[str, Any], known: AlertRule | None, found: Imported) -> None:
    """Add a rule, or change the *known* one of its name to what the file says: what it leaves out is as by default."""
    if known is None:
        found.added.append(services.create_rule(system, by, **fields).name)
        return
    plain = AlertRule()
    wanted = {name: getattr(plain, name) for name in EXPORTED if name != "threshold"} | {"unit": None} | fields
    before = {name: getattr(known, name) for name in wanted if name in services.EDITABLE}
    services.update_rule(known, by, **wanted)
    changed = {name: [_told(was), _told(getattr(known, name))] for name, was in before.items()}
    changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
    if changed:
        found.changed[known.name] = changed
    else:
        found.unchanged.append(known.name)


def _told(value: Any) -> Any:
    return str(value) if isinstance(value, Unit) else value


def _with_unit(system: System, fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* with the unit that they name."""
    if "unit" not in fields:
        return dict(fields)
    unit = system.units.filter(name=str(fields["unit"])).first()
    if unit is None:
        raise Invalid(f"There is no unit {str(fields['unit'])!r:.80}.", field="unit")
    return {**fields, "unit": unit}
