"""`/api/v1/write`: Prometheus' remote write, answered as its specification asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from rest_framework.exceptions import UnsupportedMediaType

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.doors.batches import Batch
from subsystems.telemetry.doors.remote_write import read_write_request
from subsystems.telemetry.samples import Outcome
from vsm_site.api import problems
from vsm_site.api.ingest import Question, Reply, admit, keep
from vsm_site.api.parsers import TooLarge
from vsm_site.api.renderers import PROBLEM_TYPE

PROTOBUF, VERSION_1 = "application/x-protobuf", "prometheus.WriteRequest"
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


class RemoteWrite:
    """What a Prometheus server, or an agent in its place, forwards."""

    def receive(self, question: Question) -> Reply:
        grant = admit(question)
        _check_type(question)
        table = read_write_request(unsnapped(question))
        return self._told(keep(grant.system(), Batch(table)), question)

    def problem(self, document: Mapping[str, Any], headers: Mapping[str, str], question: Question) -> Reply:
        return Reply(document["status"], json.dumps(document).encode(), PROBLEM_TYPE, headers)

    def _told(self, outcome: Outcome, question: Question) -> Reply:
        """Say 400 when a sample was refused, though the others are kept: then nobody sends it again."""
        written = {WRITTEN: str(outcome.accepted)}
        if not outcome.rejected:
            return Reply(204, b"", headers=written)
        first = outcome.rejected[0]
        refused = f"{len(outcome.rejected)} samples were refused, {outcome.accepted} kept. The first of them: "
        return self.problem(problems.document(400, first.code, refused + first.detail), written, question)


def _check_type(question: Question) -> None:
    """Raise UnsupportedMediaType for another message than version 1's."""
    parameters = question.headers.get("content-type", "").partition(";")[2]
    proto = parameters.strip().removeprefix("proto=")
    if question.content_type != PROTOBUF or (proto and proto != VERSION_1):
        raise UnsupportedMediaType(question.content_type, detail=f"Only {VERSION_1} as {PROTOBUF} is read here.")
    if question.headers.get("content-encoding", "").strip().lower() != "snappy":
        raise UnsupportedMediaType("", detail="A body is packed with snappy.")


def unsnapped(question: Question) -> bytes:
    """Return the body unpacked, when it says beforehand that it is not too large."""
    import cramjam  # two megabytes of library: only who is written to loads it

    try:
        if cramjam.snappy.decompress_raw_len(question.body) > settings.INGEST_MAX_BYTES:
            raise TooLarge
        return bytes(cramjam.snappy.decompress_raw(question.body))
    except cramjam.DecompressionError:
        raise Invalid("The body is not packed with snappy's block format.", code="malformed_snappy") from None


remote_write = RemoteWrite()
