"""What the structure of a large remote model costs, in requests and bytes, and that what is sent for several
ranges is checked.
"""

from __future__ import annotations

import http.server
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.fixtures import fixture_path
from tests.support.large_models import write_efficientnet_b7, write_tflite

import modelinspect as mi
from modelinspect.core.limits import parse_limits
from modelinspect.errors import LocationError, SourceChangedError
from modelinspect.sources.byteranges import batches, boundary_of, cut, merge, read_parts
from modelinspect.sources.remote import BLOCK, PAGE, RemoteSource

pytest.importorskip("aiohttp")
BOUNDARY = "a boundary's (text)"
Range = tuple[int, int]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a file in one or several ranges, and counts; ``several`` answers requests for several."""

    path_on_disk: Path
    several: Callable[[Handler, list[Range]], None] | None
    requests: list[list[Range]]
    sent: int

    def log_message(self, format: str, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        kind: Any = type(self)
        wanted = [part.split("-") for part in self.headers["Range"].removeprefix("bytes=").split(",")]
        ranges = [(int(begin), int(end) + 1) for begin, end in wanted]
        kind.requests.append(ranges)
        with suppress(BrokenPipeError, ConnectionResetError):
            if len(ranges) == 1:
                begin, end = ranges[0]
                span = f"bytes {begin}-{min(end, self.size) - 1}/{self.size}"
                self.reply(206, {"Content-Range": span}, self.read(begin, end))
            elif kind.several is not None:
                kind.several(self, ranges)
            else:
                self.parts(ranges)

    @property
    def size(self) -> int:
        return self.path_on_disk.stat().st_size

    def read(self, begin: int, end: int) -> bytes:
        with self.path_on_disk.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)

    def parts(
        self,
        ranges: list[Range],
        change: Callable[[bytes], bytes] = bytes,
        size: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer several ranges, with a change of the reply where a test asks for one."""
        whole = size or self.size
        body = b"".join(
            f"--{BOUNDARY}\r\nContent-Range: bytes {begin}-{end - 1}/{whole}\r\n\r\n".encode()
            + self.read(begin, end)
            + b"\r\n"
            for begin, end in ranges
        )
        told = {"Content-Type": f'multipart/byteranges; boundary="{BOUNDARY}"', **(headers or {})}
        self.reply(206, told, change(body + f"--{BOUNDARY}--\r\n".encode()))

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        type(self).sent += len(body)
        self.wfile.write(body)


