"""Compresses the whole artifact, for download or storage: gzip, zstd, brotli."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.analyses.plan.content import gunzipped, loads_as, pipe, stream
from modelinspect.analyses.plan.deflating import marks
from modelinspect.measure.compressors import GZIP_FRAME, ZSTD_CHECKSUM, Compressor, compress_all


def _find(planning: Planning) -> Iterator[Outcome]:
    wanted = [compressor for compressor in Compressor if planning.wants(str(compressor))]
    sizes = compress_all(stream(planning), wanted, planning.subject.size, planning.progress, marks(planning), planning.prefixes)
    for compressor in wanted:
        option = _OPTIONS[compressor](planning, sizes[compressor])
        if option.size < planning.subject.size or planning.wanted:
            yield option
        else:
            yield LeftOut((compressor,), f"left out: it would take {option.size:,} bytes, not fewer than now")


def _gzip(planning: Planning, size: int) -> Option:
    """Return the option; a file's name stands in the header, as Python's and GNU's gzip write it."""
    command = (
        f"python -m gzip --best {planning.subject.shell_name}" if _is_plain(planning) else pipe(planning, "python -m gzip --best", ".gz")
    )
    size += gzip_frame(planning)
    notes = (
        "zlib level 9; gzip -9 gives nearly the same"
        if planning.subject.is_file
        else "zlib level 9 over a tar archive that is always the same"
    )
    return Option("gzip-9", size, Basis.MEASURED, True, loads_as(planning, "gunzip"), command, notes, download_size=size)


def gzip_frame(planning: Planning) -> int:
    """Return the bytes that gzip puts around the stream."""
    return GZIP_FRAME + (len(_header_name(planning.subject.file_name)) if _is_plain(planning) else 0)


def _is_plain(planning: Planning) -> bool:
    """Tell whether the tools are given the artifact itself."""
    return planning.subject.is_file and gunzipped(planning) is None


def _header_name(name: str) -> bytes:
    """Return what gzip writes of a name: Latin-1 and a zero, or nothing (RFC 1952, FNAME)."""
    try:
        return name.removesuffix(".gz").encode("latin-1") + b"\0"
    except UnicodeEncodeError:
        return b""


def _zstd(planning: Planning, size: int) -> Option:
    size += ZSTD_CHECKSUM
    command = pipe(planning, "zstd -19 -c", ".zst") if not _is_plain(planning) else f"zstd -19 {planning.subject.shell_name}"
    notes = "measured with libzstd; another version of the tool differs by some bytes"
    return Option("zstd-19", size, Basis.MEASURED, True, loads_as(planning, "unzstd"), command, notes, download_size=size)


def _brotli(planning: Planning, size: int) -> Option:
    command = pipe(planning, "brotli -q 11 -c", ".br") if not _is_plain(planning) else f"brotli -q 11 {planning.subject.shell_name}"
    notes = "measured with the Rust library; the tool in C differs by some bytes; browsers decode it over https"
    return Option("brotli-11", size, Basis.MEASURED, True, loads_as(planning, "brotli -d"), command, notes, download_size=size)


_OPTIONS = {Compressor.GZIP: _gzip, Compressor.ZSTD: _zstd, Compressor.BROTLI: _brotli}

FAMILY = Family(("gzip-9", "zstd-19", "brotli-11"), _find)
