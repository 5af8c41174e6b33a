"""What people type in about webhooks that carry acts out."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.hooks.models import Webhook
from subsystems.s3_control.hooks.services import MAX_SECRET
from vsm_site.dashboard.forms import RefusableMixin

_secret = forms.PasswordInput(attrs={"autocomplete": "new-password"})


class WebhookForm(RefusableMixin, forms.Form):
    """All that can be changed of a webhook. Its secret is never sent back."""

    name = forms.CharField(label=_("Name"), max_length=60)
    url = forms.CharField(max_length=2000, label=_("Address"), help_text=_("Gets a POST for each act"))
    undo_url = forms.CharField(max_length=2000, required=False, label=_("Address that undoes it"))
    secret = forms.CharField(
        max_length=MAX_SECRET, required=False, label=_("Signing secret"), widget=_secret,
        help_text=_("Empty: as it is"),
    )  # fmt: skip
    enabled = forms.BooleanField(required=False, initial=True, label=_("Switched on"))

    def __init__(self, data: Any = None, *, webhook: Webhook | None = None) -> None:
        names = ("name", "url", "undo_url", "enabled")
        initial = {name: getattr(webhook, name) for name in names} if webhook is not None else None
        super().__init__(data, initial=initial)


class NewWebhookForm(WebhookForm):
    """A webhook that is not there yet."""

    fleet = forms.ModelChoiceField(queryset=Fleet.objects.none(), label=_("Fleet"), empty_label=None)
    field_order = ["fleet"]

    def __init__(self, fleets: QuerySet[Fleet], data: Any = None) -> None:
        super().__init__(data)
        self.fields["secret"].help_text = gettext("Empty: its requests are not signed")
        field = self.fields["fleet"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = fleets


class CallForm(RefusableMixin, forms.Form):
    """What a webhook is told."""

    payload = forms.CharField(
        label=_("Payload"),
        required=False, max_length=20_000, initial="{}", help_text=_("A JSON object"),
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "class": "code"}),
    )  # fmt: skip
    reason = forms.CharField(required=False, max_length=500, label=_("Why"))

    def clean_payload(self) -> Any:
        """Return the object that was typed."""
        try:
            found = json.loads(self.cleaned_data["payload"] or "{}")
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(gettext("This is no JSON: {error}.").format(error=error)) from None
        if not isinstance(found, dict):
            raise forms.ValidationError(gettext("It must be an object: {…}."))
        return found
