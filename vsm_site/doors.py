"""The addresses where samples are pushed over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from vsm_site.api.ingest import Door, ingest
from vsm_site.api.otlp import otlp

DOORS: Mapping[str, Door] = {"/api/v1/ingest/": ingest, "/v1/metrics": otlp}
