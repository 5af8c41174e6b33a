"""Static files in front of Django."""

from __future__ import annotations

import asyncio
from typing import Any

import cramjam
import pytest
from asgiref.testing import ApplicationCommunicator

from vsm_site.static_files import StaticFiles

PATH = "/static/admin/css/base.css"


async def django(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"django"})


async def fetch(
    path: str, *, method: str = "GET", headers: dict[bytes, bytes] | None = None
) -> tuple[int, dict[bytes, bytes], bytes]:
    scope = {"type": "http", "path": path, "method": method, "headers": list((headers or {}).items())}
    communicator = ApplicationCommunicator(StaticFiles(django), scope)
    start = await communicator.receive_output(5)
    body = b""
    more = True
    while more:
        part = await communicator.receive_output(5)
        body += part["body"]
        more = part.get("more_body", False)
    return start["status"], dict(start["headers"]), body


def test_a_file_arrives_whole_with_its_type_and_length() -> None:
    """It is larger than one chunk in some places, and a browser checks the length."""
    status, headers, body = asyncio.run(fetch(PATH))

    assert status == 200
    assert headers[b"content-type"].startswith(b"text/css")
    assert int(headers[b"content-length"]) == len(body)


def test_a_file_that_did_not_change_is_not_sent_again() -> None:
    """A dashboard is reloaded all day."""
    _, headers, _ = asyncio.run(fetch(PATH))

    status, _, body = asyncio.run(fetch(PATH, headers={b"if-none-match": headers[b"etag"]}))

    assert (status, body) == (304, b"")


def test_text_leaves_as_small_as_the_browser_can_read_it() -> None:
    """The first page over a slow line waits for all scripts and styles."""
    _, _, plain = asyncio.run(fetch(PATH))

    for asked, encoding, unpack in ((b"gzip, deflate, br", b"br", cramjam.brotli), (b"gzip", b"gzip", cramjam.gzip)):
        _, headers, body = asyncio.run(fetch(PATH, headers={b"accept-encoding": asked}))
        assert (headers[b"content-encoding"], headers[b"vary"]) == (encoding, b"Accept-Encoding")
        assert int(headers[b"content-length"]) == len(body) < len(plain) / 2
        assert bytes(unpack.decompress(body)) == plain


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        pytest.param("/static/nothing.css", "GET", 299, id="a file that does not exist"),
        pytest.param("/static/../manage.py", "GET", 299, id="a way out of the folder"),
        pytest.param("/dashboard/", "GET", 299, id="a page"),
        pytest.param(PATH, "POST", 405, id="a method that files do not have"),
    ],
)
def test_what_is_not_a_file_is_left_to_django(path: str, method: str, status: int) -> None:
    """Only known files are served, by name; nothing is looked up on the disk."""
    assert asyncio.run(fetch(path, method=method))[0] == status
