"""Formats of large models over HTTP and other remote systems: the structure is fetched in ranges, and the
weights are not.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from safetensors.numpy import save_file
from tests.support.fixtures import fixture_path

import modelinspect as mi
from modelinspect.sources.remote import PAGE

pytest.importorskip("aiohttp")
SIZE = 4096 * 1024
"""Elements of a weight that is much larger than a page: 16 MiB of float32."""


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files in ranges, and keeps what was asked for."""

    served: list[tuple[str, int]]

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer a range, or a whole file."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        begin, end = 0, path.stat().st_size - 1
        wanted = self.headers.get("Range")
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) if last else end, end)
        with path.open("rb") as file:
            file.seek(begin)
            part = file.read(end - begin + 1)
        self.served.append((self.path, len(part)))
        self.send_response(206 if wanted else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        if wanted:
            self.send_header("Content-Range", f"bytes {begin}-{end}/{path.stat().st_size}")
        self.end_headers()
        self.wfile.write(part)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[tuple[str, int]]]]:
    """Serve a folder; yield it, its address and the list of replies: path, bytes."""
    replies: list[tuple[str, int]] = []
    handler = type("Handler", (Ranges,), {"served": replies})
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}", replies
    server.shutdown()
    server.server_close()


def bytes_of(replies: list[tuple[str, int]]) -> int:
    return sum(size for _, size in replies)


def told(location: str | Path, *, measure: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = mi.inspect(location, measure=measure).to_dict()
    way = found["artifact"].pop("location").rpartition("/")[0]  # printed commands name it
    report: dict[str, Any] = json.loads(json.dumps(found).replace(f"{way}/", ""))
    return report


def large(path: Path) -> None:
    """Write a safetensors file of 32 MiB."""
    rng = np.random.default_rng(1)
    save_file({"a": rng.normal(size=(4096, 1024)).astype("f4"), "b": np.zeros((4096, 1024), "f4")}, path)


@pytest.mark.parametrize(
    "name",
    [
        "litertlm/model.litertlm",
        "litertlm/twice.litertlm",
        "safetensors_files/types.safetensors",
        "stablehlo/types.mlirbc",
    ],
)
def test_over_http_a_file_has_the_report_of_the_local_one(
    name: str, served: tuple[Path, str, list[tuple[str, int]]]
) -> None:
    folder, address, _ = served
    path = fixture_path(name)
    shutil.copy(path, folder)
    assert told(f"{address}/{path.name}") == told(path)


def test_the_structure_of_safetensors_costs_its_header(
    served: tuple[Path, str, list[tuple[str, int]]],
) -> None:
    folder, address, replies = served
    large(folder / "model.safetensors")
    report = told(f"{address}/model.safetensors", measure=False)
    assert report["categories"]["dense-weights"] == 2 * 4 * SIZE
    assert len(replies) <= 2
    assert bytes_of(replies) <= 2 * PAGE


def test_the_structure_of_litertlm_costs_its_header_and_those_of_its_sections(
    served: tuple[Path, str, list[tuple[str, int]]], tmp_path: Path
) -> None:
    from benchmarks.speed.bench_litertlm import large_file

    folder, address, replies = served
    large_file(folder / "model.litertlm", layers=8, width=1024, pieces=2_000)
    report = told(f"{address}/model.litertlm", measure=False)
    assert report["categories"]["dense-weights"] == 8 * 1024 * 1024 + 131_072 * 1024
    assert report["categories"]["unattributed"] == 0
    assert len(replies) <= 8
    assert bytes_of(replies) <= 8 * PAGE


def test_the_structure_of_a_zipped_preset_costs_no_weights(
    served: tuple[Path, str, list[tuple[str, int]]], tmp_path: Path
) -> None:
    folder, address, replies = served
    preset = tmp_path / "preset"
    preset.mkdir()
    (preset / "config.json").write_text(json.dumps({"model_type": "tiny", "architectures": ["Tiny"]}))
    (preset / "tokenizer_config.json").write_text("{}")
    large(preset / "model.safetensors")
    with zipfile.ZipFile(folder / "preset.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(preset.iterdir()):
            archive.write(path, path.name)
    report = told(f"{address}/preset.zip", measure=False)
    assert report["categories"]["dense-weights"] == 2 * 4 * SIZE
    assert len(replies) <= 8
    assert bytes_of(replies) <= 8 * PAGE


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Make a folder of a remote system that lists its folders; yield it and the list of ranges that are
    fetched: path, bytes.
    """
    root, ranges = f"/{uuid.uuid4().hex}", []
    plain = MemoryFileSystem.cat_file

    def counted(
        self: MemoryFileSystem, path: str, start: int | None = None, end: int | None = None, **more: Any
    ) -> bytes:
        data: bytes = plain(self, path, start=start, end=end, **more)
        ranges.append((path, len(data)))
        return data

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    yield root, ranges
    fsspec.filesystem("memory").rm(root, recursive=True)


def uploaded(local: Path, root: str) -> str:
    fsspec.filesystem("memory").makedirs(root)
    fsspec.filesystem("memory").put(str(local), f"{root}/{local.name}", recursive=True)
    return f"memory:/{root}/{local.name}"


@pytest.mark.parametrize(
    "name",
    ["orbax_checkpoints/keras", "keras_presets/task", "hugging_face/both", "safetensors_files/sharded"],
)
def test_a_remote_folder_has_the_report_of_the_local_one(
    name: str, fetched: tuple[str, list[tuple[str, int]]]
) -> None:
    root, ranges = fetched
    assert told(uploaded(fixture_path(name), root)) == told(fixture_path(name))
    members = {member.name for member in mi.open(fixture_path(name)).members}
    assert len(ranges) <= 2 * len(members)


def test_the_structure_of_a_remote_orbax_checkpoint_costs_no_chunks(
    fetched: tuple[str, list[tuple[str, int]]], tmp_path: Path
) -> None:
    ts = pytest.importorskip("tensorstore")
    root, ranges = fetched
    folder = tmp_path / "checkpoint"
    store = {"driver": "ocdbt", "base": f"file://{folder}/", "config": {"compression": {"id": "zstd"}}}
    metadata = {"dtype": "<f4", "shape": [4096, 1024], "chunks": [1024, 1024], "compressor": None}
    for name in "ab":
        array = ts.open(
            {"driver": "zarr", "kvstore": {**store, "path": f"params.{name}/"}, "metadata": metadata},
            create=True,
        ).result()
        array.write(np.random.default_rng(1).normal(size=(4096, 1024)).astype("f4")).result()
    location = uploaded(folder, root)
    report = told(location, measure=False)
    assert [tensor["stored_size"] for tensor in report["tensors"]] == [4 * SIZE] * 2
    members = len(report["artifact"]["members"])
    assert len(ranges) <= 2 * members
    assert bytes_of(ranges) <= members * PAGE


def test_the_structure_of_a_remote_preset_costs_no_weights(
    fetched: tuple[str, list[tuple[str, int]]], tmp_path: Path
) -> None:
    root, ranges = fetched
    preset = tmp_path / "preset"
    preset.mkdir()
    (preset / "config.json").write_text(json.dumps({"model_type": "tiny", "architectures": ["Tiny"]}))
    large(preset / "model.safetensors")
    report = told(uploaded(preset, root), measure=False)
    assert report["categories"]["dense-weights"] == 2 * 4 * SIZE
    assert len(ranges) <= 4
    assert bytes_of(ranges) <= 2 * PAGE
