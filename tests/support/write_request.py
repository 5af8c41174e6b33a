"""Prometheus' WriteRequest as Google's own library knows it, made from its description."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_DOUBLE, _INT64, _STRING, _MESSAGE = _Field.TYPE_DOUBLE, _Field.TYPE_INT64, _Field.TYPE_STRING, _Field.TYPE_MESSAGE
_MESSAGES = {
    "Label": [("name", 1, _STRING, ""), ("value", 2, _STRING, "")],
    "Sample": [("value", 1, _DOUBLE, ""), ("timestamp", 2, _INT64, "")],
    "Histogram": [("sum", 3, _DOUBLE, "")],
    "TimeSeries": [("labels", 1, _MESSAGE, "Label"), ("samples", 2, _MESSAGE, "Sample"),
                   ("histograms", 4, _MESSAGE, "Histogram")],
    "WriteRequest": [("timeseries", 1, _MESSAGE, "TimeSeries")],
}  # fmt: skip


def _described() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            many = _Field.LABEL_REPEATED if of else _Field.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, type=kind, label=many)
            if of:
                added.type_name = f".prometheus.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WriteRequest = _described()


def write_request(*series: tuple[dict[str, str], list[tuple[float, float]]]) -> Any:
    """Return a request with these series: labels, and (seconds, value) of each sample."""
    request = WriteRequest()
    for labels, samples in series:
        made = request.timeseries.add()
        for name, value in labels.items():
            made.labels.add(name=name, value=value)
        for at, value in samples:
            made.samples.add(value=value, timestamp=round(at * 1000))
    return request
