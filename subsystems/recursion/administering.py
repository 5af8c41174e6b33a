"""What every list and form of the admin has in common, whatever room it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import cached_property, partial
from typing import Any, ClassVar, Protocol, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db import models, transaction
from django.db.models import QuerySet
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.text import capfirst

from subsystems.kernel.documents import MAX_CHARACTERS, Imported
from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System

MOST_COUNTED = 10_000  # rows: nobody leafs further, and counting a million takes longer than showing fifty
MOST_EXPLAINED = 5
MOST_OFFERED = 100
WORDS = ("state", "status", "severity", "health", "outcome", "level", "verdict")  # columns shown with a shape
SHAPES: Mapping[str, str] = {
    **dict.fromkeys(
        ("healthy", "normal", "up", "active", "success", "succeeded", "done", "sent", "delivered", "applied",
         "verified", "met", "fixed", "sealed", "finished", "seen", "true"),
        "healthy",
    ),
    **dict.fromkeys(
        ("unhealthy", "down", "firing", "critical", "failed", "failure", "dead", "lost", "not_met", "silent", "error",
         "act", "missed", "received"),
        "unhealthy",
    ),
    **dict.fromkeys(
        ("degraded", "late", "pending", "warning", "high", "retrying", "retry", "open", "waiting", "proposed", "warn",
         "investigating", "responding"),
        "degraded",
    ),
    **dict.fromkeys(("medium", "info", "low", "approved", "running", "started", "watch"), "severity-info"),
}  # fmt: skip


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages through the first rows only; what lies behind them is found by a filter or a search."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by()[:MOST_COUNTED].count() if isinstance(rows, QuerySet) else len(rows)


class HouseSite(Protocol):
    """What a list asks of the site that it is part of, which alone knows the dashboard and the event log."""

    def has_live_page(self, model: type[models.Model]) -> bool: ...
    def live_address(self, obj: models.Model) -> str | None: ...
    def live_list(self, model: type[models.Model]) -> str: ...
    def tell(self, by: User, what: str, obj: models.Model, message: Any) -> None: ...


class HouseAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list that says what it shows, opens at once however long it is, and leads to the live page of each row.

    Related rows are links, states have a shape beside their word, and what is shown is fetched in one query.
    """

    about: ClassVar[str] = ""  # a sentence for whoever opens the list; else the model's own
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    save_on_top = False

    # --- The list ---
    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = [self._column(name, first=not at) for at, name in enumerate(super().get_list_display(request))]
        return [*shown, "live_page"] if self._has_live_page else shown

    def get_list_select_related(self, request: HttpRequest) -> Any:
        wanted = super().get_list_select_related(request)
        related = [*wanted] if not isinstance(wanted, bool) else []
        related += [name for name in self.list_display if isinstance(name, str) and _is_relation(self.model, name)]
        if _is_relation(self.model, "system") and self._has_live_page:
            related.append("system")  # the page of a row is asked for within its system
        return list(dict.fromkeys(related)) or wanted

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        """Sort by what the database keeps in order: sorting a million rows of history holds up everybody else."""
        given = super().get_sortable_by(request)
        if self.has_change_permission(request):
            return list(given)
        names = [(each, str(getattr(each, "admin_order_field", each))) for each in given]
        return [each for each, name in names if is_indexed(self.model, name)]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**self.told_of_list(), **(extra_context or {})})

    def told_of_list(self) -> dict[str, Any]:
        """Return what the head of the list says."""
        return {
            "about": self.about or sentence_of(self.model), "live_list": self._site.live_list(self.model),
            "most_counted": MOST_COUNTED,
        }  # fmt: skip

    @admin.display(description="Live page")
    def live_page(self, obj: Any) -> str:
        """Link to the row on the dashboard."""
        address = self.view_on_site(obj)
        return format_html('<a href="{}" aria-label="{} on the dashboard">Open</a>', address, obj) if address else ""

    def _column(self, name: Any, *, first: bool) -> Any:
        if not isinstance(name, str):
            return name
        columns = self.__dict__.setdefault("columns", {})  # the same one each time: a list finds its columns by them
        if name not in columns:
            columns[name] = self._made(name, first)
        return columns[name]

    def _made(self, name: str, first: bool) -> Any:
        if _is_relation(self.model, name):
            return name if first else _linked(self.admin_site, self.model, name)
        return _shaped(self.model, name) if name in WORDS else name

    # --- The live page ---
    def view_on_site(self, obj: Any) -> str | None:
        """Return where the dashboard shows *obj*; None where it shows no such thing."""
        return self._site.live_address(obj)

    @property
    def _site(self) -> HouseSite:
        return cast("HouseSite", self.admin_site)

    @property
    def _has_live_page(self) -> bool:
        return self._site.has_live_page(self.model)

    # --- What people do ---
    def each(
        self, request: HttpRequest, rows: Iterable[Any], verb: Callable[[Any, User], object], said: str
    ) -> list[Any]:
        """Do *verb* to each of *rows* by whoever asks; say how many took it and why the others did not.

        *said* goes behind their number and name, such as "acknowledged". Returns the rows that took it.
        """
        by = person(request)
        done, refused = [], []
        for row in rows:
            key = row.pk
            try:
                taken = verb(row, by)
            except Refused as error:
                refused.append((row, error.detail))
                continue
            if taken is False:
                refused.append((row, "This was done before."))
                continue
            row.pk = key  # which a row that was deleted has lost
            done.append(row)
            self.log_change(request, row, f"{capfirst(said)}.")
        if done:
            self.message_user(request, f"{self.counted(len(done))} {said}.", messages.SUCCESS)
        for row, why in refused[:MOST_EXPLAINED]:
            self.message_user(request, f"{row}: {why}", messages.WARNING)
        if len(refused) > MOST_EXPLAINED:
            self.message_user(request, f"So with {len(refused) - MOST_EXPLAINED} more.", messages.WARNING)
        if not done and not refused:
            self.message_user(request, "None of the chosen rows can take that.", messages.WARNING)
        return done

    def counted(self, number: int) -> str:
        """Return a number of rows with their name."""
        names = self.opts.verbose_name if number == 1 else self.opts.verbose_name_plural
        return f"{number} {names}"

    def confirmed(
        self, request: HttpRequest, queryset: QuerySet[Any], *, title: str, consequence: str
    ) -> HttpResponse | None:
        """Return the page that asks first; None once whoever asks has said yes."""
        if request.POST.get("confirmed"):
            return None
        context = {
            **self.admin_site.each_context(request), "title": title, "consequence": consequence, "opts": self.opts,
            "rows": queryset[: MOST_EXPLAINED * 4], "chosen": request.POST.getlist("_selected_action"),
            "more": max(0, queryset.count() - MOST_EXPLAINED * 4), "action": request.POST.get("action", ""),
            "select_across": request.POST.get("select_across", ""), "media": self.media,
        }  # fmt: skip
        return TemplateResponse(request, "admin/confirm.html", context)

    # --- What is remembered ---
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._tell(request, "added", obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._tell(request, "changed", obj, message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self._tell(request, "deleted", obj, "")
        return super().log_deletions(request, queryset)

    def _tell(self, request: HttpRequest, what: str, obj: Any, message: Any) -> None:
        self._site.tell(person(request), what, obj, message)


class HistoryAdmin(HouseAdmin):
    """Rows that the platform writes and people only read, a superuser too: history that can be edited is none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may_change(self, request: HttpRequest) -> bool:
        """Return whether whoever asks was given the right to change such rows: by actions, never by hand."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.may_change(request)


def among(name: str, *words: str) -> type[admin.SimpleListFilter]:
    """Return a filter of a field by *words*: looking for those that are used would read the whole table."""

    class Among(admin.SimpleListFilter):
        title = parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
            return [(str(word), str(word)) for word in words]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{name: self.value()}) if self.value() else queryset

    return Among


class ServiceAdmin(HouseAdmin):
    """Rows that people edit by the verb that the pages and the API use: validated, versioned and recorded as there.

    The form tries the verb in a transaction that is rolled back, so that each mistake stands beside its field.
    """

    owner = "system"  # whose row it is: chosen once

    def keep(self, row: Any, by: User, fields: Mapping[str, Any]) -> Any:
        """Save *row* with *fields* and return it as it was saved. Raises Refused naming the field."""
        raise NotImplementedError

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        trying = staticmethod(partial(self._tried, by=person(request)))
        return type(form.__name__, (_TriedForm, form), {"trying": trying})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *([self.owner] if obj else [])]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        fields = {name: value for name, value in form.cleaned_data.items() if name != self.owner}
        kept = self.keep(obj, person(request), fields)
        if kept is not None and kept is not obj:
            obj.pk, obj._state.adding = kept.pk, False

    def _tried(self, row: Any, fields: Mapping[str, Any], by: User) -> None:
        with transaction.atomic():
            self.keep(row, by, {name: value for name, value in fields.items() if name != self.owner})
            transaction.set_rollback(True)


