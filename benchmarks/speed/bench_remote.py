"""Remote: the structure of artifacts of 10 GB over HTTP, in requests and bytes.

The files are sparse and served by a server of this process, which answers several ranges at once as nginx and
Apache do. No weight is stored or sent.
"""

from __future__ import annotations

import functools
import http.server
import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from benchmarks.speed.harness import Row

_SIZE = 10 * 10**9
_TENSORS = 2_000
_BOUNDARY = "part-of-a-file"
_MOST_REQUESTS, _MOST_SHARE = 80, 0.002


def bench(folder: Path) -> list[Row]:
    """Inspect each artifact by its address, without measuring."""
    rows: list[Row] = []
    served = folder / "served"
    served.mkdir(exist_ok=True)
    makers: dict[str, Callable[[Path], object]] = {
        "model.safetensors": _safetensors,
        "model.weights.h5": _hdf5,
        "model.tflite": _tflite,
    }
    with _server(served) as (address, replies):
        import modelinspect

        for name, make in makers.items():
            path = served / name
            make(path)
            replies.clear()
            modelinspect.inspect(f"{address}/{name}", measure=False)
            size, sent = path.stat().st_size, sum(replies)
            what = f"{name}, {size / 1e9:.1f} GB, {_TENSORS:,} tensors"
            rows += [
                Row(
                    f"{what}: requests",
                    f"{len(replies)}",
                    f"<= {_MOST_REQUESTS}",
                    len(replies) <= _MOST_REQUESTS,
                ),
                Row(
                    f"{what}: bytes sent",
                    f"{sent:,} ({sent / size:.4%})",
                    f"< {_MOST_SHARE:.1%}",
                    sent < _MOST_SHARE * size,
                ),
            ]
            path.unlink()
    return rows


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files in ranges and records the bytes of each reply."""

    replies: list[int]

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        """Answer with the size of a file."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Answer a range, or a whole file."""
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.replies.append(0)
            self.send_error(404)
            return
        size = path.stat().st_size
        wanted = [
            _bounds(part, size) for part in self.headers.get("Range", "").removeprefix("bytes=").split(",")
        ]
        with path.open("rb") as file:
            parts = [_part(file, begin, end) if with_body else b"" for begin, end in wanted]
        kind = "application/octet-stream"
        body = parts[0]
        if len(parts) > 1:
            kind = f"multipart/byteranges; boundary={_BOUNDARY}"
            heads = [f"Content-Range: bytes {begin}-{end}/{size}" for begin, end in wanted]
            body = b"".join(
                f"\r\n--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + part
                for head, part in zip(heads, parts, strict=True)
            )
            body += f"\r\n--{_BOUNDARY}--\r\n".encode()
        self.replies.append(len(body))
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", kind)
        begin, end = wanted[0]
        self.send_header("Content-Length", str(len(body) if with_body else end - begin + 1))
        if "Range" in self.headers and len(parts) == 1:
            self.send_header("Content-Range", f"bytes {begin}-{end}/{size}")
        self.end_headers()
        self.wfile.write(body)


def _bounds(wanted: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte of a range; of the whole file where none is given."""
    first, _, last = wanted.strip().partition("-")
    if not first:
        return (size - int(last), size - 1) if last else (0, size - 1)
    return int(first), min(int(last) if last else size - 1, size - 1)


def _part(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(end - begin + 1)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Serve a folder; yield its address and the bytes of each reply so far."""
    replies: list[int] = []
    handler = type("Handler", (_Ranges,), {"replies": replies})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", replies
    finally:
        server.shutdown()
        server.server_close()


def _safetensors(path: Path) -> None:
    each = _SIZE // _TENSORS // 4096 * 4096
    header = json.dumps(
        {
            f"model.layers.{number // 8}.weight_{number % 8}": {
                "dtype": "F32",
                "shape": [each // 4096, 1024],
                "data_offsets": [number * each, (number + 1) * each],
            }
            for number in range(_TENSORS)
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + _TENSORS * each)


def _hdf5(path: Path) -> None:
    import h5py

    rows = _SIZE // _TENSORS // 4096
    with h5py.File(path, "w") as file:
        for number in range(_TENSORS):
            created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # space is allocated, nothing is written
            group = file.require_group(f"layers/dense_{number // 2}/vars")
            space = h5py.h5s.create_simple((rows, 1024))
            h5py.h5d.create(group.id, str(number % 2).encode(), h5py.h5t.IEEE_F32LE, space, created)


def _tflite(path: Path) -> None:
    """Write a model whose buffers are after the flatbuffer, as those of more than 2 GB are."""
    from tests.support.flat import build, model

    each = _SIZE // _TENSORS // 4096 * 4096

    def made(start: int) -> bytes:
        buffers = [{"offset": start + number * each, "size": each} for number in range(_TENSORS)]
        tensors = [
            {"shape": [each // 4096, 1024], "name": f"model/layer_{number}/kernel", "buffer": number + 1}
            for number in range(_TENSORS)
        ]
        return build(model(tensors, buffers, [], []))

    start = -(-len(made(1 << 32)) // 4096) * 4096
    with path.open("wb") as file:
        file.write(made(start))
        file.truncate(start + _TENSORS * each)
