"""Opsgenie and what speaks its API (alerts, version 2). One alert per group, which is closed with it."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

from alerts.delivery.base import (
    Answer,
    Call,
    Field,
    Http,
    Message,
    Result,
    Settings,
    by_status,
    check_url,
    clipped,
    header_value,
    post_json,
)
from subsystems.kernel.texts import gettext_noop as _

API = "https://api.opsgenie.com"
PRIORITIES = {"critical": "P1", "warning": "P3", "info": "P5"}
NOT_FOUND = 404


class Opsgenie(Http):
    kind: ClassVar[str] = "opsgenie"
    title: ClassVar[str] = "Opsgenie"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("api_key", _("API key"), secret=True, help=_("Of an API integration")),
        Field(
            "api",
            _("API"),
            required=False,
            default=API,
            help=_("https://api.eu.opsgenie.com, or what speaks the same"),
        ),
    )

    def check(self, settings: Settings) -> None:
        header_value(settings.get("api_key", ""), "api_key")
        if settings.get("api"):
            check_url(settings["api"], "api")

    def call(self, message: Message, settings: Settings) -> Call:
        base = f"{(settings.get('api') or API).rstrip('/')}/v2/alerts"
        headers = {"Authorization": f"GenieKey {settings['api_key']}"}
        if not message.firing:
            url = f"{base}/{quote(message.thread, safe='')}/close?identifierType=alias"
            return post_json(url, {"source": "vsm", "note": clipped(message.title, 500)}, headers)
        body = {
            "message": clipped(message.title, 130),
            "alias": message.thread[:512],
            "description": clipped("\n".join(message.lines), 15_000),
            "priority": PRIORITIES.get(message.severity, "P3"),
            "source": "vsm",
            "details": {name: clipped(value, 500) for name, value in message.body["commonLabels"].items()},
        }
        return post_json(base, body, headers)

    def read(self, answer: Answer, message: Message) -> Result:
        if answer.status == NOT_FOUND and not message.firing:
            return Result(True)  # closed already: there is nothing left to close
        return by_status(answer)
