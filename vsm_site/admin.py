"""Where metrics are exported to: entered by the installation's administrators, its secrets never shown again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.models import ExportTarget
from vsm_site.exporters.services import check_target

HELP = "One to a line, such as Authorization: Bearer … They are encrypted and never shown again; empty: they stay."


class ExportTargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A target with its headers, which can be given and taken away, but not read."""

    headers = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text=HELP, max_length=5_000
    )
    no_headers = forms.BooleanField(required=False, label="Forget the headers")

    class Meta:
        model = ExportTarget
        fields = ["name", "kind", "address", "system", "period_seconds", "prefixes", "enabled"]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if self.errors:
            return found
        for field in set(found) - {"headers", "no_headers"}:
            setattr(self.instance, field, found[field])
        text = "" if found.get("no_headers") else found.get("headers") or None
        try:
            check_target(self.instance, text)
        except Invalid as error:
            self.add_error(error.field if error.field in self.fields else None, error.detail)
        return found


@admin.register(ExportTarget)
class ExportTargetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ExportTargetForm
    list_display = ["name", "kind", "address", "enabled", "sent_at", "last_error", "sent_samples", "dropped_samples"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name", "address"]
    readonly_fields = [
        "header_names",
        "sent_at",
        "last_error",
        "failures",
        "retry_at",
        "sent_samples",
        "dropped_samples",
    ]
