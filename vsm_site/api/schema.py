"""What the OpenAPI document cannot see by itself: the plain ingest view, and the problem any operation may answer."""

from __future__ import annotations

from typing import Any

PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable: for programs"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "detail")},
            },
        },
    },
}
_MOMENT = {"description": "RFC 3339 with a zone, or epoch seconds", "oneOf": [{"type": "string"}, {"type": "number"}]}
_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
_SAMPLE = {
    "type": "object",
    "required": ["metric", "value"],
    "properties": {
        "metric": {"type": "string"},
        "value": {"type": "number"},
        "at": _MOMENT,
        "labels": _LABELS,
    },
}
_NUMBERS = {"type": "array", "items": {"type": "number"}}
_VALUES = {"type": "array", "items": {"type": "number", "nullable": True}}
ROWS = {
    "type": "object",
    "required": ["source", "samples"],
    "properties": {
        "source": {"type": "string"},
        "system": {"type": "string"},
        "samples": {"type": "array", "items": _SAMPLE},
    },
}
COLUMNS = {
    "type": "object",
    "required": ["source", "metrics", "at", "values"],
    "properties": {
        "source": {"type": "string"},
        "system": {"type": "string"},
        "metrics": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "array", "items": _LABELS, "description": "One object per metric"},
        "at": _NUMBERS,
        "values": {"type": "array", "items": _VALUES, "description": "One row per metric, one value per time"},
    },
}
OUTCOME = {
    "type": "object",
    "required": ["accepted", "rejected"],
    "properties": {
        "accepted": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "code", "detail"],
                "properties": {
                    "index": {"type": "integer"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
INGEST = {
    "post": {
        "operationId": "ingest",
        "description": "Push a batch of samples as rows or as columns; the body may be packed with gzip.",
        "tags": ["ingest"],
        "security": [{"token": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"oneOf": [ROWS, COLUMNS]}},
                "application/msgpack": {"schema": COLUMNS},
            },
        },
        "responses": {"202": {"description": "Taken in", "content": {"application/json": {"schema": OUTCOME}}}},
    }
}


_PAIRS = {"type": "array", "items": {"type": "array", "items": {}}}
OPERATION = {
    "type": "object",
    "required": ["operation", "total", "total_ok", "ends", "durations_ms", "total_ms"],
    "properties": {
        "operation": {"type": "string"},
        "total": {"type": "integer", "description": "Since the replica began, this batch included"},
        "total_ok": {"type": "integer"},
        "ends": {**_PAIRS, "description": "[epoch second, outcome, how many]; the outcome is `ok` or what went wrong"},
        "durations_ms": {**_PAIRS, "description": "[milliseconds, how many], or empty where they are not known"},
        "total_ms": {"type": "number"},
        "errors": {**_PAIRS, "description": "[epoch seconds, in words], newest first, ten at most"},
    },
}
PUSHED = {
    "type": "object",
    "required": ["source", "replica", "since", "number", "operations"],
    "properties": {
        "source": {"type": "string"},
        "system": {"type": "string"},
        "replica": {"type": "string", "description": "Chosen at random by the process, 8 to 40 letters and digits"},
        "since": {"type": "number", "description": "When its totals began, epoch seconds; twelve hours ago at most"},
        "number": {"type": "integer", "description": "Of the batch; one that comes twice is one"},
        "operations": {"type": "array", "items": OPERATION},
    },
}
INGEST_OPERATIONS = {
    "post": {
        "operationId": "ingest_operations",
        "description": "Push what operations did since the last batch; the body may be packed with gzip.",
        "tags": ["ingest"],
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": PUSHED}}},
        "responses": {
            "202": {
                "description": "Taken in",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["accepted"],
                            "properties": {"accepted": {"type": "integer"}},
                        }
                    }
                },
            }
        },
    }
}


def complete(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add to the generated document what its generator cannot see."""
    result["paths"]["/api/v1/ingest/"] = INGEST
    result["paths"]["/api/v1/ingest/operations/"] = INGEST_OPERATIONS
    result["components"].setdefault("schemas", {})["Problem"] = PROBLEM
    answer = {
        "description": "Anything that went wrong",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"]["default"] = answer
    return result
