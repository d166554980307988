"""Make the tar stream of several files that GNU tar makes of them when all that may differ is fixed: order,
owner, date, mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

TAR = "tar --format=gnu --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 -cf -"
"""GNU tar's options for the same bytes; the names follow, in order, or ``-T -`` where they come from standard
input.
"""
RECORD, BLOCKING = 512, 10_240
_NAME, _LONG_LINK = 100, b"././@LongLink"


def tar_stream(files: Iterable[tuple[str, int, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield the stream of files, each with its name, size and bytes."""
    written = 0
    for name, size, blocks in files:
        head = _headers(name, size)
        yield head
        yield from blocks
        padding = -size % RECORD
        if padding:
            yield bytes(padding)
        written += len(head) + size + padding
    written += 2 * RECORD
    yield bytes(2 * RECORD + -written % BLOCKING)


def _headers(name: str, size: int) -> bytes:
    encoded = name.encode("utf-8", "surrogateescape")
    main = _header(encoded[:_NAME], size, b"0")
    if len(encoded) <= _NAME:
        return main
    text = encoded + b"\0"
    return _header(_LONG_LINK, len(text), b"L") + text + bytes(-len(text) % RECORD) + main


def _header(name: bytes, size: int, kind: bytes) -> bytes:
    sized = b"%011o\0" % size if size < 8**11 else (1 << 95 | size).to_bytes(12, "big")
    fields = (
        name.ljust(_NAME, b"\0"),
        b"0000644\0",
        b"0000000\0" * 2,
        sized,
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        bytes(100),
        b"ustar  \0",
        bytes(64),
    )
    header = b"".join(fields).ljust(RECORD, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]
