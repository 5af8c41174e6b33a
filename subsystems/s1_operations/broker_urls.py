"""Broker addresses: which ones can be watched, and how they are shown without what is secret in them."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from subsystems.kernel.errors import Invalid

SCHEMES = ("amqp", "amqps", "redis", "rediss")
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*://)[^/\s@'\"]*@", re.IGNORECASE)
MAX_ERROR = 300
PUBLIC = "guest"  # RabbitMQ's default is no secret, and a word of its messages


def check(url: str) -> str:
    """Return *url* when it names a broker that can be watched. Raises Invalid, which never repeats the address."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid("The broker's address cannot be read.", field="url") from None
    if parts.scheme not in SCHEMES:
        raise Invalid(f"The broker's address must start with {', '.join(f'{s}://' for s in SCHEMES)}.", field="url")
    if not parts.hostname or port == 0 or re.search(r"\s", url):
        raise Invalid("The broker's address must name a host, as in amqp://user:password@host:5672/vhost.", field="url")
    if ";" in url:  # kombu would take what follows for another broker, of any kind and with a password of its own
        raise Invalid("Give the address of one broker; a semicolon inside it is written %3B.", field="url")
    if parts.scheme.startswith("redis") and not re.fullmatch(r"/?\d*", parts.path):
        raise Invalid("The path of a Redis address is the number of its database.", field="url")
    return url


def display(url: str) -> str:
    """Return the address without user, password and options."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def default_name(url: str) -> str:
    """Return a name for a fleet that was given none: its virtual host and host."""
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
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
