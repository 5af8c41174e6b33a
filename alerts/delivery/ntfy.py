"""ntfy: a topic on ntfy.sh or on a server of one's own."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from alerts.delivery.base import Call, Field, Http, Message, Settings, clipped, header_value, post_json
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _

PRIORITIES = {"critical": 5, "warning": 4, "info": 3}


class Ntfy(Http):
    kind: ClassVar[str] = "ntfy"
    title: ClassVar[str] = "ntfy"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("url", _("Topic"), help=_("https://ntfy.sh/your-topic; whoever knows it can read it")),
        Field("token", _("Access token"), secret=True, required=False, help=_("tk_…")),
    )

    def check(self, settings: Settings) -> None:
        super().check(settings)
        if not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", _topic(settings["url"])):
            raise Invalid("The address ends with a topic: https://ntfy.sh/your-topic.", field="url")
        header_value(settings.get("token", ""), "token")

    def call(self, message: Message, settings: Settings) -> Call:
        topic = _topic(settings["url"])
        body: dict[str, Any] = {
            "topic": topic,
            "title": clipped(message.title, 250),
            "message": clipped("\n".join(message.lines), 3500),
            "priority": PRIORITIES.get(message.severity, 3) if message.firing else 2,
            "tags": ["rotating_light" if message.firing else "white_check_mark"],
        }
        if message.url.startswith("http"):
            body["click"] = message.url
        headers = {"Authorization": f"Bearer {settings['token']}"} if settings.get("token") else {}
        return post_json(settings["url"].removesuffix("/").removesuffix(topic), body, headers)


def _topic(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]