class _TriedForm:
    """Tries what it was given once its fields are in order."""

    trying: Callable[..., None]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        form: Any = self
        if form.errors:
            return
        try:
            form.trying(copy(form.instance), dict(form.cleaned_data))
        except Refused as error:
            refused_at(form, error)


class ExchangeForm(forms.Form):
    """A file of rows, and the system that they are for."""

    system = forms.ModelChoiceField(System.objects.all(), help_text="Whose rows they become.")
    text = forms.CharField(
        required=False, max_length=MAX_CHARACTERS, strip=False, label="Text",
        widget=forms.Textarea(attrs={"class": "file", "spellcheck": "false"}), help_text="YAML or JSON, as exported.",
    )  # fmt: skip
    file = forms.FileField(required=False, help_text="Instead of a text.")
    reason = forms.CharField(max_length=500, label="Why", help_text="Kept with each change.")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        sent = given.get("file")
        if sent:
            try:
                given["text"] = sent.read(MAX_CHARACTERS * 4 + 1).decode()
            except UnicodeDecodeError:
                self.add_error("file", "This is no text in UTF-8.")
        elif not given.get("text", "").strip():
            self.add_error("text", "Bring a text or a file.")
        return given


class ExchangeAdmin(HouseAdmin):
    """A list whose rows go out as a file and come back as one: tried first, then kept as a whole or not at all."""

    change_list_template = "admin/exchange_list.html"
    asks_why = True

    def bring(self, system: System, by: User, text: str, *, reason: str, dry_run: bool) -> Imported:
        """Take what a file says. Raises Refused naming `text`, `reason` or nothing."""
        raise NotImplementedError

    def hand_out(self, system: System) -> str:
        """Return the rows of *system* as YAML."""
        raise NotImplementedError

    def may_bring(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may change rows by a file."""
        name = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return request.user.has_perm(name) and request.user.has_perm(name.replace(".change_", ".add_"))

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        wrap = self.admin_site.admin_view
        return [
            path("import/", wrap(self.import_view), name=f"{name}_import"),
            path("export/", wrap(self.export_view), name=f"{name}_export"),
            *super().get_urls(),
        ]

    def told_of_list(self) -> dict[str, Any]:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        return {
            **super().told_of_list(), "import_url": reverse(f"{name}_import"), "export_url": reverse(f"{name}_export"),
            "systems": System.objects.order_by("slug")[:MOST_OFFERED],
        }  # fmt: skip

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Hand out the rows of one system."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        system = get_object_or_404(System, slug=request.GET.get("system", "main").replace("\0", ""))
        answer = HttpResponse(self.hand_out(system), content_type="application/yaml; charset=utf-8")
        name = f"{self.opts.verbose_name_plural}-{system.slug}.yaml".replace(" ", "-")
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a file would change; keep it when that is asked for."""
        if not self.may_bring(request):
            raise PermissionDenied
        form = ExchangeForm(request.POST or None, request.FILES or None)
        if not self.asks_why:
            del form.fields["reason"]
        found = None
        if request.method == "POST" and form.is_valid():
            found = self._brought(request, form)
            if found is not None and found.kept:
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        context = {
            **self.admin_site.each_context(request), "title": f"Import {self.opts.verbose_name_plural}",
            "opts": self.opts, "form": form, "found": found, "media": self.media,
            "text": form.cleaned_data.get("text", "") if form.is_bound and form.is_valid() else "",
        }  # fmt: skip
        return TemplateResponse(request, "admin/exchange.html", context, status=400 if form.errors else 200)

    def _brought(self, request: HttpRequest, form: ExchangeForm) -> Imported | None:
        given = form.cleaned_data
        dry_run = "keep" not in request.POST
        try:
            found = self.bring(
                given["system"], person(request), given["text"], reason=given.get("reason", ""), dry_run=dry_run
            )
        except Refused as error:
            refused_at(form, error)
            return None
        if found.kept:
            said = f"{len(found.added)} added, {len(found.changed)} changed, {len(found.unchanged)} as before."
            self.message_user(request, said, messages.SUCCESS)
            self.log_change(request, given["system"], f"Imported {self.opts.verbose_name_plural}: {said}")
        return found


class HistoryInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows beside another that nobody changes."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def person(request: HttpRequest) -> User:
    """Return who asks; nobody else gets past the login."""
    assert isinstance(request.user, User)
    return request.user


def refused_at(form: BaseForm, error: Refused) -> None:
    """Put what a service refused beside its field."""
    form.add_error(error.field if error.field in form.fields else None, error.detail)


def sentence_of(model: type[models.Model]) -> str:
    """Return what a model says of itself: the first paragraph of its docstring."""
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split()).replace("*", "").replace("`", "")


