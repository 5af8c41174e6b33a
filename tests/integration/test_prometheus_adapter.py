"""Exporters as units: scraped over a real socket, guarded, and recorded with their labels."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import root_system
from subsystems.s1_operations import collection, services
from subsystems.s1_operations.adapters import prometheus
from subsystems.s1_operations.models import Unit
from subsystems.telemetry import queries

pytestmark = pytest.mark.django_db
PAGE = b'# TYPE hits counter\nhits_total{code="200"} 3\nup 1\n'
BODIES = {  # made once: packing the bomb takes longer than a page may
    "/metrics": PAGE, "/packed": gzip.compress(PAGE), "/broken": b"no page at all\n",
    "/bomb": gzip.compress(b"a 1\n" * prometheus.PAGE_BYTES), "/notgzip": b"x" * 50,
}  # fmt: skip


class Exporter(BaseHTTPRequestHandler):
    """Answers each path in its own way."""

    def do_GET(self) -> None:
        body = BODIES.get(self.path)
        self.send_response(200 if body else 404)
        if self.path in {"/packed", "/bomb", "/notgzip"}:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def exporter() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def _allowed(settings: Any) -> None:
    settings.HTTP_ALLOW = ["127.0.0.1"]


def probed(url: str) -> tuple[Unit, dict[str, float]]:
    unit = services.add_unit(root_system(), "prometheus", "exporter", {"url": url})
    collection.probe_unit(unit)
    unit.refresh_from_db()
    latest = queries.latest(root_system().pk).get("exporter", {})
    return unit, {name: value for name, (_, value) in latest.items()}


@pytest.mark.usefixtures("_allowed")
@pytest.mark.parametrize("path", ["/metrics", "/packed"])
def test_a_page_is_recorded_with_its_labels(exporter: str, path: str) -> None:
    """Every exporter there is can be watched as it is."""
    unit, values = probed(exporter + path)

    assert (values['hits_total{code="200"}'], values["up"], values["scrape_up"], values["scrape_samples"]) == (
        3,
        1,
        1,
        2,
    )
    assert (unit.state, unit.score, unit.last_error) == (Unit.State.ACTIVE, 1.0, "")


@pytest.mark.usefixtures("_allowed")
@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("/nothing", "answered with status 404", id="no page"),
        pytest.param("/bomb", "the packed page is too large or ends too early", id="a bomb"),
        pytest.param("/notgzip", "the page is not valid gzip", id="packed wrongly"),
    ],
)
def test_a_page_that_cannot_be_had_is_down_and_says_why(exporter: str, path: str, error: str) -> None:
    """Memory is bounded whatever answers."""
    unit, values = probed(exporter + path)

    assert (unit.last_error, values) == (error, {"scrape_up": 0})


@pytest.mark.usefixtures("_allowed")
def test_lines_that_are_none_are_told(exporter: str) -> None:
    """A page that is half understood must not pass for well."""
    unit, values = probed(f"{exporter}/broken")

    assert (unit.last_error, values["scrape_bad_lines"]) == ("1 lines of its page could not be read", 1)


def test_an_internal_address_is_refused_unless_it_is_allowed(exporter: str) -> None:
    """A unit must not turn the platform on the inside of its own network."""
    with pytest.raises(Invalid) as caught:
        services.add_unit(root_system(), "prometheus", "inside", {"url": exporter})
    unit = Unit.objects.create(
        system=root_system(),
        kind="prometheus",
        name="by-name",
        config={"url": exporter.replace("127.0.0.1", "localhost")},
    )
    collection.probe_unit(unit)
    unit.refresh_from_db()

    assert caught.value.field == "config.url"
    assert unit.last_error.startswith("refused: localhost is an internal address")
