"""The end of a session: whoever logs out is shown nothing more, on any page that is still open."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpRequest

from subsystems.messaging.live import layer_errors

logger = logging.getLogger(__name__)


def group(session_key: str) -> str:
    """Return the Channels group of a session's open dashboards; the key itself is a secret."""
    return f"session.{hashlib.sha256(session_key.encode()).hexdigest()}"


def end(request: HttpRequest, **_: Any) -> None:
    """Close the open dashboards of the session that logs out."""
    key = request.session.session_key
    if key is None:
        return
    try:
        async_to_sync(get_channel_layer().group_send)(group(key), {"type": "session.ended"})
    except layer_errors() as error:
        logger.warning("Open dashboards were not told of a logout: %s", error)
