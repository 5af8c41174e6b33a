"""The role of something whose name is made up anew at each start: the name without what is made up."""

from __future__ import annotations

import re

ANY = "*"
_HASH = "[bcdfghjklmnpqrstvwxz2456789]"  # of Kubernetes' names: no vowels, so that they are no words
_PARTS = [
    (re.compile(rf"-{_HASH}{{8,10}}-{_HASH}{{5}}$"), f"-{ANY}"),  # a pod of a deployment
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), ANY),  # a UUID
    (re.compile(r"(?<![0-9a-z])(?=[a-f]*\d)[0-9a-f]{12}([0-9a-f]{52})?(?![0-9a-z])"), ANY),  # a container
    (re.compile(rf"-(?=[a-z]*\d){_HASH}{{5}}$"), f"-{ANY}"),  # a pod of a daemon set or a job
    (re.compile(r"(?<=ip)(-\d{1,3}){4}"), f"-{ANY}"),  # a machine in a cloud
    (re.compile(r"(?<=[-_.])\d{4,}$"), ANY),  # a process
]


def role_of(name: str) -> str:
    """Return the name of the role of a unit, its own where nothing of it is made up.

    `shop/celery@web-7d9f8b5c6d-x2k4j` has the role `shop/celery@web-*`, as have all other pods of that deployment.
    """
    return "@".join(_durable(part) for part in name.split("@"))


def _durable(text: str) -> str:
    first, dot, rest = text.partition(".")  # of a host its domain says nothing
    for pattern, instead in _PARTS:
        found, n = pattern.subn(instead, first)
        if n:
            return found + dot + rest
    return text
