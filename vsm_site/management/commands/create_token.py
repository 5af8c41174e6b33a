"""`manage.py create_token USER --scopes read,operate [--system slug] [--name text]`."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from subsystems.kernel.errors import Refused
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.recursion.services import create_token


class Command(BaseCommand):
    help = "Make an API token and print its secret, which is not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="Whose token it is")
        parser.add_argument("--scopes", default="read", help="Comma-separated: ingest, read, operate, admin")
        parser.add_argument("--system", default="", help="Slug of the system to bind the token to")
        parser.add_argument("--name", default="command line", help="What the token is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user named {options['user']!r}.")
        root_system()  # before the first start there may be no system yet, and a scope is held in one
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _, secret = create_token(user, name=options["name"], scopes=scopes, system=_system(options["system"]))
        except Refused as error:
            raise CommandError(error.detail) from None
        self.stdout.write(secret)


def _system(slug: str) -> System | None:
    if not slug:
        return None
    system = System.objects.filter(slug=slug).first()
    if system is None:
        raise CommandError(f"There is no system named {slug!r}.")
    return system
