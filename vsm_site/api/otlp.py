"""`/v1/metrics`: OTLP over HTTP, answered as its specification asks, problems included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import UnsupportedMediaType

from subsystems.telemetry.doors import otlp_json, otlp_protobuf
from subsystems.telemetry.doors.batches import Batch
from subsystems.telemetry.doors.protobuf import put_bytes, put_number
from subsystems.telemetry.samples import Outcome
from subsystems.telemetry.tables import Table
from vsm_site.api.ingest import JSON, Question, Reply, admit, keep, unpacked

PROTOBUF = "application/x-protobuf"
# gRPC's codes, which a problem carries beside HTTP's
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 409: 9, 413: 8, 415: 3, 429: 8, 503: 14}
GRPC_UNKNOWN = 2


class Otlp:
    """Metrics of OpenTelemetry SDKs and collectors."""

    def receive(self, question: Question) -> Reply:
        grant = admit(question)
        table = _decode(question)
        outcome = keep(grant.system(), Batch(table))
        return _reply(200, _partial_success(outcome), question)

    def problem(self, document: Mapping[str, Any], headers: Mapping[str, str], question: Question) -> Reply:
        """Return a Status message, which is what senders of OTLP read."""
        status = document["status"]
        body = {"code": GRPC_CODES.get(status, GRPC_UNKNOWN), "message": f"{document['code']}: {document['detail']}"}
        reply = _reply(status, body, question)
        return Reply(status, reply.body, reply.content_type, headers)


def _decode(question: Question) -> Table:
    if question.content_type == PROTOBUF:
        return otlp_protobuf.read_protobuf(unpacked(question))
    if question.content_type == JSON:
        return otlp_json.read_json(unpacked(question))
    raise UnsupportedMediaType(question.content_type)


def _partial_success(outcome: Outcome) -> dict[str, Any]:
    """Return the answer's fields: empty when all was kept, else how many points were not, and why the first."""
    if not outcome.rejected:
        return {}
    points = len({each.index for each in outcome.rejected})
    first = outcome.rejected[0]
    told = f"{first.code}: {first.detail}"
    return {"partialSuccess": {"rejectedDataPoints": str(points), "errorMessage": told}}


def _reply(status: int, body: Mapping[str, Any], question: Question) -> Reply:
    if question.content_type == JSON:
        return Reply(status, json.dumps(body).encode())
    return Reply(status, _message(body), PROTOBUF)


def _message(body: Mapping[str, Any]) -> bytes:
    """Return an answer or a Status as protobuf."""
    if "code" in body:
        return put_number(1, body["code"]) + put_bytes(2, body["message"].encode())
    partial = body.get("partialSuccess")
    if not partial:
        return b""
    inner = put_number(1, int(partial["rejectedDataPoints"])) + put_bytes(2, partial["errorMessage"].encode())
    return put_bytes(1, inner)


otlp = Otlp()
