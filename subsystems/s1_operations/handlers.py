"""What S1 does at S3's command: the operations that projects offer."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated, Any

from pydantic import Field, ValidationError

from subsystems.event_log.event_types import OperationExecuted
from subsystems.event_log.services import record
from subsystems.kernel.errors import Invalid
from subsystems.kernel.telemetry_events import span
from subsystems.kernel.triggerable import Arguments
from subsystems.messaging.envelope import MAX_BYTES, Envelope, encoded
from subsystems.messaging.handlers import Delivered, handles
from subsystems.messaging.operations import (
    REQUESTED,
    REQUESTED_LONG,
    Operation,
    OperationHandler,
    Outcome,
    chosen_for,
    counted,
)
from subsystems.s1_operations.queries import executed_before


class Request(Arguments):
    """The payload of a message that asks for an operation."""

    operation: Annotated[str, Field(min_length=1, max_length=80)]
    arguments: dict[str, Any] = {}
    capability: Annotated[str, Field(max_length=80)] = ""
    capabilities: Annotated[list[str], Field(max_length=20)] = []
    state_key: Annotated[str, Field(max_length=200)] = ""


@handles("s1", REQUESTED, name="s1.operations")
def execute(envelope: Envelope, context: Delivered) -> dict[str, Any]:
    """Let one of its handlers carry an operation out, and record it; all in the transaction of the message."""
    return _carried_out(*chosen_for(_asked(envelope, context)), envelope)


@handles("s1", REQUESTED_LONG, name="s1.long_operations", long=True)
def execute_long(envelope: Envelope, context: Delivered) -> dict[str, Any]:
    """Carry out an operation that takes long. Once it is recorded a second delivery finds its result."""
    before = executed_before(envelope.id, OperationExecuted.name())
    return before or _carried_out(*chosen_for(_asked(envelope, context)), envelope)


def _asked(envelope: Envelope, context: Delivered) -> Operation:
    try:
        asked = Request.model_validate(dict(envelope.payload))
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["payload", *(str(step) for step in mistake["loc"])])
        raise Invalid(f"{place}: {mistake['msg']}", field=place) from None
    required = tuple(filter(None, [asked.capability, *asked.capabilities]))
    return Operation(
        asked.operation, asked.arguments, envelope.id, "", asked.state_key, required, context.system_id
    )  # fmt: skip


def _carried_out(handler: OperationHandler, operation: Operation, envelope: Envelope) -> dict[str, Any]:
    started = perf_counter()
    told = {"unit_id": handler.name, "operation": operation.name, "system_id": operation.system_id}
    with span("vsm.s1.operation", told), counted(handler):
        outcome = handler.function(operation)
        outcome = outcome if isinstance(outcome, Outcome) else Outcome(outcome)
        if len(encoded(outcome.result, "result")) > MAX_BYTES:
            raise Invalid(f"is larger than {MAX_BYTES:,} bytes", field="result", code="too_large")
    executed = OperationExecuted(
        operation_id=operation.id,
        operation=operation.name,
        handler=handler.name,
        input_variety=outcome.input_variety,
        output_variety=outcome.output_variety,
        execution_time=round(1000 * (perf_counter() - started), 3),
        result=outcome.result,
    )
    record(
        executed, system_id=operation.system_id, message_id=envelope.id,
        correlation_id=envelope.correlation_id or envelope.id,
    )  # fmt: skip
    return executed.model_dump(mode="json")
