"""What publishers say they did: a line when they begin, a line when the commit is certain. Read by the checker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Told:
    """The ledgers of one side, together."""

    attempted: set[str] = field(default_factory=set)
    acknowledged: dict[str, float] = field(default_factory=dict)  # when, epoch seconds
    unsent: int = 0  # committed, and the sending failed loudly


class Ledger:
    """Appends to one publisher's file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def attempted(self, keys: Sequence[str]) -> None:
        self._file.write(f"attempted {' '.join(keys)}\n")

    def acknowledged(self, keys: Sequence[str]) -> None:
        if keys:
            self._file.write(f"acknowledged {time.time():.6f} {' '.join(keys)}\n")

    def unsent(self, keys: Sequence[str]) -> None:
        self._file.write(f"unsent {' '.join(keys)}\n")


class Reader:
    """Reads ledgers as they grow."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.told = Told()
        self._places = dict.fromkeys(paths, 0)

    def read(self) -> Told:
        """Return all that was told so far; a line that is still being written comes next time."""
        for path, place in self._places.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(place)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._places[path] = place + len(whole)
            for line in whole.decode().splitlines():
                self._take(line.split(" "))
        return self.told

    def _take(self, words: list[str]) -> None:
        if words[0] == "attempted":
            self.told.attempted.update(words[1:])
        elif words[0] == "acknowledged":
            self.told.acknowledged.update(dict.fromkeys(words[2:], float(words[1])))
        else:
            self.told.unsent += len(words) - 1
