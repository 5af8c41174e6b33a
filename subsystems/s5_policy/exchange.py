"""Policy in and out as a file: all or nothing, each change a version of its own, tried before it is kept."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from subsystems.kernel.documents import Imported, entries_of, line_of, lines_of, read_document
from subsystems.kernel.errors import Invalid, Refused
from subsystems.recursion.models import System
from subsystems.s5_policy import queries
from subsystems.s5_policy.amending import MOST, amend
from subsystems.s5_policy.models import Policy
from subsystems.s5_policy.terms import Kind, terms_of

MAX_POLICIES, MAX_NAME = 500, 80
PARTS = {"kind", "name", "fields", "values", "judgement"}


def export_policies(system: System) -> str:
    """Return what S5 has said of *system*, the newest version of each, as YAML that `import_policies` reads."""
    import yaml  # only where somebody wants a file

    rows = queries.policies().filter(system=system).order_by("kind", "name")
    told = [_told(policy) for policy in rows if policy.versions.all()]
    return str(yaml.safe_dump({"policies": told}, sort_keys=False, allow_unicode=True))


def import_policies(system: System, by: User | None, text: str, *, reason: str, dry_run: bool = False) -> Imported:
    """Let policy of *system* say what a file says: all of it or nothing. What the file does not name stays as it is.

    With *dry_run* nothing is kept. Raises Invalid (field `text`) where it is no such file, and naming `reason`.
    """
    document = read_document(text, "A file of policy has `policies`.")
    if "policies" not in document:
        raise Invalid("A file of policy has `policies`.", field="text")
    if not reason.strip():
        raise Invalid("Say why.", field="reason", code="required")
    given = entries_of(document, "policies", MAX_POLICIES)
    lines, found = lines_of(text, "policies"), Imported()
    # Values first: what else is declared may say that it serves them.
    order = sorted(range(len(given)), key=lambda number: given[number].get("kind") != Kind.VALUE)
    with transaction.atomic():
        for number in order:
            entry = given[number]
            name = f"{entry.get('kind', '')} {entry.get('name', '')}".strip()[:120] or "without a kind"
            try:
                with transaction.atomic():
                    _take(system, by, entry, reason, name, found)
            except (Refused, TypeError, ValueError) as error:
                at = error.field if isinstance(error, Refused) else ""
                told = {"name": name, "reason": f"{at}: {error}"[:300] if at else str(error)[:300]}
                line = line_of(lines, number, at)
                found.refused.append({**told, "line": line} if line else told)
        found.kept = not dry_run and not found.refused
        if not found.kept:
            transaction.set_rollback(True)
    return found


def _take(system: System, by: User | None, entry: dict[str, Any], reason: str, name: str, found: Imported) -> None:
    unknown = sorted(set(map(str, entry)) - PARTS)
    if unknown:
        raise Invalid(f"An entry has {', '.join(sorted(PARTS))}, not {unknown[0]!r:.60}.", field=unknown[0][:60])
    kind, own, fields = str(entry.get("kind", "")), str(entry.get("name", "")), entry.get("fields", {})
    _check(own, fields, entry)
    known = Policy.objects.filter(system=system, kind=kind, name=own).first()
    before = known.versions.first() if known else None
    if known is None:
        _refuse_too_many(system, kind)
    version = amend(
        system, kind, fields, by=by, reason=reason, name=own, values=entry.get("values"),
        judgement=entry.get("judgement", before.judgement if before else None),
    )  # fmt: skip
    if before is None:
        found.added.append(name)
    elif version.pk == before.pk:
        found.unchanged.append(name)
    else:
        found.changed[name] = dict(version.changed)


def _check(name: str, fields: Any, entry: dict[str, Any]) -> None:
    if len(name) > MAX_NAME or not name.isprintable():
        raise Invalid(f"At most {MAX_NAME} printable characters.", field="name")
    if not isinstance(fields, dict):
        raise Invalid("A mapping of the fields of its kind.", field="fields")
    if not isinstance(entry.get("values", []), list):
        raise Invalid("A list of the names of declared values.", field="values")
    judged = entry.get("judgement")
    if judged is not None and (isinstance(judged, bool) or not isinstance(judged, int | float) or not 0 <= judged <= 1):
        raise Invalid("From 0 to 1.", field="judgement")


def _refuse_too_many(system: System, kind: str) -> None:
    most = MOST.get(terms_of(kind).kind)
    if most is not None and Policy.objects.filter(system=system, kind=kind).count() >= most:
        raise Refused(f"A system has {most} of these at most.", field="kind", code="too_many")


def _told(policy: Policy) -> dict[str, Any]:
    newest = policy.versions.all()[0]
    told: dict[str, Any] = {"kind": policy.kind}
    if policy.name:
        told["name"] = policy.name
    told["fields"] = newest.fields
    if newest.values:
        told["values"] = newest.values
    return told if newest.judgement is None else {**told, "judgement": newest.judgement}
