"""The table of channels."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.delivery.apprise_bridge import Apprise
from alerts.delivery.base import Channel
from alerts.delivery.discord import Discord
from alerts.delivery.email import Email
from alerts.delivery.ntfy import Ntfy
from alerts.delivery.opsgenie import Opsgenie
from alerts.delivery.pagerduty import PagerDuty
from alerts.delivery.slack import Slack
from alerts.delivery.teams import Teams
from alerts.delivery.telegram import Telegram
from alerts.delivery.webhook import Webhook
from subsystems.kernel.errors import Invalid

CHANNELS: Mapping[str, Channel] = {
    each.kind: each
    for each in (
        Email(), Webhook(), Slack(), Teams(), Discord(), Telegram(), PagerDuty(), Opsgenie(), Ntfy(), Apprise(),
    )
}  # fmt: skip
MAX_SETTING = 4000


def channel_of(kind: str) -> Channel:
    """Return the channel called *kind*. Raises Invalid."""
    if kind not in CHANNELS:
        raise Invalid(f"The kinds of targets are {', '.join(sorted(CHANNELS))}.", field="kind")
    return CHANNELS[kind]


def divided(kind: str, given: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what may be shown of the settings *given*, and what is secret. Raises Invalid naming the field."""
    fields = {field.name: field for field in channel_of(kind).fields}
    shown: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, value in given.items():
        if name not in fields:
            raise Invalid(f"A target of this kind has {', '.join(fields)}.", field=str(name)[:60])
        if not isinstance(value, str) or "\0" in value or len(value) > (20_000 if fields[name].long else MAX_SETTING):
            raise Invalid("This is a text, and not too long.", field=name)
        if value.strip():
            (secret if fields[name].secret else shown)[name] = value.strip()
    return shown, secret


def checked(kind: str, settings: Mapping[str, str]) -> None:
    """Raise Invalid naming the field with which nothing could be sent."""
    channel = channel_of(kind)
    for each in channel.fields:
        if each.required and not settings.get(each.name):
            raise Invalid("This is needed.", field=each.name)
    channel.check(settings)
