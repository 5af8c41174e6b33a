"""Measuring pieces of work."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Operation:
    """Tells of each run of what it decorates, or of what runs inside its `with`: how long it took and how it ended.

    The platform makes quantiles, the last errors and the states of the unit of it. Beside that, totals are sent as
    samples: `operations_total`, `operation_errors_total` and `operation_seconds_total`, each with the label
    `operation`.
    """

    def __init__(
        self, count: Callable[..., None], ended: Callable[..., None], name: str, labels: Mapping[str, str]
    ) -> None:
        self._count, self._ended = count, ended
        self._labels = {**labels, "operation": name}
        self._started: list[float] = []

    def __enter__(self) -> Operation:
        self._started.append(time.perf_counter())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        self._note(time.perf_counter() - self._started.pop(), error)

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
        return Operation(self._count, self._ended, self._labels["operation"], labels)

    def _note(self, seconds: float, error: BaseException | None) -> None:
        self._ended(self._labels["operation"], seconds, error)
        self._count("operations_total", 1.0, self._labels)
        self._count("operation_seconds_total", seconds, self._labels)
        if error is not None:
            self._count("operation_errors_total", 1.0, {**self._labels, "error": type(error).__name__})
