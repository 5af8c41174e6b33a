"""What people type in about launchers."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.kernel.errors import Refused
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.launching.models import Launcher
from subsystems.s3_control.launching.services import MAX_WORKERS
from vsm_site.dashboard.forms import RefusableMixin

EXAMPLES: dict[str, dict[str, Any]] = {
    "subprocess": {"argv": ["/srv/shop/bin/celery", "-A", "shop", "worker", "-n", "{node}"], "directory": "/srv/shop",
                   "credentials": {"BROKER_URL": "env:SHOP_BROKER"}},
    "systemd": {"unit": "shop-worker@.service"},
    "docker": {"template": "shop-worker-1"},
    "kubernetes": {"workload": "deployment", "namespace": "shop", "name": "worker"},
}  # fmt: skip
_code = {"rows": 8, "spellcheck": "false", "class": "code"}


class LauncherForm(RefusableMixin, forms.Form):
    """All that can be changed of a launcher."""

    enabled = forms.BooleanField(required=False, initial=True, label=_("Switched on"))
    queues = forms.CharField(
        label=_("Queues"), required=False, max_length=4000, help_text=_("Which its workers read, with commas between")
    )
    slots = forms.IntegerField(min_value=1, max_value=1000, initial=1, label=_("Tasks at a time of one worker"))
    least = forms.IntegerField(min_value=0, max_value=MAX_WORKERS, initial=0, label=_("Fewest workers"))
    most = forms.IntegerField(min_value=1, max_value=MAX_WORKERS, initial=4, label=_("Most workers"))
    start_seconds = forms.IntegerField(min_value=1, max_value=3600, initial=60, label=_("Time to come up (s)"))
    config = forms.CharField(
        max_length=20_000, widget=forms.Textarea(attrs=_code), label=_("How"),
        help_text=(
            _("JSON. Secrets are named, never told: env:NAME is VSM_CREDENTIAL_NAME, file:NAME a file of"
            " VSM_CREDENTIALS_DIR.")
        ),
    )  # fmt: skip

    def __init__(self, data: Any = None, *, launcher: Launcher | None = None) -> None:
        initial = None
        if launcher is not None:
            names = ("enabled", "slots", "least", "most", "start_seconds")
            initial = {name: getattr(launcher, name) for name in names}
            initial |= {"queues": ", ".join(launcher.queues), "config": json.dumps(launcher.config, indent=2)}
        super().__init__(data, initial=initial)

    def clean_queues(self) -> list[str]:
        """Return the names that were typed."""
        return [name.strip() for name in self.cleaned_data["queues"].split(",") if name.strip()]

    def clean_config(self) -> Any:
        """Return the JSON that was typed."""
        try:
            return json.loads(self.cleaned_data["config"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(gettext("This is no JSON: {error}.").format(error=error)) from None

    def take(self, error: Refused) -> None:
        """Show *error* at the field it names; what is within the configuration, there."""
        field = "config" if error.field.startswith("config") else error.field
        self.add_error(field if field in self.fields else None, error.detail)


class NewLauncherForm(LauncherForm):
    """A launcher that is not there yet."""

    fleet = forms.ModelChoiceField(queryset=Fleet.objects.none(), label=_("Fleet"), empty_label=None)
    name = forms.CharField(
        label=_("Name"),
        max_length=40,
        help_text=_("Small letters, digits and hyphens: it becomes part of its workers' names"),
    )
    kind = forms.ChoiceField(label=_("Kind"))
    field_order = ["fleet", "name", "kind"]

    def __init__(self, fleets: QuerySet[Fleet], data: Any = None) -> None:
        super().__init__(data)
        field, kind = self.fields["fleet"], self.fields["kind"]
        assert isinstance(field, forms.ModelChoiceField)
        assert isinstance(kind, forms.ChoiceField)
        field.queryset = fleets
        kind.choices = [(value, label) for value, label in Launcher.Kind.choices if value in settings.LAUNCHERS]


class LaunchForm(RefusableMixin, forms.Form):
    """How many workers to start or to stop."""

    workers = forms.IntegerField(min_value=1, max_value=MAX_WORKERS, initial=1, label=_("Workers"))
    reason = forms.CharField(
        required=False, max_length=500, label=_("Why"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
