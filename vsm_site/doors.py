"""The addresses where samples are pushed over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from vsm_site.api.ingest import Door, ingest
from vsm_site.api.operations_door import operations
from vsm_site.api.otlp import otlp
from vsm_site.api.remote_write import remote_write

DOORS: Mapping[str, Door] = {
    "/api/v1/ingest/": ingest,
    "/api/v1/ingest/operations/": operations,
    "/v1/metrics": otlp,
    "/api/v1/write": remote_write,
}
