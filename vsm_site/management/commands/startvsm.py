"""`manage.py startvsm NAME [DIRECTORY]`: writes a project that adds to the platform (`docs/integration.md`)."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shlex
import sys
import tempfile
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

TEMPLATE = Path(__file__).resolve().parents[1] / "project_template"
NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
RESERVED = {"test", "tests", "src", "package", "vsm"}


class Command(BaseCommand):
    help = "Write a project with an operation, an event handler, a channel subscriber and a telemetry handler."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Name of the Python package: a-z, 0-9 and _")
        parser.add_argument("directory", nargs="?", default="", help="Where to write it; the name by default")

    def handle(self, *args: Any, **options: Any) -> None:
        name = check_name(options["name"])
        target = Path(options["directory"] or name.replace("_", "-")).absolute()
        try:
            write_project(name, target)
        except OSError as error:
            raise CommandError(f"{target} could not be written: {error.strerror or error}.") from None
        self.stdout.write(f"Wrote {target}. Test it, install it beside the platform, start the platform again:\n")
        for line in next_steps(target):
            self.stdout.write(f"  {line}")


def check_name(name: str) -> str:
    """Return *name* when a new package may have it. Raises CommandError saying why not."""
    if not NAME.fullmatch(name):
        raise CommandError(f"{name!r:.60} cannot be a name: 2 to 40 of a-z, 0-9 and _, beginning with a letter.")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in RESERVED:
        raise CommandError(f"{name!r} has a meaning of its own; choose another name.")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise CommandError(f"There is a Python module named {name!r} already; choose another name.")
    return name


def write_project(name: str, target: Path) -> None:
    """Write the project to *target*, all of it or nothing. Raises CommandError when something is there."""
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise CommandError(f"{target} is there already; nothing was written.")
    target.parent.mkdir(parents=True, exist_ok=True)
    words = {"package": name, "distribution": name.replace("_", "-")}
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as apart:
        made = Path(apart) / "project"
        for source in sorted(TEMPLATE.rglob("*.tmpl")):
            path = made / place_of(source, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(source.read_text()).substitute(words))
        made.replace(target)  # an empty directory may be replaced; one that was filled meanwhile is an error


def place_of(source: Path, name: str) -> Path:
    """Return where in the project a template goes."""
    place = source.relative_to(TEMPLATE).with_suffix("")
    if place.name == "gitignore":
        place = place.with_name(".gitignore")
    return Path(*(name if part == "package" else part for part in place.parts))


def next_steps(target: Path) -> list[str]:
    """Return the commands that test and install the project with this platform."""
    python, platform, project = sys.executable, settings.BASE_DIR, shlex.quote(str(target))
    pip = next(iter(sorted((platform / "scripts" / "vendor").glob("pip-*.whl"))), None)
    install = f"{python} {pip}/pip" if pip else f"{python} -m pip"
    return [
        f"cd {project} && PYTHONPATH={shlex.quote(str(platform))} {python} -m pytest",
        f"{install} install -e {project}",
    ]
