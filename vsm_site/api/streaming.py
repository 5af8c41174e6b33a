"""Answers that are made while they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from rest_framework.request import Request


def streamed(blocks: Iterator[bytes], request: Request) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Return *blocks* in the way that the server wants: it would collect the other kind before it sends any."""
    return _stepwise(blocks) if isinstance(request._request, ASGIRequest) else blocks


async def _stepwise(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (block := await sync_to_async(_next)(blocks)) is not None:
        yield block


def _next(blocks: Iterator[bytes]) -> bytes | None:
    return next(blocks, None)
