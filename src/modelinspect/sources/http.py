"""Read a range of a file over HTTP: the bytes that were asked for and no more, within one deadline, and always of the same file."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from modelinspect.errors import LocationError, SourceChangedError

DEADLINE = 60.0
"""Seconds for one reply as a whole, however slowly its bytes come."""
_PARTIAL = 206
_WHOLE = 200
_PLAIN = ("", "identity")


def read_range(system: Any, url: str, begin: int, end: int, marks: dict[str, str], deadline: float = DEADLINE) -> bytes:
    """Return the bytes ``[begin, end)`` of a file; ``system`` is fsspec's HTTP file system, ``marks`` keep the ETag of each file.

    Raises `LocationError` for a reply that is compressed, or takes too long, `SourceChangedError` for one of another file or size.
    """
    sync = import_module("fsspec.asyn").sync
    try:
        data: bytes = sync(system.loop, _read, system, url, begin, end, marks, deadline)
    except TimeoutError as error:
        raise LocationError(f"{url}: bytes {begin:,} to {end:,} did not arrive within {deadline:.0f} s") from error
    return data


async def _read(system: Any, url: str, begin: int, end: int, marks: dict[str, str], deadline: float) -> bytes:
    return await asyncio.wait_for(_reply(system, url, begin, end, marks), deadline)


async def _reply(system: Any, url: str, begin: int, end: int, marks: dict[str, str]) -> bytes:
    if begin == end:
        return b""
    options = dict(system.kwargs)
    headers = {**options.pop("headers", {}), "Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
    session = await system.set_session()
    async with session.get(system.encode_url(url), headers=headers, **options) as reply:
        system._raise_not_found_for_status(reply, url)
        if reply.headers.get("Content-Encoding", "").lower() not in _PLAIN:
            raise LocationError(f"{url}: the server sends compressed bytes where the file's own were asked for")
        mark = reply.headers.get("ETag", "")
        if mark and marks.setdefault(url, mark) != mark:
            raise SourceChangedError(f"{url}: the file changed while it was read; inspect it again")
        skip = begin if reply.status == _WHOLE else 0
        if reply.status != _PARTIAL and skip:
            raise SourceChangedError(f"{url}: the server ignores ranges, so the file cannot be read in parts; download it first")
        return await _bounded(reply, end - begin)


async def _bounded(reply: Any, size: int) -> bytes:
    """Read up to ``size`` bytes and leave the rest of the reply."""
    data = bytearray()
    while len(data) < size:
        piece = await reply.content.read(size - len(data))
        if not piece:
            break
        data += piece
    if len(data) == size and reply.content_length is not None and reply.content_length > size and reply.status == _PARTIAL:
        raise SourceChangedError(f"the server sends {reply.content_length:,} bytes where {size:,} were asked for")
    return bytes(data)
