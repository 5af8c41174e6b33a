"""A unit chosen by its name: of ten thousand, a list to choose from would be the page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.s1_operations.models import Unit

SUGGESTED = 8
LONGEST = 250
LARGEST_ID = 18  # digits


def unit_text(unit: Unit, *, alone: bool = True) -> str:
    """Return what *unit* is called; with its type where it is not *alone* to have its name."""
    return unit.name if alone else f"{unit.name} ({unit.kind})"


class UnitField(forms.CharField):
    """A name out of *units*, as `name` or `name (type)`, or an id; empty for every unit.

    Its script suggests units while one types (`js/unit_field.js`); without it, a wrong name is answered with like ones.
    """

    def __init__(self, units: QuerySet[Unit], **kwargs: Any) -> None:
        kwargs.setdefault("help_text", _("A part of its name finds it; empty for every unit"))
        attrs = {
            "list": "units-found", "data-units": "", "autocomplete": "off", "spellcheck": "false",
            "placeholder": _("Every unit"),
        }  # fmt: skip
        super().__init__(required=False, max_length=LONGEST, widget=forms.TextInput(attrs=attrs), **kwargs)
        self.units = units

    def prepare_value(self, value: Any) -> Any:
        """Return the name of the unit that an id stands for, any other text as it is."""
        unit = self.found(value)
        return value if unit is None else unit_text(unit, alone=not self._twins(unit))

    def found(self, value: Any) -> Unit | None:
        """Return the one unit that *value* (a unit, an id, a name with or without type) means, if there is one."""
        if isinstance(value, Unit) or value in (None, ""):
            return value or None
        text = str(value).replace("\0", "").strip()
        named = list(self.units.filter(name=text)[:2])
        if len(named) == 1:
            return named[0]
        name, bracket, kind = text.removesuffix(")").rpartition(" (")
        if bracket and (unit := self.units.filter(name=name, kind=kind).first()):
            return unit
        is_id = not named and text.isascii() and text.isdigit() and len(text) <= LARGEST_ID
        return self.units.filter(pk=int(text)).first() if is_id else None

    def clean(self, value: Any) -> Unit | None:
        text = super().clean(value)
        if not text:
            return None
        unit = self.found(text)
        if unit is None:
            raise ValidationError(self._missing(text))
        return unit

    def _twins(self, unit: Unit) -> bool:
        return self.units.filter(name=unit.name).exclude(pk=unit.pk).exists()

    def _missing(self, text: str) -> str:
        like = self.units.filter(name__icontains=text).order_by("name", "kind")[:SUGGESTED]
        named = ", ".join(unit_text(unit, alone=False) for unit in like)
        if named:
            return gettext("Which one is meant? Write one of: %(units)s") % {"units": named}
        return gettext("No unit here is called so.")
