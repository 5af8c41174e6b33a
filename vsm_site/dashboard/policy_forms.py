"""Policy as people type it in: the fields that its kind consists of, why it is changed, and from when on it holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from subsystems.recursion.models import System
from subsystems.s5_policy import queries
from subsystems.s5_policy.identity import JUDGEMENTS
from subsystems.s5_policy.models import Decision
from subsystems.s5_policy.term import Term
from subsystems.s5_policy.terms import Kind, Terms
from vsm_site.dashboard.forms import RefusableMixin
from vsm_site.dashboard.moments import Moment

JUDGED = [("", "Nobody judged"), ("serves", "Serves them"), ("partly", "Serves them partly"), ("against", "Is against")]
ABOUT = ("values", "judgement", "reason", "effective_at", "expected")


class PolicyForm(RefusableMixin, forms.Form):
    """One policy."""

    def __init__(
        self, terms: Terms, system: System, body: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        said = body or {"fields": terms.defaults, "values": [], "judgement": None, "newest_version": 0}
        judged = next((name for name, share in JUDGEMENTS.items() if share == said["judgement"]), "")
        about = {"values": said["values"], "judgement": judged, "expected": said["newest_version"]}
        super().__init__(data, initial={**said["fields"], **about})
        self.terms = terms
        for term in terms.terms:
            self.fields[term.name] = field_of(term)
        declared = queries.said_of(system, Kind.VALUE)
        if declared and terms.kind is not Kind.VALUE:
            self.fields["values"] = forms.MultipleChoiceField(
                required=False, label=gettext("Serves these values"), widget=forms.CheckboxSelectMultiple,
                choices=[(name, each["title"]) for name, each in declared.items() if each["active"]],
            )  # fmt: skip
            self.fields["judgement"] = forms.ChoiceField(required=False, label=gettext("How well"), choices=JUDGED)
        self.fields["reason"] = forms.CharField(
            max_length=500, label=gettext("Why"), widget=forms.Textarea(attrs={"rows": 2})
        )
        self.fields["effective_at"] = Moment(
            required=False, label=gettext("Holds from"), help_text=gettext("Empty: at once")
        )
        self.fields["expected"] = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def given(self) -> dict[str, Any]:
        """Return the fields of the policy."""
        return {
            term.name: _meant(term, self.cleaned_data[term.name])
            for term in self.terms.terms
            if term.name in self.cleaned_data
        }

    def about(self) -> dict[str, Any]:
        """Return what is said of the change."""
        found = self.cleaned_data
        return {
            "values": found.get("values"), "judgement": JUDGEMENTS[found.get("judgement", "")],
            "reason": found["reason"], "effective_at": found.get("effective_at"), "expected": found.get("expected"),
        }  # fmt: skip


def field_of(term: Term) -> forms.Field:
    """Return the field in which a term is typed."""
    common: dict[str, Any] = {"label": gettext(term.label), "help_text": gettext(term.help), "required": term.required}
    if term.kind == "flag":
        return forms.BooleanField(**common)
    if term.kind == "choice":
        return forms.ChoiceField(choices=[(each, each) for each in term.choices], **common)
    if term.kind == "text":
        widget = forms.Textarea(attrs={"rows": 3}) if term.most > 500 else forms.TextInput()
        return forms.CharField(max_length=term.most, widget=widget, **common)
    if term.kind == "plan":
        return forms.JSONField(widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}), **common)
    if term.kind == "date":
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        return forms.DateField(widget=widget, **common)
    common["required"] = True
    if term.kind == "whole":
        return forms.IntegerField(min_value=int(term.low), max_value=int(term.high), **common)
    number = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
    return forms.FloatField(min_value=term.low, max_value=term.high, widget=number, **common)


def _meant(term: Term, value: Any) -> Any:
    if term.kind == "date":
        return value.isoformat() if value else ""
    return value or [] if term.kind == "plan" else value


class GoalValueForm(RefusableMixin, forms.Form):
    """Where a goal stands, as a person says."""

    value = forms.FloatField(label=_("It stands at"), widget=forms.NumberInput(attrs={"step": "any"}))
    note = forms.CharField(max_length=500, required=False, label=_("Note"))


class AskForm(RefusableMixin, forms.Form):
    """Something that is to be decided."""

    title = forms.CharField(max_length=200, label=_("What is to be decided"))
    question = forms.CharField(
        label=_("Question"), max_length=10_000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    due_at = Moment(label=_("Until"))
    approver = forms.CharField(
        max_length=150, required=False, label=_("By whom"), help_text=_("Empty: whoever may operate")
    )
    criterion = forms.CharField(
        max_length=500, required=False, label=_("Judged by"), help_text=_("What must be true for it to have been right")
    )
    review_by = Moment(required=False, label=_("Reviewed until"))

    def __init__(self, system: System, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id="ask-%s")
        declared = queries.said_of(system, Kind.VALUE)
        if declared:
            self.fields["values"] = forms.MultipleChoiceField(
                required=False, label=gettext("Serves these values"), widget=forms.CheckboxSelectMultiple,
                choices=[(name, each["title"]) for name, each in declared.items() if each["active"]],
            )  # fmt: skip


class DecideForm(RefusableMixin, forms.Form):
    """What was decided."""

    answer = forms.CharField(max_length=10_000, label=_("Decided"), widget=forms.Textarea(attrs={"rows": 3}))
    criterion = forms.CharField(
        max_length=500, required=False, label=_("Judged by"), help_text=_("What must be true for it to have been right")
    )
    review_by = Moment(required=False, label=_("Reviewed until"))

    def __init__(self, decision: Decision, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, initial={"criterion": decision.criterion, "review_by": decision.review_by})

    def given(self) -> dict[str, Any]:
        """Return what was decided; a moment that has passed is the one that was set before."""
        found: dict[str, Any] = dict(self.cleaned_data)
        if found["review_by"] and found["review_by"] <= datetime.now(UTC):
            found["review_by"] = None
        return found


class ReviewForm(RefusableMixin, forms.Form):
    """What came of a decision."""

    outcome = forms.ChoiceField(choices=Decision.Outcome.choices, label=_("The outcome"))
    note = forms.CharField(max_length=500, required=False, label=_("Note"))
    criterion = forms.CharField(
        max_length=500, label=_("Judged by"), help_text=_("What must be true for it to have been right")
    )
    judgement = forms.ChoiceField(choices=JUDGED, required=False, label=_("How well it serves its values"))

    def __init__(self, decision: Decision, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        if decision.criterion:
            del self.fields["criterion"]
        if not decision.values:
            del self.fields["judgement"]

    def given(self) -> dict[str, Any]:
        """Return what was said."""
        found: dict[str, Any] = dict(self.cleaned_data)
        return {**found, "judgement": JUDGEMENTS[found.get("judgement", "")]}
