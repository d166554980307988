"""Compress the whole artifact for download or storage: gzip, zstd, brotli."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.analyses.plan.content import gunzipped, loads_as, pipe, stream
from modelinspect.analyses.plan.deflating import marks
from modelinspect.core.limits import MIB
from modelinspect.measure.compressors import AT_ONCE, GZIP_FRAME, ZSTD_CHECKSUM, Compressor, compress_all


def _find(planning: Planning) -> Iterator[Outcome]:
    yield from compressed(planning, [Compressor.GZIP])


def find_slow(planning: Planning) -> Iterator[Outcome]:
    """Yield what zstd and brotli make of the artifact: brotli above 16 MiB on request, or without a deadline.

    Large artifacts go through one after the other: each takes about 100 MiB, and two at once are no faster.
    """
    wanted = [one for one in (Compressor.ZSTD, Compressor.BROTLI) if planning.wants(str(one))]
    size, is_limited = planning.subject.size, planning.deadline is not None and not planning.wanted
    if is_limited and size > _BROTLI_MOST:
        wanted.remove(Compressor.BROTLI)
        yield LeftOut(
            (Compressor.BROTLI,),
            f"takes minutes above {_BROTLI_MOST // MIB} MiB; --only brotli-11 computes it",
        )
    for group in [wanted] if size <= AT_ONCE else [[one] for one in wanted]:
        yield from compressed(planning, group)


def compressed(planning: Planning, wanted: list[Compressor]) -> Iterator[Outcome]:
    """Yield what compressors make of the artifact, side by side.

    Raises `UnmeasurableError` when the time is over.
    """
    data = planning.in_time(stream(planning))
    places = marks(planning) if Compressor.GZIP in wanted else ()
    sizes = compress_all(data, wanted, planning.subject.size, planning.progress, places, planning.prefixes)
    for compressor in wanted:
        option = _OPTIONS[compressor](planning, sizes[compressor])
        if option.size < planning.subject.size or planning.wanted:
            yield option
        else:
            yield LeftOut((compressor,), f"not smaller: {option.size:,} bytes")


_BROTLI_MOST = 16 * MIB


def _gzip(planning: Planning, size: int) -> Option:
    """Return the option; the file name is in the header, as the gzip of Python and GNU write it."""
    command = (
        f"python -m gzip --best {planning.subject.shell_name}"
        if _is_plain(planning)
        else pipe(planning, "python -m gzip --best", ".gz")
    )
    size += gzip_frame(planning)
    notes = (
        "zlib level 9; gzip -9 can differ by about one percent"
        if planning.subject.is_file
        else "zlib level 9 over a reproducible tar archive"
    )
    return Option(
        "gzip-9", size, Basis.MEASURED, True, loads_as(planning, "gunzip"), command, notes, download_size=size
    )


def gzip_frame(planning: Planning) -> int:
    """Return the bytes that gzip puts around the stream."""
    return GZIP_FRAME + (len(_header_name(planning.subject.file_name)) if _is_plain(planning) else 0)


def _is_plain(planning: Planning) -> bool:
    """Return whether the tools read the artifact itself."""
    return planning.subject.is_file and gunzipped(planning) is None


def _header_name(name: str) -> bytes:
    """Return what gzip writes of a name: Latin-1 and a zero, or nothing (RFC 1952, FNAME)."""
    try:
        return name.removesuffix(".gz").encode("latin-1") + b"\0"
    except UnicodeEncodeError:
        return b""


def _zstd(planning: Planning, size: int) -> Option:
    size += ZSTD_CHECKSUM
    command = (
        pipe(planning, "zstd -19 -c", ".zst")
        if not _is_plain(planning)
        else f"zstd -19 {planning.subject.shell_name}"
    )
    notes = "measured with libzstd; other versions can differ by several percent"
    return Option(
        "zstd-19",
        size,
        Basis.MEASURED,
        True,
        loads_as(planning, "unzstd"),
        command,
        notes,
        download_size=size,
    )


def _brotli(planning: Planning, size: int) -> Option:
    command = (
        pipe(planning, "brotli -q 11 -c", ".br")
        if not _is_plain(planning)
        else f"brotli -q 11 {planning.subject.shell_name}"
    )
    notes = "measured with the Rust library; the C tool can differ; browsers decode it over HTTPS"
    return Option(
        "brotli-11",
        size,
        Basis.MEASURED,
        True,
        loads_as(planning, "brotli -d"),
        command,
        notes,
        download_size=size,
    )


_OPTIONS = {Compressor.GZIP: _gzip, Compressor.ZSTD: _zstd, Compressor.BROTLI: _brotli}

FAMILY = Family(("gzip-9",), _find)