@contextmanager
def served(
    path: Path, several: Callable[[Handler, list[Range]], None] | None = None
) -> Iterator[tuple[str, type[Handler]]]:
    content = {"path_on_disk": path, "requests": [], "sent": 0}
    handler = type("Served", (Handler,), {**content, "several": staticmethod(several) if several else None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{path.name}", handler
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "efficientnetb7.h5"
    write_efficientnet_b7(path)
    return path


@pytest.fixture(scope="module")
def expected(large: Path) -> dict[str, Any]:
    return mi.inspect(large, measure=False).to_dict()


def test_the_structure_of_a_large_hdf5_file_takes_few_requests_and_bytes(
    large: Path, expected: dict[str, Any]
) -> None:
    size = large.stat().st_size
    assert size > 268_000_000
    with served(large) as (url, handler):
        report = mi.inspect(url, measure=False).to_dict()
    assert len(handler.requests) <= 60
    assert handler.sent <= 0.02 * size
    assert report["categories"] == expected["categories"]
    assert report["tensors"] == expected["tensors"]
    assert len(report["tensors"]) == 1040


def ignores(handler: Handler, ranges: list[Range]) -> None:
    """Answer as S3 does: with the whole file."""
    handler.reply(200, {"Content-Length": str(handler.size)}, b"x" * 1000)


def answers_the_first(handler: Handler, ranges: list[Range]) -> None:
    begin, end = ranges[0]
    span = f"bytes {begin}-{end - 1}/{handler.size}"
    handler.reply(206, {"Content-Range": span}, handler.read(begin, end))


def hangs_up(handler: Handler, ranges: list[Range]) -> None:
    handler.close_connection = True
    handler.connection.close()


def refuses(handler: Handler, ranges: list[Range]) -> None:
    handler.reply(416, {"Content-Range": f"bytes */{handler.size}"}, b"")


def truncates(handler: Handler, ranges: list[Range]) -> None:
    handler.parts(ranges, lambda body: body[: len(body) // 2])


def floods(handler: Handler, ranges: list[Range]) -> None:
    handler.parts(ranges, lambda body: body + bytes(1 << 22))


def repeats(handler: Handler, ranges: list[Range]) -> None:
    handler.parts([ranges[0], *ranges[:-1]])


def shifts(handler: Handler, ranges: list[Range]) -> None:
    handler.parts([(begin + 1, end + 1) for begin, end in ranges])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "model.tflite"
    write_tflite(path, 6, 256 * 1024)
    return path


@pytest.mark.parametrize(
    "several", [ignores, answers_the_first, hangs_up, refuses, truncates, floods, repeats, shifts]
)
def test_a_server_that_does_not_send_what_was_asked_for_is_asked_for_single_ranges(
    small: Path, several: Callable[[Handler, list[Range]], None]
) -> None:
    """What it sent is not used, and it is not asked for several again."""
    with served(small, several) as (url, handler):
        report = mi.inspect(url, measure=False).to_dict()
    local = mi.inspect(small, measure=False).to_dict()
    assert (report["categories"], report["tensors"]) == (local["categories"], local["tensors"])
    tries = sum(len(ranges) > 1 for ranges in handler.requests)
    assert tries <= 2 if several is hangs_up else tries == 1  # the HTTP client tries a lost connection again
    assert sum(end - begin for ranges in handler.requests for begin, end in ranges) < 4 * PAGE


def compressed(handler: Handler, ranges: list[Range]) -> None:
    handler.parts(ranges, headers={"Content-Encoding": "gzip"})


def elsewhere(handler: Handler, ranges: list[Range]) -> None:
    handler.reply(302, {"Location": "http://localhost:9/model.tflite"}, b"")


def other_size(handler: Handler, ranges: list[Range]) -> None:
    handler.parts(ranges, size=handler.size + 1)


def stalls(handler: Handler, ranges: list[Range]) -> None:
    handler.parts(ranges, lambda body: body[:100], headers={"Content-Length": "1000"})
    threading.Event().wait(3)


@pytest.mark.parametrize(
    ("several", "error"),
    [
        (compressed, LocationError),
        (elsewhere, LocationError),
        (stalls, LocationError),
        (other_size, SourceChangedError),
    ],
)
def test_replies_of_several_ranges_keep_the_promises_of_single_ones(
    small: Path, several: Callable[[Handler, list[Range]], None], error: type[Exception]
) -> None:
    limits = parse_limits(("remote_seconds=1",))
    with served(small, several) as (url, _), pytest.raises(error):
        mi.inspect(url, measure=False, limits=limits)


def test_the_structure_of_a_large_tflite_file_takes_a_hundredth_of_it(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    write_tflite(path, 100, 256 * 1024)
    with served(path) as (url, handler):
        report = mi.inspect(url, measure=False).to_dict()
    assert handler.sent <= 0.01 * path.stat().st_size
    assert len(handler.requests) <= 20
    assert report["tensors"] == mi.inspect(path, measure=False).to_dict()["tensors"]


def reply(*parts: tuple[str, bytes], end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(f"--B\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts) + end


FIRST = "Content-Range: bytes 0-2/99"
SECOND = "content-range:bytes 10-11/99"


def test_parts_may_come_in_any_order() -> None:
    found = read_parts(reply((SECOND, b"de"), (FIRST, b"abc")), b"B", [(0, 3), (10, 12)])
    assert found is not None
    assert (found.parts, found.size) == ([b"abc", b"de"], 99)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        reply(),
        reply((FIRST, b"abc")),
        reply((FIRST, b"abc"), (FIRST, b"abc")),
        reply((FIRST, b"abc"), (SECOND, b"d")),
        reply((FIRST, b"abc"), (SECOND, b"def")),
        reply((FIRST, b"abc"), (SECOND, b"de"), end=b""),
        reply((FIRST, b"abc"), (SECOND, b"de"), ("Content-Range: bytes 20-20/99", b"x")),
        reply((FIRST, b"abc"), ("Content-Range: bytes 10-11/98", b"de")),
        reply((FIRST, b"abc"), ("Content-Range: bytes 10-11/*", b"de")),
        reply((FIRST, b"abc"), (f"{SECOND}\r\n{SECOND}", b"de")),
        reply((FIRST, b"abc"), (f"{SECOND}\r\nContent-Encoding: gzip", b"de")),
        reply((FIRST, b"abc"), (f"{SECOND}\r\nX: {'x' * 600}", b"de")),
        reply((FIRST, b"abc"), ("X: y", b"de")),
        b"before" + reply((FIRST, b"abc"), (SECOND, b"de")),
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_is_not_used(data: bytes) -> None:
    assert read_parts(data, b"B", [(0, 3), (10, 12)]) is None


def test_the_boundary_is_that_of_the_header() -> None:
    assert boundary_of("multipart/byteranges; boundary=abc") == b"abc"
    assert boundary_of('Multipart/ByteRanges; charset=x; boundary="a b;c"') == b"a b;c"
    assert boundary_of("multipart/byteranges") is None
    assert boundary_of(f"multipart/byteranges; boundary={'x' * 100}") is None
    assert boundary_of("multipart/mixed; boundary=abc") is None


def test_ranges_are_asked_for_in_batches_and_merged_where_each_is_a_request() -> None:
    ranges = [(at * 40_000, at * 40_000 + 1000) for at in range(250)]
    assert [len(batch) for batch in batches(ranges)] == [100, 100, 50]
    near = [(0, 10), (20, 30), (1_000_000, 1_000_010)]
    assert merge(near) == [(0, 30), (1_000_000, 1_000_010)]
    assert cut(near, merge(near), [bytes(range(30)), b"0123456789"]) == [
        bytes(range(10)),
        bytes(range(20, 30)),
        b"0123456789",
    ]


def test_what_is_expected_is_fetched_together_and_once() -> None:
    data = bytes(range(256)) * 4096
    calls: list[list[Range]] = []

    def fetch(ranges: Any) -> list[bytes]:
        calls.append(list(ranges))
        return [data[begin:end] for begin, end in ranges]

    source = RemoteSource(fetch, "m", len(data))
    source.expect([(0, 10), (5 * BLOCK - 1, 2), (len(data) - 3, 100), (len(data), 5), (-1, 5)])
    assert calls == [[(0, BLOCK), (4 * BLOCK, 6 * BLOCK), (len(data) - BLOCK, len(data))]]
    assert source.read_at(5 * BLOCK - 1, 2) == data[5 * BLOCK - 1 : 5 * BLOCK + 1]
    source.expect([(0, 10)])
    assert len(calls) == 1
    single = RemoteSource(fetch, "m", len(data), lambda: True)
    single.expect([(BLOCK, 10)])
    assert calls[-1] == [(BLOCK, 8 * BLOCK)]


def test_a_remote_saved_model_costs_its_graph_its_index_and_its_object_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsspec = pytest.importorskip("fsspec")
    local = fixture_path("saved_model/keras")
    system = fsspec.filesystem("memory")
    root = f"/{uuid.uuid4().hex}"
    small = 0
    for path in sorted(local.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            is_shard = ".data-" in path.name
            small += 0 if is_shard else len(data)
            system.pipe(f"{root}/{path.relative_to(local)}", data + bytes(8 << 20 if is_shard else 0))
    fetched: list[int] = []
    cat = type(system).cat_file

    def counted(self: Any, path: str, start: int | None = None, end: int | None = None) -> bytes:
        data: bytes = cat(self, path, start=start, end=end)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(type(system), "cat_file", counted)
    try:
        report = mi.inspect(f"memory:/{root}", measure=False)
    finally:
        system.rm(root, recursive=True)
    assert report.artifact.size > 8 << 20
    assert sum(fetched) <= small + 2 * PAGE
    assert len(fetched) <= 12
