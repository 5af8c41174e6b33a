"""What the forms of rules have in common: a field that a form leaves out stays as it is."""

from __future__ import annotations

from typing import Any

from django.forms import ModelForm


def meant(form: ModelForm[Any], name: str, value: Any) -> Any:
    """Return *value* of a field, or what an empty one stands for."""
    field: Any = form.instance._meta.get_field(name)
    given = name in form.data
    if value not in (None, "") or name == "enabled" or (field.null and given):
        return value
    if given and field.get_internal_type() == "CharField" and not field.choices:
        return value
    return field.get_default() if given or form.instance.pk is None else getattr(form.instance, name)
