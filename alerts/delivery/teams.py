"""Microsoft Teams: an Adaptive Card to a workflow's webhook."""

from __future__ import annotations

from typing import Any, ClassVar

from alerts.delivery.base import Call, Field, Http, Message, Settings, clipped, post_json
from subsystems.kernel.texts import gettext_noop as _

COLOURS = {"critical": "attention", "warning": "warning", "info": "accent"}


class Teams(Http):
    kind: ClassVar[str] = "teams"
    title: ClassVar[str] = "Microsoft Teams"
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            _("Webhook of a workflow"),
            secret=True,
            help=_("“Post to a channel when a webhook request is received”"),
        ),
    )

    def call(self, message: Message, settings: Settings) -> Call:
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": _card(message)}
        return post_json(settings["url"], {"type": "message", "attachments": [card]})


def _card(message: Message) -> dict[str, Any]:
    colour = COLOURS.get(message.severity, "default") if message.firing else "good"
    heading = _block(message.title, 300, weight="bolder", size="medium", color=colour)
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [heading, *(_block(line, 500) for line in message.lines)],
    }
    if message.url:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": message.url}]
    return card


def _block(text: str, most: int, **style: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": clipped(text, most), "wrap": True, **style}
