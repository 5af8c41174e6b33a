"""The road of samples from outside: a token, a body that is unpacked and decoded, one call, an answer.

It knows neither Django's requests nor ASGI: `vsm_site.ingest_asgi` brings whole requests here, past the framework,
whose middleware would be most of the cost. The plain view does the same for whoever reaches Django's own addresses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException, UnsupportedMediaType

from subsystems.kernel.errors import Refused, TransientError
from subsystems.messaging import limits
from subsystems.s1_operations.services import receive_table
from subsystems.telemetry.doors import batches
from subsystems.telemetry.doors.batches import Batch
from subsystems.telemetry.doors.packed_columns import read_msgpack
from subsystems.telemetry.doors.quick import read_json
from subsystems.telemetry.samples import Outcome
from vsm_site.api import problems
from vsm_site.api.grants import grant_of
from vsm_site.api.parsers import inflate, read_bounded
from vsm_site.api.renderers import PROBLEM_TYPE

FORESEEN = (Refused, TransientError, APIException, OperationalError)
JSON, MSGPACK = "application/json", "application/msgpack"
JSON_TYPES = {JSON, ""}
MSGPACK_TYPES = {MSGPACK, "application/x-msgpack", "application/vnd.msgpack"}
LOST = "store_unavailable"


@dataclass(frozen=True, slots=True)
class Question:
    """A whole request; the names of headers are small."""

    method: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class Door(Protocol):
    """One address where samples are pushed. Both functions may block."""

    def receive(self, question: Question) -> Reply: ...
    def problem(self, document: Mapping[str, Any], headers: Mapping[str, str], question: Question) -> Reply: ...


class StoreAway(TransientError):
    """Nothing of a request could be kept because the hot tier does not answer."""


class Batches:
    """`/api/v1/ingest/`: rows and columns in JSON, columns in MessagePack."""

    def receive(self, question: Question) -> Reply:
        grant = admit(question)
        batch = decode(question)
        outcome = keep(grant.system(batch.system), batch)
        return Reply(202, batches.answer(outcome))

    def problem(self, document: Mapping[str, Any], headers: Mapping[str, str], question: Question) -> Reply:
        return Reply(document["status"], json.dumps(document).encode(), PROBLEM_TYPE, headers)


def admit(question: Question) -> Any:
    """Return the grant of a request's token, whose rate is held. Raises what the problem documents describe."""
    grant = grant_of(question.headers.get("authorization"))
    limits.check_ingest(grant.token.pk, grant.token.system_id)
    return grant


def decode(question: Question) -> Batch:
    """Return the batch in a request's body."""
    kind = question.content_type
    if kind in JSON_TYPES:
        return read_json(unpacked(question), now=time.time())
    if kind in MSGPACK_TYPES:
        return read_msgpack(unpacked(question))
    raise UnsupportedMediaType(kind)


def unpacked(question: Question) -> bytes:
    """Return the body as it was before it was packed."""
    encoding = question.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"identity", ""}:
        return question.body
    if encoding != "gzip":
        raise UnsupportedMediaType(encoding, detail="A body may be packed with gzip and nothing else.")
    return inflate(question.body)


def keep(system: Any, batch: Batch) -> Outcome:
    """Record a batch. Raises StoreAway when all of it was lost: then the sender should try again."""
    outcome = receive_table(system, batch.table)
    if not outcome.accepted and any(each.code == LOST for each in outcome.rejected):
        raise StoreAway
    return outcome


def respond(door: Door, question: Question) -> Reply:
    """Answer a request; a mistake nobody foresaw is raised."""
    if question.method != "POST":
        return refuse(door, question, 405, "method_not_allowed", "Samples are posted.", {"Allow": "POST"})
    try:
        return door.receive(question)
    except FORESEEN as error:
        described = problems.describe(error)
        if described is None:
            raise
        return door.problem(*described, question)


def refuse(
    door: Door, question: Question, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> Reply:
    """Return a problem as *door* says it."""
    return door.problem(problems.document(status, code, detail), headers or {}, question)


def view_of(door: Door) -> Callable[[HttpRequest], HttpResponse]:
    """Return a plain view for *door*."""

    @csrf_exempt  # only a token is let in, and a browser never sends one by itself
    def view(request: HttpRequest) -> HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        question = Question(request.method or "", headers)
        try:
            question = Question(question.method, headers, read_bounded(request))
        except APIException as error:
            reply = door.problem(*(problems.describe(error) or ({}, {})), question)
        else:
            reply = respond(door, question)
        return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type, headers=reply.headers)

    return view


ingest = Batches()
