"""The in-process channel layer of the embedded profile."""

from __future__ import annotations

from channels.layers import InMemoryChannelLayer


class ThreadSafeInMemoryChannelLayer(InMemoryChannelLayer):  # type: ignore[misc]
    """Lets worker threads send to receivers that live on the web server's event loop."""
