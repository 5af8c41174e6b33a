"""HTTP services: one request per cycle, guarded against being turned on the inside of our own network.

A fresh connection each time is part of the measurement (a service that accepts no connection is down, a renewed
certificate is seen), and nothing is kept between cycles. No redirect is followed and no proxy variable is read.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, Literal

import certifi
from pydantic import AnyHttpUrl, BaseModel, Field, field_validator

from subsystems.kernel.health import limit_health
from subsystems.s1_operations.adapters import base
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer, Question, Resolver, ask

Address = IPv4Address | IPv6Address
# People notice half a second; at the time limit of a unit there is nothing left.
LATENCY = {"soft": 0.5, "hard": base.UNIT_TIMEOUT_SECONDS}
# Two weeks are time to renew at leisure; on the last day visitors are turned away.
CERTIFICATE_DAYS = {"soft": -14.0, "hard": 0.0}
NAT64 = IPv6Network("64:ff9b::/96")
# Requests start this far apart, and wait while the loop cannot keep up: two hundred at once would wait for our own
# processor, and that wait would be read as the services' latency, or as their death. One that hangs holds up nobody.
SPACING_SECONDS, LAG_SECONDS = 0.004, 0.005
LAST_START_SECONDS = 1.8  # whoever has not started by then starts at once, so that all end within the cycle
END_SECONDS = 2.8
HEADERS = ("User-Agent: vsm-http-adapter", "Accept: */*", "Accept-Encoding: gzip, deflate", "Connection: close")


class AddressConfig(base.Config):
    """A unit that is reached at an address."""

    url: AnyHttpUrl

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, value: AnyHttpUrl) -> AnyHttpUrl:
        if value.username or value.password:
            raise ValueError("must not carry a user or a password: it is shown")
        return value


class HttpConfig(AddressConfig):
    method: Literal["GET", "HEAD"] = "GET"
    expect_status: int | None = Field(None, ge=100, le=599)


class HttpAdapter:
    kind: ClassVar[str] = "http"
    title: ClassVar[str] = "HTTP service"
    Config: ClassVar[type[BaseModel]] = HttpConfig

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        if not units:
            return []
        return await _measure_all(guarded_resolver(context.http_allow), units)


def guarded_resolver(allow: Sequence[str]) -> Resolver:
    """Return what finds addresses for one cycle, and gives inside ones only where *allow* lists them."""
    return Resolver(lambda host, address: is_allowed(host, address, allow))


def is_allowed(hostname: str, address: Address, allow: Sequence[str]) -> bool:
    """Return whether a connection may go there: anywhere public, inside only by name or network of *allow*."""
    return is_public(address) or any(_covers(entry, hostname, address) for entry in allow)


def is_public(address: Address) -> bool:
    """Return whether *address* is of the open internet; an inside address wrapped in NAT64 or IPv6 is not."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(IPv4Address(address.packed[-4:]))
    return address.is_global and not address.is_multicast


async def _measure_all(resolver: Resolver, units: Sequence[base.UnitRef]) -> list[base.Reading]:
    """Ask all services, as fast as our own processor allows; what there was no time for is unknown, not down."""
    started = time.monotonic()
    asked = []
    for unit in units:
        asked.append(asyncio.create_task(measure(resolver, unit)))
        await _keep_pace(until=started + LAST_START_SECONDS)
    _, late = await asyncio.wait(asked, timeout=max(0.0, started + END_SECONDS - time.monotonic()))
    for task in late:
        task.cancel()
    why = "the collector had no time to ask"
    return [
        base.Reading(unit.id, error=why, heard=False) if task in late else task.result()
        for unit, task in zip(units, asked, strict=True)
    ]


async def _keep_pace(*, until: float) -> None:
    while (before := time.monotonic()) < until:
        await asyncio.sleep(SPACING_SECONDS)
        if time.monotonic() - before < SPACING_SECONDS + LAG_SECONDS:
            return


