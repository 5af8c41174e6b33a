"""Tables whose reader chooses the columns and sorts by the headers; what there is to choose is said once for each list.

A column has an `order` only where the database answers it in bounded time: lists that grow without end (tasks, events,
signals, alerts) by an index, lists of what people or fleets make (units, rules, checks, silences) whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from django.db.models import F, Model, QuerySet
from django.db.models.expressions import OrderBy
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext

from vsm_site.dashboard.models import ChosenColumns

M = TypeVar("M", bound=Model)
BOTH, DOWN = "both", "down"
UP_WORD, DOWN_WORD = "ascending", "descending"
NOT_CARRIED = ("page", "cursor", "before")  # how far down the list its reader was
MOST_TEXT = 500


@dataclass(frozen=True)
class Column:
    """One column. *order* are the fields it is sorted by, upwards; *fixed* ones are always there."""

    name: str
    label: str | Promise
    order: tuple[str, ...] = ()
    ways: str = BOTH
    nullable: bool = False
    fixed: bool = False
    usual: bool = True
    css: str = ""


@dataclass(frozen=True)
class Table:
    """A list; *usual* is its order unless another is asked for (`-` before it: downwards), empty for none of these."""

    name: str
    columns: tuple[Column, ...]
    usual: str = ""

    def read(self, request: HttpRequest, *, without: Collection[str] = ()) -> Chosen:
        """Return what the address asks for, else what its reader keeps, else the usual; *without* some columns."""
        chosen = Chosen(self, tuple(each for each in self.columns if each.name not in without), request)
        chosen.check()
        return chosen


@dataclass(frozen=True)
class Head:
    """The header of a column, and where a click on it leads."""

    column: Column
    sorted: str  # for aria-sort: ascending, descending or none
    href: str  # empty for what cannot be sorted


class Chosen:
    """A table as one reader sees it now."""

    def __init__(self, table: Table, columns: Sequence[Column], request: HttpRequest) -> None:
        self.table, self.columns, self.request = table, columns, request
        self.name = table.name
        self.given = request.GET.get("columns", "")[:MOST_TEXT]
        self.asked = request.GET.get("sort", "")[:MOST_TEXT]
        self.mistakes: list[str] = []

    def check(self) -> None:
        """Name what the address asks for in vain; the usual then holds."""
        known = {each.name for each in self.table.columns}
        if unknown := [name for name in filter(None, self.given.split(",")) if name not in known]:
            said = {"unknown": ", ".join(unknown), "known": ", ".join(each.name for each in self.table.columns)}
            self.mistakes.append(gettext("columns: there is no %(unknown)s; there are %(known)s.") % said)
            self.given = ""
        if self.asked and self.asked not in self.orders:
            said = {"asked": self.asked, "known": ", ".join(self.orders) or gettext("no orders")}
            self.mistakes.append(gettext("sort: there is no order %(asked)s; there are %(known)s.") % said)
            self.asked = ""

    @cached_property
    def orders(self) -> dict[str, Column]:
        """Return the orders that may be asked for, by what the address says."""
        found = {}
        for column in self.columns:
            if column.order and column.ways == BOTH:
                found[column.name] = column
            if column.order:
                found[f"-{column.name}"] = column
        return found

    @property
    def sort(self) -> str:
        """Return the order that holds, as the address says it; empty for one that no column has."""
        return self.asked or self.table.usual

    @cached_property
    def shows(self) -> dict[str, bool]:
        """Return which columns are shown, by name."""
        names = self.given.split(",") if self.given else self._kept()
        wanted = {each.name for each in self.columns if each.usual} if names is None else set(names)
        return {each.name: each.fixed or each.name in wanted for each in self.columns}

    def _kept(self) -> list[str] | None:
        rows = ChosenColumns.objects.filter(person=self.request.user.pk, table=self.name)
        return rows.values_list("names", flat=True).first()

    def order_by(self) -> list[OrderBy]:
        """Return the order for the database, ended by the key so that no row is on two pages."""
        column, down = self.orders.get(self.sort), self.sort.startswith("-")
        if column is None:
            return []
        fields = [*column.order, "pk"]
        last = True if column.nullable else None  # in an index, what is unknown stays where the database puts it
        return [F(each).desc(nulls_last=last) if down else F(each).asc(nulls_last=last) for each in fields]

    def ordered(self, rows: QuerySet[M]) -> QuerySet[M]:
        """Return *rows* in the order that is asked for; as they are where none is."""
        wanted = self.order_by()
        return rows.order_by(*wanted) if wanted else rows

    # --- For the template ---

    @cached_property
    def heads(self) -> list[Head]:
        return [Head(each, self._sorted(each), self._href(each)) for each in self.columns if self.shows[each.name]]

    @property
    def choices(self) -> list[tuple[Column, bool]]:
        """Return every column, and whether it is shown."""
        return [(each, self.shows[each.name]) for each in self.columns]

    @property
    def usual_href(self) -> str:
        return address(self.request.GET, sort="")

    @property
    def all_heads(self) -> list[Head]:
        """Return every order with its link, also where headers are not shown: a narrow page has none."""
        return [Head(each, self._sorted(each), self._href(each)) for each in self.columns if each.order]

    @property
    def carried(self) -> list[tuple[str, str]]:
        """Return what a form of filters takes along."""
        return [(name, self.request.GET[name]) for name in ("sort", "columns") if self.request.GET.get(name)]

    def _sorted(self, column: Column) -> str:
        if self.sort.removeprefix("-") != column.name:
            return ""
        return DOWN_WORD if self.sort.startswith("-") else UP_WORD

    def _href(self, column: Column) -> str:
        if not column.order:
            return ""
        turns = self.sort == column.name or column.ways == DOWN
        return address(self.request.GET, sort=f"-{column.name}" if turns else column.name)


def address(given: QueryDict, **changed: str) -> str:
    """Return the query of the same page with some of it *changed* (an empty text takes it away), from its beginning."""
    query = given.copy()
    for name in NOT_CARRIED:
        query.pop(name, None)
    for name, value in changed.items():
        query.pop(name, None)
        if value:
            query[name] = value
    return f"?{query.urlencode(safe=',')}"


def forget(person: Any, table: Table) -> list[str]:
    """Let a person see the usual columns of *table* again."""
    ChosenColumns.objects.filter(person=person, table=table.name).delete()
    return []


def keep(person: Any, table: Table, names: Collection[str]) -> list[str]:
    """Keep which columns of *table* a person sees; return their names, none where they are the usual ones."""
    wanted = [each.name for each in table.columns if each.fixed or each.name in names]
    usual = [each.name for each in table.columns if each.fixed or each.usual]
    if wanted == usual:
        return forget(person, table)
    ChosenColumns.objects.update_or_create(person=person, table=table.name, defaults={"names": wanted})
    return wanted
