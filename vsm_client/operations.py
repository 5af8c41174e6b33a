"""Measuring pieces of work."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Operation:
    """Counts runs, failures by exception, and seconds, of what it decorates or what runs inside its `with`.

    The totals are `operations_total`, `operation_errors_total` and `operation_seconds_total`, each with the label
    `operation`; their rates tell the throughput, the share of failures and the mean duration.
    """

    def __init__(self, count: Callable[..., None], name: str, labels: Mapping[str, str]) -> None:
        self._count = count
        self._labels = {**labels, "operation": name}
        self._started: list[float] = []

    def __enter__(self) -> Operation:
        self._started.append(time.perf_counter())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._note(time.perf_counter() - self._started.pop(), kind)

    def __call__(self, function: F) -> F:
        """Return *function*, measured; a coroutine's time is until it ends."""

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return function(*args, **kwargs)

        @functools.wraps(function)
        async def measured_later(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return await function(*args, **kwargs)

        return measured_later if inspect.iscoroutinefunction(function) else measured  # type: ignore[return-value]

    def _anew(self) -> Operation:
        """Return one for a single run: runs may overlap, in threads or in a loop."""
        labels = {name: text for name, text in self._labels.items() if name != "operation"}
        return Operation(self._count, self._labels["operation"], labels)

    def _note(self, seconds: float, kind: type[BaseException] | None) -> None:
        self._count("operations_total", 1.0, self._labels)
        self._count("operation_seconds_total", seconds, self._labels)
        if kind is not None:
            self._count("operation_errors_total", 1.0, {**self._labels, "error": kind.__name__})
