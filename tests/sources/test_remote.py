"""Remote locations: the same report as of the file itself, and the structure without the weights."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.errors import FormatError, LocationError, MissingExtraError, SourceChangedError
from modelinspect.sources.opening import open_location
from modelinspect.sources.remote import BLOCK, PAGE, Range, RemoteSource


@pytest.fixture
def bucket() -> Iterator[str]:
    root = f"/{uuid.uuid4().hex}"
    yield root
    fsspec.filesystem("memory").rm(root, recursive=True)


def upload(local: Path, remote: str) -> str:
    fsspec.filesystem("memory").put(str(local), remote, recursive=local.is_dir())
    return f"memory:/{remote}"


def without_location(report: Any) -> dict[str, Any]:
    """Return a report as it would be of an artifact in the current folder."""
    told: dict[str, Any] = report.to_dict()
    location = told["artifact"].pop("location")
    cut: dict[str, Any] = json.loads(json.dumps(told).replace(f"{location.rpartition('/')[0]}/", ""))
    return cut


@pytest.mark.parametrize(
    "name", ["mlp/wrapped.h5", "saved_model/affine", "tflite/sparse.tflite", "keras_zip/deflated.keras"]
)
def test_a_remote_artifact_has_the_report_of_the_local_one(bucket: str, name: str) -> None:
    local = fixture_path(name)
    fsspec.filesystem("memory").makedirs(bucket)
    location = upload(local, f"{bucket}/{local.name}")
    assert without_location(mi.inspect(location)) == without_location(mi.inspect(local))


def test_a_remote_prefix_opens_a_checkpoint_with_its_shards(bucket: str) -> None:
    folder = fixture_path("checkpoint/adam")
    upload(folder, f"{bucket}/ckpt")
    prefix = next(path for path in sorted(folder.rglob("*.index"))).stem
    report = mi.inspect(f"memory:/{bucket}/ckpt/{prefix}").to_dict()
    assert report["artifact"]["format"] == "checkpoint"
    assert len(report["artifact"]["members"]) >= 2


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files in ranges and counts the bytes."""

    served = 0

    def log_message(self, format: str, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        wanted = self.headers.get("Range")
        first, last = 0, len(data) - 1
        if wanted:
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end) if end else last, last)
        part = data[first : last + 1]
        type(self).served += len(part)
        self.send_response(206 if wanted else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(Path(self.translate_path(self.path)).stat().st_size))
        self.end_headers()


def test_over_http_the_structure_costs_its_pages_and_not_the_weights(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "large.h5", "w") as file:
        file.create_dataset("layer/kernel", (1024, 2048), "f4", fillvalue=1.0)[...] = 1.0
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Ranges, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        report = mi.inspect(f"http://127.0.0.1:{server.server_port}/large.h5", measure=False).to_dict()
    finally:
        server.shutdown()
    assert report["categories"]["dense-weights"] == 1024 * 2048 * 4
    assert _Ranges.served <= 4 * PAGE


@pytest.mark.parametrize("location", ["memory://nowhere/at/all.h5", "nosuchprotocol://bucket/model.h5"])
def test_what_is_not_there_is_one_clear_error(location: str) -> None:
    with pytest.raises((LocationError, MissingExtraError), match=location.split(":", maxsplit=1)[0]):
        open_location(location)


def test_a_file_system_with_sessions_is_not_taken_for_http(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """s3fs has sessions too: whoever takes it for HTTP cannot read a byte of it."""
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "set_session", lambda self: None, raising=False)
    location = upload(fixture_path("mlp/stripped.h5"), f"{bucket}/stripped.h5")
    assert mi.inspect(location, measure=False).artifact.size == 25656


def test_a_file_beside_a_remote_one_is_found_without_a_listing(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = upload(fixture_path("mlp/stripped.h5"), f"{bucket}/stripped.h5")
    upload(fixture_path("mlp/original.h5"), f"{bucket}/original.h5")
    monkeypatch.setattr(
        type(fsspec.filesystem("memory")), "ls", lambda *arguments, **options: pytest.fail("listed")
    )
    with open_location(location) as files:
        assert files.has_neighbour("original.h5")
        assert not files.has_neighbour("missing.h5")
        assert not files.has_neighbour("stripped.h5")
        assert files.open("original.h5").size == 57352


def test_a_server_that_sends_too_little_is_told() -> None:
    source = RemoteSource(lambda ranges: [b"short"], "model.h5", 10 * PAGE)
    with pytest.raises(SourceChangedError, match="ignores ranges"):
        source.read_at(0, 100)
    with pytest.raises(FormatError, match="are left"):
        source.read_at(10 * PAGE, 1)


def test_pages_are_fetched_once_and_large_ranges_directly() -> None:
    data = bytes(range(256)) * (3 * PAGE // 256)
    calls: list[tuple[int, int]] = []

    def fetch(ranges: Sequence[Range]) -> Sequence[bytes]:
        calls.extend(ranges)
        return [data[begin:end] for begin, end in ranges]

    source = RemoteSource(fetch, "model.h5", len(data))
    assert source.read_at(PAGE - 10, 20) == data[PAGE - 10 : PAGE + 10]
    assert source.read_at(5, 50) == data[5:55]
    assert calls == [(PAGE - BLOCK, 2 * PAGE - BLOCK), (0, PAGE - BLOCK)]
    assert source.read_at(1, 2 * PAGE) == data[1 : 1 + 2 * PAGE]
    assert calls[-1] == (1, 1 + 2 * PAGE)
