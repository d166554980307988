"""Measure made artifacts: bytes, gzip, SHA-256."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from modelinspect.reports.entries import FindingEntry
from modelinspect.reports.inspect import Categories
from modelinspect.reports.manifest import LayerSparsity

BLOCK = 1 << 20


class Inspected(Struct, frozen=True):
    """What `inspect` finds in an artifact."""

    categories: Categories
    layers: tuple[LayerSparsity, ...]
    diagnostic_count: int
    errors: tuple[FindingEntry, ...] = ()


Inspect = Callable[[Path], Inspected]
"""Inspects an artifact; given by the caller, who knows the formats."""


class Measured(Struct, frozen=True):
    """Sizes and hash of an artifact."""

    size: int
    gzip_size: int
    sha256: str


def measure_artifact(place: Path) -> Measured:
    """Read an artifact once for its size, its size under gzip -9, and its hash."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    gzip_size = 0
    files: list[tuple[str, int, str]] = []
    for path in files_of(place):
        size, digest = 0, hashlib.sha256()
        if place.is_dir():
            gzip_size += len(
                compressor.compress(_tar_header(path.relative_to(place).as_posix(), path.stat().st_size))
            )
        for block in _blocks(path):
            size += len(block)
            digest.update(block)
            gzip_size += len(compressor.compress(block))
        if place.is_dir():
            gzip_size += len(compressor.compress(bytes(-size % tarfile.BLOCKSIZE)))
        files.append((path.relative_to(place).as_posix(), size, digest.hexdigest()))
    if place.is_dir():
        gzip_size += len(compressor.compress(bytes(2 * tarfile.BLOCKSIZE)))
        lines = "".join(f"{digest}  {name}\n" for name, _, digest in files)
        sha256 = hashlib.sha256(lines.encode()).hexdigest()
    else:
        sha256 = files[0][2]
    return Measured(sum(size for _, size, _ in files), gzip_size + len(compressor.flush()), sha256)


def files_of(place: Path) -> list[Path]:
    """Return the files of an artifact, sorted by their path."""
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]


def _tar_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=io.DEFAULT_BUFFER_SIZE) as stream:
        while block := stream.read(BLOCK):
            yield block
