"""Apprise: a hundred further services by an address of its own, where the administrator installed that library.

It resolves and connects by itself, so that our guard cannot stand before it: it is off unless it is installed, and then
only members who administer a system set such targets up.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar

from alerts.delivery.base import Field, Message, Reachable, Result, Settings
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _

TYPES = {"critical": "failure", "warning": "warning", "info": "info"}
LOCAL = (
    "file",
    "syslog",
    "dbus",
    "gnome",
    "glib",
    "qt",
    "kde",
    "windows",
    "macosx",
)  # of this machine, not of a service


class Apprise:
    kind: ClassVar[str] = "apprise"
    title: ClassVar[str] = "Apprise"
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            _("Apprise address"),
            secret=True,
            help=_("For example matrixs://…; needs the package apprise"),
        ),
    )

    def check(self, settings: Settings) -> None:
        if find_spec("apprise") is None:
            raise Invalid("The package apprise is not installed on this platform.", field="url")
        import apprise

        scheme = settings.get("url", "").partition(":")[0].lower()
        if scheme.startswith(LOCAL) or not apprise.Apprise().add(settings.get("url", "")):
            raise Invalid("Apprise knows no such address.", field="url")

    def send(self, message: Message, settings: Settings, reachable: Reachable) -> Result:
        if find_spec("apprise") is None:
            return Result(False, "the package apprise is not installed")
        import apprise

        sender = apprise.Apprise()
        if not sender.add(settings["url"]):
            return Result(False, "apprise knows no such address")
        kind = TYPES.get(message.severity, "info") if message.firing else "success"
        sent = sender.notify(title=message.title, body="\n".join([*message.lines, message.url]), notify_type=kind)
        return Result(bool(sent), "" if sent else "apprise could not send it", again=not sent)
