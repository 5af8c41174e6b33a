"""What a new installation needs before it can serve: tables, the root system, the first user, Flower's password."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User

from subsystems.recursion.queries import root_system
from vsm_site.migrating import migrate


@dataclass(frozen=True)
class Logins:
    """The first user and Flower's password; a made-up password is there only on the run that made it."""

    user: str
    new_password: str
    flower_password: str
    flower_password_is_new: bool

    def lines(self) -> list[str]:
        """Say what a person needs to log in."""
        lines = [f"  Admin user       {self.user}"]
        if self.new_password:
            lines.append(f"  Admin password   {self.new_password}   (shown this once)")
        if self.flower_password_is_new:
            kept_in = settings.HOME / "flower_password"
            lines.append(f"  Flower password  {self.flower_password}   (same user; kept in {kept_in})")
        return lines


def prepare() -> Logins:
    """Migrate and make what is missing. Doing it again changes nothing."""
    migrate()
    root_system()
    user, password = settings.ENV.admin_user, settings.ENV.admin_password
    new_password = ensure_admin(user, password)
    secret, is_new = flower_password(settings.HOME, password)
    return Logins(user, new_password, secret, is_new)


def greeting(host: str, port: int, flower_port: int, logins: Logins) -> str:
    """Return what a start prints: where everything is, and what a person needs to log in."""
    shown = f"[{host}]" if ":" in host else host
    lines = ["", f"  VSM runs at      http://{shown}:{port}/"]
    if flower_port:
        lines.append(f"  Flower           http://{shown}:{flower_port}/")
    return "\n".join([*lines, *logins.lines(), "  Ctrl-C stops it.", ""])


def ensure_admin(name: str, password: str) -> str:
    """Make the admin user unless it exists; return the password if one had to be made up, else nothing."""
    if User.objects.filter(username=name).exists():
        return ""
    generated = "" if password else secrets.token_urlsafe(12)
    User.objects.create_superuser(name, password=password or generated)
    return generated


def flower_password(home: Path, configured: str) -> tuple[str, bool]:
    """Return Flower's password and whether it was made just now.

    Without a configured one it is kept in a file that only its owner can read: Flower compares plain text, and the
    hashed password of the admin user cannot serve it.
    """
    if configured:
        return configured, False
    path = home / "flower_password"
    if path.exists():
        return path.read_text().strip(), False
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(12))
    return path.read_text(), True
