"""Admin of systems, their members and tokens. A token's secret is nowhere; only its beginning tells tokens apart."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from subsystems.recursion.models import ApiToken, Membership, System


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(System)
class SystemAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["slug", "name", "parent", "created_at"]
    search_fields = ["slug", "name"]
    list_select_related = ["parent"]
    autocomplete_fields = ["parent"]
    readonly_fields = ["created_at"]
    inlines = [MembershipInline]


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["user", "system", "role"]
    list_filter = ["role", "system"]
    search_fields = ["user__username", "system__slug", "system__name"]
    list_select_related = ["user", "system"]
    autocomplete_fields = ["user", "system"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Tokens are made where their secret can be shown once; here they are seen and ended."""

    list_display = ["name", "user", "system", "prefix", "scopes", "last_used_at", "expires_at"]
    list_filter = ["system", "expires_at"]
    search_fields = ["name", "prefix", "user__username"]
    list_select_related = ["user", "system"]
    fields = ["name", "user", "system", "prefix", "scopes", "created_at", "last_used_at", "expires_at"]
    readonly_fields = ["user", "system", "prefix", "scopes", "created_at", "last_used_at"]
    actions = ["expire"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Expire the selected tokens now", permissions=["change"])
    def expire(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """End tokens without losing who had them."""
        ended = queryset.update(expires_at=timezone.now())
        self.message_user(request, f"{ended} tokens no longer open anything.")
