"""Lists in pages, by cursor: a page costs the same however deep it is, and new rows never shift it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from subsystems.kernel.errors import Invalid

if TYPE_CHECKING:  # the framework loads this module while it loads its own views
    from rest_framework.views import APIView


class Pages(CursorPagination):
    """`limit` rows (100, at most 1,000) and `next` and `previous` addresses."""

    page_size = 100
    max_page_size = 1000
    page_size_query_param = "limit"
    ordering = "pk"

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get("limit")
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit() and 0 < len(given) < 10 and int(given) > 0):
            raise Invalid(f"The limit is a number from 1 to {self.max_page_size}.", field="limit")
        return min(int(given), self.max_page_size)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        ordering = tuple(super().get_ordering(request, queryset, view))
        return ordering if {"pk", "-pk", "id", "-id"} & set(ordering) else (*ordering, "pk")

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError):  # a cursor that was made up: no column can hold its position
            raise NotFound(self.invalid_cursor_message) from None
