"""HTTP services: one request per cycle, guarded against being turned on the inside of our own network.

A fresh connection each time is part of the measurement (a service that accepts no connection is down, a renewed
certificate is seen), and nothing is kept between cycles. The client is hidden behind this module (libraries 4.3).
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, Literal

import httpx
from httpx_secure import SSRFProtectionError, httpx_ssrf_protection
from pydantic import AnyHttpUrl, BaseModel, Field, field_validator

from subsystems.kernel.health import limit_health
from subsystems.s1_operations.adapters import base

Address = IPv4Address | IPv6Address
BODY_CAP = 64 * 1024  # enough to see that a body comes; the rest is the service's business
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

if find_spec("sniffio") is None:
    # httpcore tries to import it at each lock, and a failing search of the disk is a third of a request's cost.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


class HttpConfig(base.Config):
    url: AnyHttpUrl
    method: Literal["GET", "HEAD"] = "GET"
    expect_status: int | None = Field(None, ge=100, le=599)

    @field_validator("url")
    @classmethod
    def _without_credentials(cls, value: AnyHttpUrl) -> AnyHttpUrl:
        if value.username or value.password:
            raise ValueError("must not carry a user or a password: it is shown")
        return value


class HttpAdapter:
    kind: ClassVar[str] = "http"
    title: ClassVar[str] = "HTTP service"
    Config: ClassVar[type[BaseModel]] = HttpConfig

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        if not units:
            return []
        async with guarded_client(context.http_allow) as client:
            return await _measure_all(client, units)


def guarded_client(allow: Sequence[str]) -> httpx.AsyncClient:
    """Return a client that follows no redirect, reads no proxy variables, and connects inside only where allowed."""
    client = httpx.AsyncClient(
        verify=_verification(),
        follow_redirects=False,
        trust_env=False,
        timeout=base.UNIT_TIMEOUT_SECONDS,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        headers={"User-Agent": "vsm-http-adapter"},
    )

    def permitted(hostname: str, address: Address, port: int) -> bool:
        return is_allowed(hostname, address, allow)

    httpx_ssrf_protection(client, check_globally_reachable=False, custom_validator=permitted)
    return client


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


async def _measure_all(client: httpx.AsyncClient, units: Sequence[base.UnitRef]) -> list[base.Reading]:
    """Ask all services, as fast as our own processor allows; what there was no time for is unknown, not down."""
    started = time.monotonic()
    asked = []
    for unit in units:
        asked.append(asyncio.create_task(measure(client, unit)))
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


async def measure(client: httpx.AsyncClient, unit: base.UnitRef) -> base.Reading:
    """Ask one service, within the time of one unit."""
    try:
        async with asyncio.timeout(base.UNIT_TIMEOUT_SECONDS):
            return await _ask(client, unit, HttpConfig.model_validate(unit.config))
    except TimeoutError:
        return _down(unit, f"no answer within {base.UNIT_TIMEOUT_SECONDS:g} s")
    except SSRFProtectionError as error:
        return _down(unit, f"refused: {error.hostname} is an internal address; VSM_HTTP_ALLOW would permit it")
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError, ValueError) as error:
        return _down(unit, str(error) or type(error).__name__)


async def _ask(client: httpx.AsyncClient, unit: base.UnitRef, config: HttpConfig) -> base.Reading:
    started = time.perf_counter()
    async with client.stream(config.method, str(config.url)) as response:
        certificate = certificate_days_left(response.extensions.get("network_stream"))
        await _read_some(response)
    metrics = {"http_status": float(response.status_code), "latency_seconds": time.perf_counter() - started}
    metrics["http_up"] = float(is_up(response.status_code, config.expect_status))
    if certificate is not None:
        metrics["certificate_days_left"] = certificate
    error = "" if metrics["http_up"] else f"answered with status {response.status_code}"
    return base.Reading(unit.id, metrics, error=error, parts=health_parts(metrics))


async def _read_some(response: httpx.Response) -> None:
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size >= BODY_CAP:
            return


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


def certificate_days_left(stream: Any) -> float | None:
    """Return how long the peer's certificate is still valid; None without TLS."""
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = tls.getpeercert() if tls is not None else None
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
def _verification() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # 10 ms each: one for all cycles
