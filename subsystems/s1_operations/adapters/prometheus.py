"""Prometheus exporters: their page is read each cycle, guarded like every HTTP service that is watched."""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from pydantic import AnyHttpUrl, BaseModel

from subsystems.s1_operations.adapters import base, http_exchange
from subsystems.s1_operations.adapters.http import AddressConfig, guarded_resolver, in_time
from subsystems.s1_operations.adapters.http_exchange import BadAnswer, Exchange, Question, Resolver
from subsystems.telemetry.doors.prometheus_text import Page, read_page
from subsystems.telemetry.tables import Remembered

PAGE_BYTES = 16 * 1024 * 1024  # a larger page is given up
AT_ONCE = 8  # pages that are held in memory at a time
HEADERS = (
    "User-Agent: vsm-prometheus-adapter",
    "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding: gzip",
    "Connection: close",
)
_pages: Remembered[Page] = Remembered(max_items=1000, max_size=64_000_000)


class PrometheusAdapter:
    kind: ClassVar[str] = "prometheus"
    title: ClassVar[str] = "Prometheus exporter"
    Config: ClassVar[type[BaseModel]] = AddressConfig

    async def collect(self, units: Sequence[base.UnitRef], context: base.Context) -> list[base.Reading]:
        resolver = guarded_resolver(context.http_allow)
        room = asyncio.Semaphore(AT_ONCE)

        async def one(unit: base.UnitRef) -> base.Reading:
            async with room:
                return await scrape(unit, resolver, context.now)

        return list(await asyncio.gather(*map(one, units)))


async def scrape(unit: base.UnitRef, resolver: Resolver, now: float) -> base.Reading:
    """Read one exporter's page, within the time of one unit."""
    return await in_time(lambda: _read(unit, resolver, now), lambda why: _down(unit, why))


async def _read(unit: base.UnitRef, resolver: Resolver, now: float) -> base.Reading:
    started = time.perf_counter()
    status, body = await _fetch(_question(str(unit.config["url"])), resolver)
    seconds = time.perf_counter() - started
    if status != 200:
        return _down(unit, f"answered with status {status}")
    page = _pages.get((unit.id, unit.name)) or Page(unit.name)
    read = read_page(body, page, now=now)
    _pages.keep((unit.id, unit.name), page, page.size())
    metrics = {"scrape_up": 1.0, "scrape_seconds": seconds, "scrape_samples": float(len(read.table))}
    error = f"{read.bad} lines of its page could not be read" if read.bad else ""
    metrics["scrape_bad_lines"] = float(read.bad)
    return base.Reading(unit.id, metrics, error=error, parts={"up": 1.0}, table=read.table)


async def _fetch(question: Question, resolver: Resolver) -> tuple[int, bytes]:
    """Return the status and the page. Raises AddressRefused, BadAnswer and OSError."""
    connected = await http_exchange.connect(await resolver.addresses(question.host, question.port))
    secure: dict[str, Any] = {"ssl": _tls(), "server_hostname": question.host} if question.tls else {}
    loop = asyncio.get_running_loop()
    try:
        _, exchange = await loop.create_connection(lambda: PageExchange(question), sock=connected, **secure)
    except BaseException:
        connected.close()
        raise
    try:
        status = await exchange.answered
        return status, exchange.page()
    finally:
        exchange.hang_up()


class PageExchange(Exchange):
    """An exchange that keeps the body, up to a size."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._body = bytearray()
        self._gzip = False

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._gzip = self._gzip or (name.lower() == b"content-encoding" and value.strip().lower() == b"gzip")

    def on_body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > PAGE_BYTES:
            self._body.clear()
            self._fail(f"the page has more than {PAGE_BYTES:,} bytes")

    def page(self) -> bytes:
        """Return the page as it was before it was packed. Raises BadAnswer."""
        if not self._gzip:
            return bytes(self._body)
        unpacker = zlib.decompressobj(wbits=31)
        try:
            page = unpacker.decompress(self._body, PAGE_BYTES + 1)
        except zlib.error:
            raise BadAnswer("the page is not valid gzip") from None
        if len(page) > PAGE_BYTES or not unpacker.eof:
            raise BadAnswer("the packed page is too large or ends too early")
        return page


def _question(url: str) -> Question:
    parts = AnyHttpUrl(url)
    host, tls = (parts.host or "").strip("[]"), parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    lines = [f"GET {target} HTTP/1.1", f"Host: {shown}:{port}", *HEADERS, "", ""]
    return Question(host, port, "\r\n".join(lines).encode("ascii"), tls)


def _down(unit: base.UnitRef, why: str) -> base.Reading:
    return base.Reading(unit.id, {"scrape_up": 0.0}, error=why, parts={"up": 0.0}, heard=False)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
