"""Admin of systems, their members and tokens. A token's secret is nowhere; only its beginning tells tokens apart."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from subsystems.kernel.errors import Refused
from subsystems.recursion.administering import HouseAdmin
from subsystems.recursion.models import ApiToken, Membership, System
from subsystems.recursion.queries import with_descendants


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


class SystemForm(forms.ModelForm):  # type: ignore[type-arg]
    """A system whose parent does not lie within itself."""

    def clean_parent(self) -> System | None:
        parent: System | None = self.cleaned_data["parent"]
        if parent is not None and self.instance.pk and parent.pk in with_descendants([self.instance.pk]):
            raise forms.ValidationError("A system cannot lie within itself.")
        return parent


@admin.register(System)
class SystemAdmin(HouseAdmin):
    about = "Viable systems: each is a whole of S1 to S5, and may lie within another. One without a parent is a tenant."
    form = SystemForm
    list_display = ["slug", "name", "parent", "created_at"]
    search_fields = ["slug", "name"]
    autocomplete_fields = ["parent"]
    readonly_fields = ["created_at"]
    inlines = [MembershipInline]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the history of a system would go with it."""
        return False


@admin.register(Membership)
class MembershipAdmin(HouseAdmin):
    list_display = ["user", "system", "role"]
    list_filter = ["role", "system"]
    search_fields = ["user__username", "system__slug", "system__name"]
    autocomplete_fields = ["user", "system"]


@admin.register(ApiToken)
class ApiTokenAdmin(HouseAdmin):
    about = "Keys of programs. They are made where their secret can be shown once; here they are seen and ended."
    list_display = ["name", "user", "system", "prefix", "scopes", "last_used_at", "expires_at"]
    list_filter = ["system", "expires_at"]
    search_fields = ["name", "prefix", "user__username"]
    fields = ["name", "user", "system", "prefix", "scopes", "created_at", "last_used_at", "expires_at"]
    readonly_fields = ["user", "system", "prefix", "scopes", "created_at", "last_used_at"]
    actions = ["expire"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Expire the selected tokens now", permissions=["change"])
    def expire(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> HttpResponse | None:
        """End tokens without losing who had them."""
        asked = self.confirmed(
            request, queryset, title="Expire these tokens?",
            consequence="The programs that use them are refused from now on. A new token is needed to let them in.",
        )  # fmt: skip
        if asked is None:
            self.each(request, queryset, _expire, "expired: they open nothing more")
        return asked


def _expire(token: ApiToken, by: User) -> None:
    now = timezone.now()
    if token.expires_at and token.expires_at <= now:
        raise Refused("It has expired before.")
    ApiToken.objects.filter(pk=token.pk).update(expires_at=now)
