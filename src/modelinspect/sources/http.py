"""Read ranges of a file over HTTP: the bytes that were asked for and no more, in time, from one host, and
always of the same file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from modelinspect.core.records import dataclass, field
from modelinspect.errors import LocationError, SourceChangedError
from modelinspect.sources.byteranges import (
    Range,
    batches,
    boundary_of,
    cut,
    merge,
    most_bytes,
    read_parts,
)

_PARTIAL = 206
_WHOLE = 200
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
_PLAIN = ("", "identity")
_UNSATISFIABLE = 416
_AT_ONCE = 8
"""Requests for single ranges that are under way at once."""
T = TypeVar("T")


@dataclass
class Connection:
    """What holds for all requests of one artifact: ``system`` is fsspec's HTTP file system.

    ``seconds`` are for all of them together, from the first one on; ``other_hosts`` is how many redirects to
    another host than the one that was named are followed. The size and the entity tag of each file are those
    of its first reply.
    """

    system: Any
    seconds: float
    other_hosts: int
    sizes: dict[str, int] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    deadline: float | None = None
    single: bool = False
    """Whether the server was seen not to answer a request for several ranges."""

    def size(self, url: str) -> int:
        """Return the size of a file.

        Raises `FileNotFoundError`, or `LocationError` where the server does not say.
        """
        if url not in self.sizes:
            self._run(url, _reply(self, url, 0, 1))
        if url not in self.sizes:
            raise LocationError(
                f"{url}: its size is unknown, so it cannot be read in ranges; download it first"
            )
        return self.sizes[url]

    def read(self, url: str, begin: int, end: int) -> bytes:
        """Return the bytes ``[begin, end)`` of a file.

        Raises `LocationError` for a reply that is compressed, comes too late, or leads to another host,
        `SourceChangedError` for one of another file or size.
        """
        return b"" if begin == end else self._run(url, _reply(self, url, begin, end))

    def read_many(self, url: str, ranges: Sequence[Range]) -> list[bytes]:
        """Return the bytes of ranges ``(begin, end)``, which are in order and do not overlap.

        A server that answers requests for several ranges is asked for many at once; of others, ranges that
        are near each other are read as one, and several at a time. Raises as `read` does.
        """
        if not ranges or len(ranges) == 1:
            return [self.read(url, begin, end) for begin, end in ranges]
        return self._run(url, _replies(self, url, ranges))

    def _run(self, url: str, reply: Coroutine[Any, Any, T]) -> T:
        if self.deadline is None:
            self.deadline = time.monotonic() + self.seconds
        left = self.deadline - time.monotonic()
        try:
            data: T = import_module("fsspec.asyn").sync(self.system.loop, _in_time, reply, max(left, 0.0))
        except TimeoutError as error:
            advice = "; --limit remote_seconds=N allows more"
            raise LocationError(
                f"{url}: what was asked for did not arrive within {self.seconds:.0f} s{advice}"
            ) from error
        return data


async def _in_time(reply: Coroutine[Any, Any, T], seconds: float) -> T:
    return await asyncio.wait_for(reply, seconds)


async def _replies(connection: Connection, url: str, ranges: Sequence[Range]) -> list[bytes]:
    """Return the bytes of ranges, by requests for many or, where the server refuses those, for one each."""
    found: list[bytes] = []
    for batch in batches(ranges):
        parts: list[bytes] | None = None
        if len(batch) > 1 and not connection.single:
            with suppress(import_module("aiohttp").ClientError):  # a server that hangs up gets single ones
                parts = await _request(connection, url, batch, partial(_parts, connection, url, batch))
            connection.single = parts is None
        found += parts if parts is not None else await _one_by_one(connection, url, batch)
    return found


async def _one_by_one(connection: Connection, url: str, ranges: Sequence[Range]) -> list[bytes]:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def read(begin: int, end: int) -> bytes:
        async with turn:
            return await _reply(connection, url, begin, end)

    wider = merge(ranges)
    tasks = [asyncio.ensure_future(read(begin, end)) for begin, end in wider]
    try:
        data = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return cut(ranges, wider, data)


async def _reply(connection: Connection, url: str, begin: int, end: int) -> bytes:
    return await _request(connection, url, [(begin, end)], partial(_content, connection, url, begin, end))


async def _request(
    connection: Connection,
    url: str,
    ranges: Sequence[Range],
    read: Callable[[Any], Coroutine[Any, Any, T]],
) -> T:
    """Ask for ranges and read the reply, following redirects that stay with the host."""
    system = connection.system
    options = {**system.kwargs, "allow_redirects": False}
    headers = {
        **options.pop("headers", {}),
        "Range": "bytes=" + ",".join(f"{begin}-{end - 1}" for begin, end in ranges),
        "Accept-Encoding": "identity",
    }
    session = await system.set_session()
    place, led_away = url, 0
    for _ in range(_MOST_REDIRECTS):
        async with session.get(system.encode_url(place), headers=headers, **options) as reply:
            if reply.status not in _REDIRECTS:
                return await read(reply)
            target = urljoin(place, reply.headers.get("Location", ""))
        led_away += _leads_away(url, place, target)
        if led_away > connection.other_hosts:
            raise LocationError(
                f"{url}: redirects to another host, {urlsplit(target).netloc}; --follow goes there"
            )
        place = target
    raise LocationError(f"{url}: redirects more than {_MOST_REDIRECTS} times")


def _leads_away(url: str, place: str, target: str) -> bool:
    """Return whether a redirect leads to a host that is neither the named nor the present one, or from HTTPS
    to HTTP.
    """
    old, new = urlsplit(place), urlsplit(target)
    if new.scheme not in ("http", "https"):
        raise LocationError(f"{url}: redirects to {new.scheme or 'nothing'}, which is not followed")
    return new.hostname not in (old.hostname, urlsplit(url).hostname) or (
        old.scheme == "https" and new.scheme == "http"
    )


async def _content(connection: Connection, url: str, begin: int, end: int, reply: Any) -> bytes:
    """Return the bytes of a reply that is not a redirect, having compared what it says about the file with
    the first reply.
    """
    if reply.status == _UNSATISFIABLE and begin == 0:  # a file of no bytes has no first one
        connection.sizes.setdefault(url, 0)
        return b""
    _check_head(connection, url, reply)
    size = _told_size(reply, begin)
    if size is not None:
        _check_size(connection, url, size)
    if reply.status == _WHOLE and begin:
        raise SourceChangedError(
            f"{url}: the server ignores ranges, so the file cannot be read in parts; download it first"
        )
    return await _bounded(reply, end - begin)


async def _parts(connection: Connection, url: str, ranges: Sequence[Range], reply: Any) -> list[bytes] | None:
    """Return the bytes of several ranges; None where the reply is anything but all of them, each by itself.

    What such a server sends is not used: each range is asked for again.
    """
    if reply.status not in (_PARTIAL, _WHOLE):
        return None
    _check_head(connection, url, reply)
    boundary = boundary_of(reply.headers.get("Content-Type", ""))
    if reply.status != _PARTIAL or boundary is None:
        return None
    most = most_bytes(ranges)
    if reply.content_length is not None and reply.content_length > most:
        return None
    data = await _up_to(reply, most)
    found = read_parts(data, boundary, ranges)
    if found is None:
        return None
    _check_size(connection, url, found.size)
    return found.parts


def _check_head(connection: Connection, url: str, reply: Any) -> None:
    """Raise where a reply is an error, is compressed, or is of another file than the first one."""
    connection.system._raise_not_found_for_status(reply, url)
    if reply.headers.get("Content-Encoding", "").lower() not in _PLAIN:
        raise LocationError(f"{url}: the server sends compressed bytes where the file's own were asked for")
    mark = reply.headers.get("ETag", "")
    if mark and connection.marks.setdefault(url, mark) != mark:
        raise SourceChangedError(f"{url}: the file changed while it was read; inspect it again")


def _check_size(connection: Connection, url: str, size: int) -> None:
    if connection.sizes.setdefault(url, size) != size:
        raise SourceChangedError(
            f"{url}: its size changed from {connection.sizes[url]:,} to {size:,} bytes; inspect it again"
        )


def _told_size(reply: Any, begin: int) -> int | None:
    """Return the size of the whole file as a reply lists it.

    Raises `SourceChangedError` for a range that was not asked for.
    """
    if reply.status == _WHOLE:
        length: int | None = reply.content_length
        return length
    span, _, whole = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0].strip()
    if first.isascii() and first.isdigit() and int(first[:20]) != begin:
        raise SourceChangedError(
            f"the server sends bytes from {int(first[:20]):,} on where those from {begin:,} on were asked for"
        )
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 20 else None


async def _bounded(reply: Any, size: int) -> bytes:
    """Read up to ``size`` bytes of a single range and leave the rest of the reply."""
    data = await _up_to(reply, size)
    if (
        len(data) == size
        and reply.content_length is not None
        and reply.content_length > size
        and reply.status == _PARTIAL
    ):
        raise SourceChangedError(
            f"the server sends {reply.content_length:,} bytes where {size:,} were asked for"
        )
    return data


async def _up_to(reply: Any, size: int) -> bytes:
    """Read up to ``size`` bytes and leave the rest of the reply."""
    data = bytearray()
    while len(data) < size:
        piece = await reply.content.read(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)
