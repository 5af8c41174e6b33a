"""The addresses where samples are pushed over HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from vsm_site.api.ingest import Door, ingest

DOORS: Mapping[str, Door] = {"/api/v1/ingest/": ingest}
