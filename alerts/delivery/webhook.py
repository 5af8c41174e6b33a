"""A webhook of one's own: Alertmanager's body unless a template says otherwise, signed as Standard Webhooks are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from alerts.delivery.base import Call, Field, Http, Message, Settings
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _
from subsystems.s1_operations.adapters.http_calls import signed

MAX_TEMPLATE, MAX_DEPTH = 20_000, 20
_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]*)\s*\}\}")
TEMPLATE_HELP = _(
    "JSON with places like {{ title }}, {{ status }}, {{ commonLabels.severity }}; a text that is only a place gets "
    "the value itself, as {{ alerts }}"
)


class Webhook(Http):
    kind: ClassVar[str] = "webhook"
    title: ClassVar[str] = "Webhook"
    fields: ClassVar[tuple[Field, ...]] = (
        Field("url", _("Address"), help=_("Gets a POST with a JSON body")),
        Field(
            "secret",
            _("Signing secret"),
            secret=True,
            required=False,
            help=_("Signs each request: see the headers webhook-*"),
        ),
        Field(
            "authorization",
            _("Authorization header"),
            secret=True,
            required=False,
            help=_("For example: Bearer abc"),
        ),
        Field("template", _("Body"), required=False, help=TEMPLATE_HELP, long=True),
    )

    def check(self, settings: Settings) -> None:
        super().check(settings)
        if settings.get("template"):
            _template(settings["template"])

    def call(self, message: Message, settings: Settings) -> Call:
        wanted = settings.get("template")
        body = filled(_template(wanted), places(message)) if wanted else dict(message.body)
        data = json.dumps(body, ensure_ascii=True).encode()
        headers = signed(data, message.id, message.timestamp, settings.get("secret", ""))
        if settings.get("authorization"):
            headers["Authorization"] = settings["authorization"]
        return Call(settings["url"], data, headers)


def places(message: Message) -> Mapping[str, Any]:
    """Return what a template may name."""
    return {
        **message.body, "id": message.id, "title": message.title, "text": message.text, "severity": message.severity,
        "url": message.url, "timestamp": message.timestamp,
    }  # fmt: skip


def filled(template: Any, known: Mapping[str, Any]) -> Any:
    """Return *template* with its places filled. Values are put in after the JSON was read: none can break out of it."""
    if isinstance(template, str):
        alone = _PLACE.fullmatch(template)
        return _value(alone[1], known) if alone else _PLACE.sub(lambda found: _text(_value(found[1], known)), template)
    if isinstance(template, Mapping):
        return {name: filled(value, known) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, known) for value in template]
    return template


def _template(text: str) -> Any:
    if len(text) > MAX_TEMPLATE:
        raise Invalid(f"At most {MAX_TEMPLATE:,} characters.", field="template")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"This is no JSON: {error}.", field="template") from None
    _check_depth(read, 0)
    return read


def _check_depth(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(f"At most {MAX_DEPTH} levels.", field="template")
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in inner:
        _check_depth(each, depth + 1)


def _value(path: str, known: Any) -> Any:
    for step in path.split("."):
        known = known.get(step) if isinstance(known, Mapping) else None
    return known


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
