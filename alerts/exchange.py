"""Rules in and out as files: Prometheus' own, this platform's YAML, and the sets to begin with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.contrib.auth.models import User
from django.db import transaction

from alerts import services
from alerts.models import AlertRule
from alerts.prometheus_rules import translated
from alerts.starters import PACKS
from subsystems.kernel.errors import Invalid, NotListed
from subsystems.recursion.models import System

MAX_CHARACTERS = 500_000
MAX_RULES = 1_000
EXPORTED = tuple(name for name in services.EDITABLE if name not in ("owner", "unit"))


@dataclass
class Imported:
    """What became of each rule of a file."""

    added: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


def import_rules(system: System, by: User | None, text: str, *, dry_run: bool = False) -> Imported:
    """Add the rules of a file, of Prometheus or as exported from here. Each is added whole or refused with the reason.

    Raises Invalid (field `text`) where it is no such file. With *dry_run* nothing is kept.
    """
    document = _read(text)
    if "rules" in document and "groups" not in document:
        given, refused = _own(document), []
    else:
        try:
            found = translated(document)
        except ValueError as error:
            raise Invalid(str(error), field="text") from None
        given, refused = found.rules, found.refused
    if len(given) > MAX_RULES:
        raise Invalid(f"At most {MAX_RULES} rules at once.", field="text")
    return _add(system, by, given, Imported(refused=refused), dry_run=dry_run)


def install(system: System, by: User | None, name: str) -> Imported:
    """Add a set of rules to begin with; those whose names are taken stay as they are. Raises NotListed."""
    pack = PACKS.get(name)
    if pack is None:
        raise NotListed(f"The sets are {', '.join(PACKS)}.", field="name")
    return _add(system, by, pack.rules, Imported(), dry_run=False)


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


def _read(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise Invalid(f"At most {MAX_CHARACTERS:,} characters.", field="text")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise Invalid("Aliases are not read: a few of them can fill the memory.", field="text")
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid(f"This is no YAML: {str(error)[:200]}", field="text") from None
    if not isinstance(document, dict):
        raise Invalid("A file of rules has `groups` (Prometheus) or `rules`.", field="text")
    return document


def _own(document: dict[str, Any]) -> list[dict[str, Any]]:
    rules = document["rules"]
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise Invalid("`rules` is a list of mappings.", field="text")
    return rules


def _add(
    system: System, by: User | None, given: Iterable[dict[str, Any]], found: Imported, *, dry_run: bool
) -> Imported:
    with transaction.atomic():
        for fields in given:
            name = str(fields.get("name", "without a name"))
            try:
                with transaction.atomic():
                    services.create_rule(system, by, **_with_unit(system, fields))
            except (Invalid, TypeError, ValueError) as error:
                where = f"{error.field}: " if isinstance(error, Invalid) and error.field else ""
                found.refused.append({"name": name[:120], "reason": f"{where}{error}"[:300]})
            else:
                found.added.append(name)
        if dry_run:
            transaction.set_rollback(True)
    return found


def _with_unit(system: System, fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* with the unit that they name."""
    if "unit" not in fields:
        return dict(fields)
    unit = system.units.filter(name=str(fields["unit"])).first()
    if unit is None:
        raise Invalid(f"There is no unit {str(fields['unit'])!r:.80}.", field="unit")
    return {**fields, "unit": unit}
