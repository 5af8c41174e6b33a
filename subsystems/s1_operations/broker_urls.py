"""Broker addresses: which ones can be watched, and how they are shown without what is secret in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from subsystems.kernel.errors import Invalid

SCHEMES = ("amqp", "amqps", "redis", "rediss")
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*://)[^/\s@'\"]*@", re.IGNORECASE)
MAX_ERROR = 300
PUBLIC = "guest"  # RabbitMQ's default is no secret, and a word of its messages


def check(url: str, *, schemes: Sequence[str] = SCHEMES, what: str = "broker", field: str = "url") -> str:
    """Return *url* when it names a broker that can be watched. Raises Invalid, which never repeats the address.

    Another server that is reached in the same way says *what* it is, and which *schemes* it may have.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid(f"The {what}'s address cannot be read.", field=field) from None
    if parts.scheme not in schemes:
        raise Invalid(f"The {what}'s address must start with {', '.join(f'{s}://' for s in schemes)}.", field=field)
    if not parts.hostname or port == 0 or re.search(r"\s", url):
        example = f"{schemes[0]}://user:password@host{':5672/vhost' if schemes[0] == 'amqp' else ':6379/1'}"
        raise Invalid(f"The {what}'s address must name a host, as in {example}.", field=field)
    if ";" in url:  # kombu would take what follows for another broker, of any kind and with a password of its own
        raise Invalid(f"Give the address of one {what}; a semicolon inside it is written %3B.", field=field)
    if parts.scheme.startswith("redis") and not re.fullmatch(r"/?\d*", parts.path):
        raise Invalid("The path of a Redis address is the number of its database.", field=field)
    return url


def display(url: str) -> str:
    """Return the address without user, password and options."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def default_name(url: str) -> str:
    """Return a name for a fleet that was given none: its virtual host and host; of Redis's usual database the host."""
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if path == "0" and parts.scheme.startswith("redis"):
        path = ""
    return f"{path.replace('/', '.')}@{parts.hostname}" if path else str(parts.hostname)


def scrub(text: str, url: str = "") -> str:
    """Return an error's text without credentials: those of *url* in any spelling, and those in any address."""
    clean = _USERINFO.sub(r"\g<scheme>", text)
    for secret in _secrets(url):
        clean = clean.replace(secret, "***")
    return " ".join(clean.split())[:MAX_ERROR]


def _secrets(url: str) -> set[str]:
    password = urlsplit(url).password if url else None
    if not password or password == PUBLIC:
        return set()
    return {password, unquote(password), quote(unquote(password), safe="")}