async def measure(resolver: Resolver, unit: base.UnitRef) -> base.Reading:
    """Ask one service, within the time of one unit."""
    return await in_time(lambda: _ask(resolver, unit, probe_of(unit.config)), lambda why: _down(unit, why))


async def in_time(ask: Callable[[], Awaitable[base.Reading]], down: Callable[[str], base.Reading]) -> base.Reading:
    """Return what *ask* brings within the time of one unit, else *down* with the reason in words."""
    try:
        async with asyncio.timeout(base.UNIT_TIMEOUT_SECONDS):
            return await ask()
    except TimeoutError:
        return down(f"no answer within {base.UNIT_TIMEOUT_SECONDS:g} s")
    except AddressRefused as error:
        return down(f"refused: {error.host} is an internal address; VSM_HTTP_ALLOW would permit it")
    except (BadAnswer, OSError, ValueError) as error:
        return down(str(error) or type(error).__name__)


async def _ask(resolver: Resolver, unit: base.UnitRef, probe: Probe) -> base.Reading:
    started = time.perf_counter()
    answer = await ask(probe.question, resolver, tls_verification())
    metrics = {"http_status": float(answer.status), "latency_seconds": time.perf_counter() - started}
    metrics["http_up"] = float(is_up(answer.status, probe.expect_status))
    days_left = certificate_days_left(answer.certificate)
    if days_left is not None:
        metrics["certificate_days_left"] = days_left
    error = "" if metrics["http_up"] else f"answered with status {answer.status}"
    return base.Reading(unit.id, metrics, error=error, parts=health_parts(metrics))


@dataclass(frozen=True, slots=True)
class Probe:
    """What a unit's configuration asks for."""

    question: Question
    expect_status: int | None


def probe_of(config: Mapping[str, Any]) -> Probe:
    """Return what *config* asks for. Raises ValueError when it is none of ours."""
    return _probe(json.dumps(dict(config), sort_keys=True))


@lru_cache(4096)  # it is the same every cycle
def _probe(config: str) -> Probe:
    read = HttpConfig.model_validate_json(config)
    return Probe(question_of(read.url, read.method), read.expect_status)


def question_of(url: AnyHttpUrl, method: str) -> Question:
    """Return what to send where for *url*, which pydantic has spelled in ASCII already."""
    tls, host = url.scheme == "https", url.host or ""
    port = url.port or (443 if tls else 80)
    named = host if port == (443 if tls else 80) else f"{host}:{port}"
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    request = "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {named}", *HEADERS, "", ""])
    return Question(host.strip("[]"), port, request.encode("ascii"), tls=tls, head=method == "HEAD")


def is_up(status: int, expected: int | None) -> bool:
    """Return whether *status* is the expected one, or any success or redirect where none was named."""
    return status == expected if expected is not None else 200 <= status < 400


def health_parts(metrics: dict[str, float]) -> dict[str, float | None]:
    parts: dict[str, float | None] = {
        "up": metrics["http_up"],
        "latency": limit_health(metrics.get("latency_seconds"), **LATENCY),
    }
    if "certificate_days_left" in metrics:
        parts["certificate"] = limit_health(-metrics["certificate_days_left"], **CERTIFICATE_DAYS)
    return parts


def certificate_days_left(certificate: Mapping[str, Any]) -> float | None:
    """Return how long the peer's certificate is still valid; None without TLS."""
    if not certificate:
        return None
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), tz=UTC)
    return (ends - datetime.now(tz=UTC)).total_seconds() / 86_400


def _down(unit: base.UnitRef, why: str) -> base.Reading:
    return base.Reading(unit.id, {"http_up": 0.0}, error=why, parts={"up": 0.0}, heard=False)


def _covers(entry: str, hostname: str, address: Address) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return entry.lower() == hostname.lower()


def literal_address(host: str) -> Address | None:
    """Return the address that *host* spells, or None when it is a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


@cache
def tls_verification() -> ssl.SSLContext:
    """Return what checks certificates, the same for all."""
    context = ssl.create_default_context(cafile=certifi.where())  # 10 ms each: one for all cycles
    context.set_alpn_protocols(["http/1.1"])
    return context
