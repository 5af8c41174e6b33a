"""Slack: an incoming webhook, or a bot's token, which can change what it wrote."""

from __future__ import annotations

from typing import Any, ClassVar

from alerts.delivery.base import Answer, Call, Field, Http, Message, Result, Settings, by_status, clipped, post_json
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _

API = "https://slack.com/api"
COLOURS = {"critical": "#b91c1c", "warning": "#b45309", "info": "#1d4ed8"}
PERMANENT = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "channel_not_found", "not_in_channel",
             "is_archived", "missing_scope", "invalid_blocks", "no_text"}  # fmt: skip


class Slack(Http):
    kind: ClassVar[str] = "slack"
    title: ClassVar[str] = "Slack"
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "webhook",
            _("Incoming webhook"),
            secret=True,
            required=False,
            help=_("https://hooks.slack.com/services/…"),
        ),
        Field(
            "token",
            _("Bot token"),
            secret=True,
            required=False,
            help=_("xoxb-…, with chat:write; changes its messages"),
        ),
        Field(
            "channel",
            _("Channel"),
            required=False,
            help=_("For the bot: its id, such as C024BE91L"),
        ),
        Field(
            "api",
            _("API"),
            required=False,
            default=API,
            help=_("Another address of the same API"),
        ),
    )

    def check(self, settings: Settings) -> None:
        from alerts.delivery.base import check_url, header_value

        if bool(settings.get("webhook")) == bool(settings.get("token")):
            raise Invalid("Either an incoming webhook or a bot token.", field="webhook")
        if settings.get("token") and not settings.get("channel"):
            raise Invalid("A bot needs to know its channel.", field="channel")
        for name in ("webhook", "api"):
            if settings.get(name):
                check_url(settings[name], name)
        header_value(settings.get("token", ""), "token")

    def call(self, message: Message, settings: Settings) -> Call:
        body = _body(message)
        if settings.get("webhook"):
            return post_json(settings["webhook"], body)
        change = message.reference.get("ts")
        body["channel"] = message.reference.get("channel") or settings["channel"]
        if change:
            body["ts"] = change
        method = "chat.update" if change else "chat.postMessage"
        headers = {"Authorization": f"Bearer {settings['token']}", "Content-Type": "application/json; charset=utf-8"}
        return post_json(f"{settings.get('api') or API}/{method}", body, headers)

    def read(self, answer: Answer, message: Message) -> Result:
        said = answer.json()
        if not isinstance(said, dict) or not 200 <= answer.status < 300:
            return by_status(answer)  # a webhook says "ok" and nothing else
        if said.get("ok"):
            return Result(True, reference={"ts": said.get("ts"), "channel": said.get("channel")})
        error = str(said.get("error", "refused"))[:100]
        gone = bool(message.reference) and error in {"message_not_found", "cant_update_message", "edit_window_closed"}
        return Result(False, f"Slack says {error}", again=gone or error not in PERMANENT, gone=gone)


def _body(message: Message) -> dict[str, Any]:
    lines = "\n".join(_escaped(line) for line in message.lines)
    colour = COLOURS.get(message.severity, COLOURS["info"]) if message.firing else "#15803d"
    heading = f"*<{message.url}|{_escaped(message.title)}>*" if message.url else f"*{_escaped(message.title)}*"
    section = {"type": "section", "text": {"type": "mrkdwn", "text": clipped(f"{heading}\n{lines}", 3000)}}
    return {"text": clipped(_escaped(message.title), 300), "attachments": [{"color": colour, "blocks": [section]}]}


def _escaped(text: str) -> str:
    """Return *text* so that Slack reads no mention and no link in it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
