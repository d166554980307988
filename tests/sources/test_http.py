"""Servers that lie, stall, flood, redirect and change: each gives the promised error, in time, having sent no
more than was asked for.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.core.limits import Limits, parse_limits
from modelinspect.errors import LocationError, ModelInspectError, SourceChangedError

pytest.importorskip("aiohttp")
DATA = fixture_path("mlp/original.h5").read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `DATA` in ranges; what a test makes wrong it does by ``answer``."""

    answer: Callable[[Handler], None] | None = None
    requests: list[str]
    sent: int

    def log_message(self, format: str, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        kind: Any = type(self)
        kind.requests.append(f"{self.path} {self.headers.get('Range')}")
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may leave early, as it should
            kind.answer(self) if kind.answer is not None else self.range()

    def range(self, headers: dict[str, str] | None = None, data: bytes = DATA, extra: bytes = b"") -> None:
        """Answer a range of the data as an honest server does, with other headers or more bytes where a test
        asks for that.
        """
        begin, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        part = data[int(begin) : int(end) + 1] + extra
        told = {
            "Content-Length": str(len(part)),
            "Content-Range": f"bytes {begin}-{int(begin) + len(part) - 1}/{len(data)}",
            "ETag": '"one"',
        }
        self.reply(206, {**told, **(headers or {})}, part)

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        type(self).sent += len(body)
        self.wfile.write(body)


@contextmanager
def served(answer: Callable[[Handler], None] | None = None) -> Iterator[tuple[str, type[Handler]]]:
    handler = type(
        "Served",
        (Handler,),
        {"answer": staticmethod(answer) if answer is not None else None, "requests": [], "sent": 0},
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model.h5", handler
    finally:
        server.shutdown()
        server.server_close()


def refused(answer: Callable[[Handler], None], limits: Limits | None = None) -> ModelInspectError:
    with served(answer) as (url, _), pytest.raises(ModelInspectError) as caught:
        mi.inspect(url, limits=limits)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_honest_server_gives_the_report_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(DATA)
    with served() as (url, handler):
        remote = mi.inspect(url).to_dict()
    local = mi.inspect(tmp_path / "model.h5").to_dict()
    assert remote["categories"] == local["categories"]
    assert remote["tensors"] == local["tensors"]
    assert handler.sent <= len(DATA) + 1


def test_compressed_replies_are_refused() -> None:
    error = refused(lambda handler: handler.range({"Content-Encoding": "gzip"}))
    assert isinstance(error, LocationError)


def test_another_entity_tag_is_a_change() -> None:
    count = iter(range(1_000))
    assert isinstance(
        refused(lambda handler: handler.range({"ETag": f'"{next(count)}"'})), SourceChangedError
    )


def test_another_size_is_a_change() -> None:
    count = iter(range(1_000))
    assert isinstance(
        refused(lambda handler: handler.range(data=DATA + bytes(next(count)))), SourceChangedError
    )


def test_a_server_that_ignores_ranges_is_told_before_its_whole_reply_is_read() -> None:
    size = 1 << 30

    def whole(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        for _ in range(size // 65_536):
            handler.wfile.write(bytes(65_536))
            type(handler).sent += 65_536

    with served(whole) as (url, handler), pytest.raises(ModelInspectError):
        mi.inspect(url)
    assert handler.sent < 64 << 20  # what sockets hold, and no more


def test_a_reply_longer_than_the_range_is_cut_off() -> None:
    error = refused(lambda handler: handler.range(extra=bytes(1 << 20)))
    assert isinstance(error, SourceChangedError)


def test_a_range_that_was_not_asked_for_is_refused() -> None:
    error = refused(lambda handler: handler.range({"Content-Range": f"bytes 7-8/{len(DATA)}"}))
    assert isinstance(error, SourceChangedError)


def test_a_reply_that_ends_early_is_told() -> None:
    def short(handler: Handler) -> None:
        begin = handler.headers["Range"].removeprefix("bytes=").partition("-")[0]
        handler.reply(
            206, {"Content-Range": f"bytes {begin}-{begin}/{len(DATA)}", "Content-Length": "1"}, DATA[:1]
        )

    assert isinstance(refused(short), SourceChangedError)


def test_a_size_that_is_a_lie_ends_in_an_error_and_not_in_memory() -> None:
    """A file said to be of 2**60 bytes is read in pages as far as its structures lead."""

    def large(handler: Handler) -> None:
        begin = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        part = DATA[begin : begin + 65_536]
        handler.reply(
            206,
            {"Content-Range": f"bytes {begin}-{begin + len(part)}/{2**60}", "Content-Length": str(len(part))},
            part,
        )

    with served(large) as (url, handler), pytest.raises(ModelInspectError):
        mi.inspect(url)
    assert handler.sent < 1 << 20


@pytest.mark.parametrize("stall", ["before the headers", "between bytes"])
def test_all_requests_share_one_deadline(stall: str) -> None:
    def slow(handler: Handler) -> None:
        if stall == "before the headers":
            time.sleep(5)
            return
        begin, _, end = handler.headers["Range"].removeprefix("bytes=").partition("-")
        if begin == end:
            handler.range()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {begin}-{end}/{len(DATA)}")
        handler.send_header("Content-Length", str(int(end) - int(begin) + 1))
        handler.end_headers()
        for _ in range(50):
            time.sleep(0.1)
            handler.wfile.write(b"x")
            handler.wfile.flush()

    began = time.monotonic()
    error = refused(slow, Limits(remote_seconds=1))
    assert isinstance(error, LocationError)
    assert time.monotonic() - began < 4.5


def test_the_deadline_is_for_the_artifact_and_not_for_a_request() -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.6)
        handler.range()

    assert isinstance(refused(slowly, Limits(remote_seconds=1)), LocationError)


def test_a_redirect_to_another_host_is_followed_only_on_request() -> None:
    with served() as (target, there):

        def away(handler: Handler) -> None:
            handler.reply(302, {"Location": target.replace("127.0.0.1", "localhost"), "Content-Length": "0"})

        assert isinstance(refused(away), LocationError)
        assert there.requests == []
        with served(away) as (url, _):
            report = mi.inspect(url, limits=parse_limits((), follow=True))
    assert report.artifact.size == len(DATA)


def test_a_redirect_within_the_host_is_followed() -> None:
    def moved(handler: Handler) -> None:
        if handler.path == "/model.h5":
            handler.reply(301, {"Location": "/elsewhere.h5", "Content-Length": "0"})
        else:
            handler.range()

    with served(moved) as (url, _):
        assert mi.inspect(url).artifact.size == len(DATA)


@pytest.mark.parametrize("target", ["/model.h5", "file:///etc/hostname", "ftp://127.0.0.1/x", "", "//[bad"])
def test_a_redirect_in_a_circle_or_to_another_protocol_is_refused(target: str) -> None:
    def answer(handler: Handler) -> None:
        handler.reply(302, {"Location": target, "Content-Length": "0"})

    with served(answer) as (url, handler), pytest.raises(LocationError):
        mi.inspect(url, limits=parse_limits((), follow=True))
    assert len(handler.requests) <= 24


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_status_that_is_no_answer_is_one_clear_error(status: int) -> None:
    assert isinstance(refused(lambda handler: handler.reply(status, {"Content-Length": "0"})), LocationError)


def test_a_file_without_bytes_is_no_model() -> None:
    refused(lambda handler: handler.reply(416, {"Content-Range": "bytes */0", "Content-Length": "0"}))
