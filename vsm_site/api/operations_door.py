"""Operations pushed by applications: `/api/v1/ingest/operations/`, on the same road as samples."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import UnsupportedMediaType

from subsystems.s1_operations.services import receive_operations
from subsystems.variety.batches import pushed
from vsm_site.api.ingest import JSON_TYPES, Question, Reply, admit, unpacked
from vsm_site.api.renderers import PROBLEM_TYPE


class Operations:
    """What an application's operations did since it last told."""

    def receive(self, question: Question) -> Reply:
        grant = admit(question)
        if question.content_type not in JSON_TYPES:
            raise UnsupportedMediaType(question.content_type)
        batch = pushed(unpacked(question), now=time.time())
        receive_operations(grant.system(batch.system), batch)
        told = {"accepted": sum(each.count for each in batch.operations)}
        return Reply(202, json.dumps(told).encode())

    def problem(self, document: Mapping[str, Any], headers: Mapping[str, str], question: Question) -> Reply:
        return Reply(document["status"], json.dumps(document).encode(), PROBLEM_TYPE, headers)


operations = Operations()
