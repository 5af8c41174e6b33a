"""Reading request bodies: bounded first, then strict."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from subsystems.kernel import strict_json
from subsystems.kernel.errors import Invalid
from vsm_site.api.renderers import StrictJSONRenderer


class TooLarge(APIException):
    """The body is larger than this platform accepts."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"

    def __init__(self) -> None:
        super().__init__(f"The body may have {settings.INGEST_MAX_BYTES} bytes at most.")


class StrictJSONParser(BaseParser):
    """The only parser of the API: no forms, no files."""

    media_type = "application/json"
    renderer_class = StrictJSONRenderer  # what the browsable pages prefill their raw form with

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return strict_json.loads(read_bounded(stream))
        except Invalid as error:
            raise ParseError(error.detail, code=error.code) from None


def read_bounded(stream: IO[Any] | HttpRequest) -> bytes:
    """Return the whole body. Raises TooLarge before more than the limit is held in memory."""
    raw: bytes = stream.read(settings.INGEST_MAX_BYTES + 1)
    if len(raw) > settings.INGEST_MAX_BYTES:
        raise TooLarge
    return raw


def inflate(raw: bytes) -> bytes:
    """Return an unpacked gzip body. Raises TooLarge for a bomb and Invalid for what is not gzip."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(raw, settings.INGEST_MAX_BYTES + 1)
    except zlib.error:
        raise Invalid("The body is not valid gzip.", code="malformed_gzip") from None
    if len(body) > settings.INGEST_MAX_BYTES:
        raise TooLarge
    if not unpacker.eof:
        raise Invalid("The gzip body ends too early.", code="malformed_gzip")
    return body
