"""Asking HTTP services: what comes back from well-behaved, odd and hostile ones."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from subsystems.s1_operations.adapters import base, http, http_exchange
from subsystems.s1_operations.adapters.http_exchange import AddressRefused, BadAnswer, Question, Resolver

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Served:
    """A server that answers every question with the same bytes, and what it was sent."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.questions: list[bytes] = []


@asynccontextmanager
async def serving(answer: bytes, *, stays: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """Run a server on 127.0.0.1 that sends *answer*; with *stays* it then leaves the connection open."""
    served, over = Served(), asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            served.questions.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            if stays:
                await over.wait()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        over.set()
        server.close()


async def status_of(answer: bytes, *, head: bool = False, stays: bool = False) -> int:
    async with serving(answer, stays=stays) as served, asyncio.timeout(5):
        question = Question("127.0.0.1", served.port, b"GET / HTTP/1.1\r\n\r\n", head=head)
        return (await http_exchange.ask(question, Resolver(lambda *_: True), ssl.create_default_context())).status


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param(OK, 200, id="a length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, id="chunks"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, id="no body"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, id="a length, and yet no body"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, 200, id="a hint first"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + b"x" * 70_000, 200, id="much of a body"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 101, id="an upgrade"),
    ],
)
async def test_an_answer_is_over_when_http_says_so(answer: bytes, status: int) -> None:
    """A service that keeps its connection open must not be read as one that hangs."""
    assert await status_of(answer, stays=True) == status


async def test_an_answer_to_head_has_no_body() -> None:
    """Its length is that of the body which GET would bring."""
    assert await status_of(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", head=True, stays=True) == 200


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """As HTTP/1.0 servers have it."""
    assert await status_of(b"HTTP/1.0 200 OK\r\n\r\nsome text") == 200


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half of the headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", id="a part of the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", id="a part of the chunks"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X-More: and more\r\n" * 6_000, id="headers without end"),
    ],
)
async def test_what_is_no_whole_answer_is_refused(answer: bytes) -> None:
    """Something listens there, and yet visitors are not served."""
    with pytest.raises(BadAnswer):
        await status_of(answer)


async def test_an_address_that_is_refused_is_not_even_connected_to() -> None:
    """An open port inside must not be told from a closed one."""
    async with serving(OK) as served:
        for host in ("127.0.0.1", "localhost"):
            question = Question(host, served.port, b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(AddressRefused):
                await http_exchange.ask(question, http.guarded_resolver([]), ssl.create_default_context())

        assert served.connections == 0


async def test_each_address_of_a_name_is_judged_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads outside and inside must not lead inside, whichever comes first or answers faster."""
    rows = [(2, 1, 6, "", ("10.0.0.8", 80)), (2, 1, 6, "", ("93.184.216.34", 80))]
    monkeypatch.setattr(http_exchange, "_literal", lambda *_: [])
    monkeypatch.setattr(http_exchange.socket, "getaddrinfo", lambda *_, **__: rows)

    found = await http.guarded_resolver([]).addresses("two-faced.example", 80)

    assert [where for _, where in found] == [("93.184.216.34", 80)]


async def test_a_name_is_looked_up_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred units on one host are one question to the name server."""
    asked: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.216.34", 80))]

    monkeypatch.setattr(http_exchange, "_literal", lambda *_: [])
    monkeypatch.setattr(http_exchange.socket, "getaddrinfo", look_up)
    resolver = http.guarded_resolver([])

    await asyncio.gather(*(resolver.addresses("one.example", 80) for _ in range(5)))

    assert asked == ["one.example"]


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
async def test_the_next_address_is_tried_when_one_does_not_answer(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose IPv6 is broken is still up for its visitors."""
    connect = http_exchange._open

    async def open_second(address: http_exchange.Found) -> socket.socket:
        if address[1][0] == "127.0.0.2":
            await asyncio.Event().wait() if hangs else None
            raise ConnectionRefusedError
        return await connect(address)

    async with serving(OK) as served:
        rows = [(socket.AF_INET, (where, served.port)) for where in ("127.0.0.2", "127.0.0.1", "127.0.0.2")]
        monkeypatch.setattr(http_exchange, "_literal", lambda *_: rows)
        monkeypatch.setattr(http_exchange, "_open", open_second)
        question = Question("half.example", served.port, b"GET / HTTP/1.1\r\n\r\n")

        answer = await http_exchange.ask(question, Resolver(lambda *_: True), ssl.create_default_context())

    assert answer.status == 200


async def test_when_no_address_answers_the_error_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands beside the unit is what the system said."""
    async with serving(OK) as gone:
        rows = [(socket.AF_INET, ("127.0.0.1", gone.port))] * 2
    monkeypatch.setattr(http_exchange, "_literal", lambda *_: rows)
    unit = base.UnitRef(7, "service", {"url": f"http://127.0.0.1:{gone.port}/"})

    reading = await http.measure(http.guarded_resolver(["127.0.0.1"]), unit)

    assert (reading.heard, reading.metrics) == (False, {"http_up": 0.0})
    assert "Connect call failed" in reading.error


async def test_what_is_asked_names_the_host_and_the_path() -> None:
    """Many services behind one address are told apart by it."""
    async with serving(OK) as served:
        config = {"url": f"http://127.0.0.1:{served.port}/a b?c=ü#d", "method": "HEAD"}
        unit = base.UnitRef(7, "service", config)

        reading = await http.measure(http.guarded_resolver(["127.0.0.1"]), unit)

    assert reading.metrics["http_status"] == 200
    lines = served.questions[0].decode().split("\r\n")
    assert lines[0] == "HEAD /a%20b?c=%C3%BC HTTP/1.1"
    assert f"Host: 127.0.0.1:{served.port}" in lines


@pytest.mark.parametrize(
    ("url", "host", "port", "named"),
    [
        ("https://example.com", "example.com", 443, b"Host: example.com\r\n"),
        ("http://example.com:8080/x", "example.com", 8080, b"Host: example.com:8080\r\n"),
        ("http://[::1]:81/", "::1", 81, b"Host: [::1]:81\r\n"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, b"Host: xn--bcher-kva.example\r\n"),
        ("https://example.com:80/", "example.com", 80, b"Host: example.com:80\r\n"),
    ],
)
def test_an_address_says_where_to_ask(url: str, host: str, port: int, named: bytes) -> None:
    """As browsers read it."""
    question = http.probe_of({"url": url}).question

    assert (question.host, question.port) == (host, port)
    assert named in question.request


def certificate(folder: Path, name: str, *, days: int) -> Path:
    """Write a key and a certificate for *name* that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_a_certificate_is_verified_and_its_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser would turn visitors away from one that nobody vouches for, or that is of another name."""
    pem = certificate(tmp_path, "localhost", days=30)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pem)
    resolver = http.guarded_resolver(["127.0.0.0/8", "::1"])
    async with serving(OK, tls=server) as served:
        here, other = (base.UnitRef(1, "s", {"url": f"https://{h}:{served.port}/"}) for h in ("localhost", "127.0.0.1"))

        unknown = await http.measure(resolver, here)
        monkeypatch.setattr(http, "tls_verification", lambda: ssl.create_default_context(cafile=pem))
        trusted, misnamed = await http.measure(resolver, here), await http.measure(resolver, other)

    assert trusted.metrics["certificate_days_left"] == pytest.approx(30, abs=0.1)
    assert trusted.heard
    for refused in (unknown, misnamed):
        assert refused.metrics == {"http_up": 0.0}
        assert "certificate verify failed" in refused.error.lower()
