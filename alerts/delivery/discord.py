"""Discord: a webhook of a channel, which can change what it wrote."""

from __future__ import annotations

from typing import ClassVar

from alerts.delivery.base import Answer, Call, Field, Http, Message, Result, Settings, by_status, clipped, post_json
from subsystems.kernel.texts import gettext_noop as _

COLOURS = {"critical": 0xB91C1C, "warning": 0xB45309, "info": 0x1D4ED8}
NOT_FOUND = 404


class Discord(Http):
    kind: ClassVar[str] = "discord"
    title: ClassVar[str] = "Discord"
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            _("Webhook of a channel"),
            secret=True,
            help=_("https://discord.com/api/webhooks/…"),
        ),
    )

    def call(self, message: Message, settings: Settings) -> Call:
        colour = COLOURS.get(message.severity, COLOURS["info"]) if message.firing else 0x15803D
        embed = {
            "title": clipped(message.title, 256),
            "description": clipped("\n".join(message.lines), 4096),
            "color": colour,
            **({"url": message.url} if message.url.startswith("http") else {}),
        }
        body = {"embeds": [embed], "allowed_mentions": {"parse": []}}
        url = settings["url"].partition("?")[0].rstrip("/")
        if message.reference.get("id"):
            return post_json(f"{url}/messages/{message.reference['id']}", body, method="PATCH")
        return post_json(f"{url}?wait=true", body)

    def read(self, answer: Answer, message: Message) -> Result:
        if answer.status == NOT_FOUND and message.reference:
            return Result(False, "the message is gone", again=True, gone=True)
        said = answer.json()
        return by_status(answer, {"id": str(said["id"])} if isinstance(said, dict) and "id" in said else None)
