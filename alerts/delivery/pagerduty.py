"""PagerDuty: events, version 2. One incident per group, which is resolved with it."""

from __future__ import annotations

from typing import Any, ClassVar

from alerts.delivery.base import Call, Field, Http, Message, Settings, check_url, clipped, post_json
from subsystems.kernel.texts import gettext_noop as _

API = "https://events.pagerduty.com/v2/enqueue"


class PagerDuty(Http):
    kind: ClassVar[str] = "pagerduty"
    title: ClassVar[str] = "PagerDuty"
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "routing_key",
            _("Integration key"),
            secret=True,
            help=_("Of an integration “Events API v2”"),
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
        if settings.get("api"):
            check_url(settings["api"], "api")

    def call(self, message: Message, settings: Settings) -> Call:
        event: dict[str, Any] = {
            "routing_key": settings["routing_key"],
            "event_action": "trigger" if message.firing else "resolve",
            "dedup_key": message.thread[:255],
        }
        if message.firing:
            event["payload"] = {
                "summary": clipped(message.title, 1024),
                "source": "vsm",
                "severity": message.severity,
                "custom_details": {"alerts": list(message.lines), "labels": message.body["commonLabels"]},
            }
            event["client"], event["client_url"] = "VSM", message.url
        return post_json(settings.get("api") or API, event)
