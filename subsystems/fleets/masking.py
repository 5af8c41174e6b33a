"""Hiding what must not be stored: arguments by their name, tasks by theirs, and values that look like secrets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

MASK = "•••"
SHORTEST = 5  # nothing shorter names a secret and gives it
ALWAYS = ("password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "authorization", "credential",
          "private_key", "access_key", "session_id", "sessionid", "cookie", "card_number", "cvv", "ssn")  # fmt: skip
# A value that gives itself away, whatever its name: credentials in an address, bearer tokens, JWTs, well-known keys.
SECRETS = re.compile(
    r"(?<=://)[^\s/@:'\"]{1,200}:[^\s/@'\"]{1,200}(?=@)"
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|\b(?:sk|pk|rk)_(?:live|test)_\w{8,}|\bgh[pousr]_\w{16,}|\bAKIA[0-9A-Z]{12,}|\bxox[abprs]-[\w-]{8,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$)"
)
HINTS = r"://|earer |eyJ|_live_|_test_|gh[pousr]_|AKIA|xox|-----BEGIN"  # one of these, or no match
# After a name in a dictionary's text or a call's: a quoted text, a container (whole, to its end or ours), or a word.
_QUOTED = r"'(?:[^'\\]|\\.)*(?:'|$)|\"(?:[^\"\\]|\\.)*(?:\"|$)"
_VALUE = rf"(?:b?(?:{_QUOTED})|[\[({{][^\])}}]*(?:[\])}}]|$)|[^,)}}\]\s]+)"


@dataclass(frozen=True)
class Masking:
    """What a fleet's rules hide. *names* are parts of argument names, *tasks* patterns such as `billing.*`."""

    names: Sequence[str] = ()
    tasks: Sequence[str] = ()
    _named: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _hint: re.Pattern[str] = field(init=False, repr=False, compare=False)  # most texts name nothing of the kind

    def __post_init__(self) -> None:
        parts = "|".join(re.escape(name) for name in (*ALWAYS, *self.names) if name)
        named = re.compile(
            rf"((?:'[^']{{0,80}}?(?:{parts})[^']{{0,80}}'|\"[^\"]{{0,80}}?(?:{parts})[^\"]{{0,80}}\")\s*:\s*"
            rf"|\b\w{{0,80}}?(?:{parts})\w{{0,80}}\s*=\s*){_VALUE}",
            re.IGNORECASE,
        )
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_hint", re.compile(f"{HINTS}|{parts}", re.IGNORECASE))

    def hides(self, task: str) -> bool:
        """Return whether nothing that *task* is given or returns may be stored."""
        return bool(self.tasks) and any(fnmatchcase(task, pattern) for pattern in self.tasks)

    def masked(self, text: str) -> str:
        """Return *text* without what must not be stored."""
        if len(text) < SHORTEST:
            return text
        if not self._hint.search(text):
            return text
        return SECRETS.sub(MASK, self._named.sub(rf"\g<1>{MASK}", text))


@lru_cache(maxsize=256)
def masking(names: tuple[str, ...], tasks: tuple[str, ...]) -> Masking:
    """Return the rules, made once: a pattern takes long to build."""
    return Masking(names, tasks)
