"""Telegram: a bot, which can change what it wrote."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from alerts.delivery.base import Answer, Call, Field, Http, Message, Result, Settings, by_status, check_url, clipped
from alerts.delivery.base import post_json as post
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _

API = "https://api.telegram.org"


class Telegram(Http):
    kind: ClassVar[str] = "telegram"
    title: ClassVar[str] = "Telegram"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("token", _("Bot token"), secret=True, help=_("As @BotFather gives it")),
        Field("chat_id", _("Chat"), help=_("Its number, or @name of a channel")),
        Field(
            "api",
            _("API"),
            required=False,
            default=API,
            help=_("Another address of the same API"),
        ),
    )

    def check(self, settings: Settings) -> None:
        if not re.fullmatch(r"\d{3,20}:[A-Za-z0-9_-]{10,100}", settings.get("token", "")):
            raise Invalid("A token is like 123456:ABC-DEF….", field="token")
        if settings.get("api"):
            check_url(settings["api"], "api")

    def call(self, message: Message, settings: Settings) -> Call:
        body: dict[str, Any] = {"chat_id": settings["chat_id"], "text": clipped(_text(message), 4096)}
        body["link_preview_options"] = {"is_disabled": True}
        change = message.reference.get("message_id")
        if change:
            body["message_id"] = change
        method = "editMessageText" if change else "sendMessage"
        return post(f"{settings.get('api') or API}/bot{settings['token']}/{method}", body)

    def read(self, answer: Answer, message: Message) -> Result:
        said = answer.json()
        if not isinstance(said, dict):
            return by_status(answer)
        if said.get("ok"):
            sent = said.get("result")
            return Result(True, reference={"message_id": sent["message_id"]} if isinstance(sent, dict) else {})
        words = str(said.get("description", ""))[:150]
        if message.reference and "not modified" in words:
            return Result(True, reference=message.reference)
        gone = bool(message.reference) and answer.status == 400
        result = by_status(answer)
        return Result(False, f"Telegram says {words}", again=gone or result.again, gone=gone)


def _text(message: Message) -> str:
    return f"{message.text}\n{message.url}" if message.url else message.text