def is_indexed(model: type[models.Model], name: str) -> bool:
    """Return whether the database keeps *model* in the order of this field."""
    name = name.lstrip("-")
    if name == "pk":
        return True
    if not _has_field(model, name):
        return False
    field: Any = model._meta.get_field(name)
    if field.primary_key or field.unique or field.db_index:
        return True
    firsts = [index.fields[0].lstrip("-") for index in model._meta.indexes if index.fields and not index.condition]
    firsts += [
        each.fields[0]
        for each in model._meta.constraints
        if isinstance(each, models.UniqueConstraint) and each.fields and not each.condition
    ]
    return name in firsts


def _has_field(model: type[models.Model], name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


def _is_relation(model: type[models.Model], name: str) -> bool:
    if not _has_field(model, name):
        return False
    field = model._meta.get_field(name)
    return isinstance(field, models.ForeignKey)


def _linked(site: admin.AdminSite, model: type[models.Model], name: str) -> Callable[[Any], str]:
    field: Any = model._meta.get_field(name)
    related = field.related_model

    def link(obj: Any) -> str:
        try:
            row = getattr(obj, name)
        except ObjectDoesNotExist:
            return ""
        if row is None:
            return ""
        if related not in site._registry:
            return str(row)
        address = reverse(f"admin:{related._meta.app_label}_{related._meta.model_name}_change", args=[row.pk])
        return format_html('<a href="{}">{}</a>', address, str(row))

    return _described(link, field, name)


def _shaped(model: type[models.Model], name: str) -> Callable[[Any], str]:
    def badge(obj: Any) -> str:
        value = getattr(obj, name)
        if value in (None, ""):
            return ""
        word = getattr(obj, f"get_{name}_display", lambda: value)()
        shape = SHAPES.get(str(value).lower(), "unknown")
        return format_html('<span class="badge {}">{}</span>', shape, capfirst(str(word)))

    return _described(badge, model._meta.get_field(name) if _has_field(model, name) else None, name)


def _described(column: Any, field: Any, name: str) -> Callable[[Any], str]:
    column.__name__ = name  # the column's class in the page
    column.short_description = capfirst(field.verbose_name if field else name)
    if field:
        column.admin_order_field = name
    return column  # type: ignore[no-any-return]
