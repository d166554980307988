"""Change zip archives: members changed inside and packed again, headers that disagree, names, duplicates,
data before and behind.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.fuzz.mutators.havoc import LARGEST, Rng, havoc, near

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_STORED, _DEFLATED = 0, 8
_NAMES = (
    b"config.json",
    b"metadata.json",
    b"model.weights.h5",
    b"../up",
    b"/root",
    b"a\0b",
    b"config.json\0",
    b"",
    b"\xff\xfe",
    b"a/" * 40,
)
Inner = Callable[[bytes, Rng], bytes]


@dataclass(frozen=True)
class Member:
    """A member; ``data`` is what is stored, ``plain`` what it holds."""

    name: bytes
    method: int
    data: bytes
    plain: bytes


def read(data: bytes) -> list[Member]:
    """Return the members that the central directory lists, as far as they can be read."""
    at = data.rfind(_END)
    if at < 0 or len(data) < at + 22:
        return []
    count, _, offset = struct.unpack_from("<HII", data, at + 10)
    members: list[Member] = []
    place = offset
    while len(members) < min(count, 200) and data[place : place + 4] == _CENTRAL and place + 46 <= len(data):
        method = struct.unpack_from("<H", data, place + 10)[0]
        stored, _, names, extras, comments = struct.unpack_from("<IIHHH", data, place + 20)
        local = struct.unpack_from("<I", data, place + 42)[0]
        name = data[place + 46 : place + 46 + names]
        place += 46 + names + extras + comments
        if local + 30 > len(data) or method not in (_STORED, _DEFLATED):
            continue
        own_name, own_extra = struct.unpack_from("<HH", data, local + 26)
        begin = local + 30 + own_name + own_extra
        content = data[begin : begin + stored]
        members.append(Member(name, method, content, _inflate(content) if method == _DEFLATED else content))
    return members


def mutate(data: bytes, rng: Rng, inner: Inner) -> bytes:
    """Return an archive with a few changes; ``inner`` changes what a member holds."""
    members = read(data)
    if not members or rng.random() < 0.3:
        return _tamper(data, rng)
    for _ in range(rng.choice((1, 1, 2))):
        _change(members, rng, inner)
    return write(members, rng)


def _change(members: list[Member], rng: Rng, inner: Inner) -> None:
    index = rng.randrange(len(members))
    member = members[index]
    match rng.randrange(10):
        case 0:
            members.insert(rng.randrange(len(members) + 1), member)
        case 1 if len(members) > 1:
            del members[index]
        case 2:
            members[index] = replace(member, name=rng.choice(_NAMES))
        case 3:
            members[index] = replace(member, name=rng.choice(members).name)
        case 4:
            method = _STORED if member.method == _DEFLATED else _DEFLATED
            members[index] = replace(
                member, method=method, data=_deflate(member.plain) if method else member.plain
            )
        case 5:  # what was packed, changed without mending it
            members[index] = replace(member, data=havoc(member.data, rng))
        case _:
            plain = inner(member.plain, rng)[:LARGEST]
            members[index] = replace(
                member, plain=plain, data=_deflate(plain) if member.method == _DEFLATED else plain
            )


def write(members: list[Member], rng: Rng) -> bytes:
    """Return an archive whose sizes, offsets and checksums agree, but for one in eight."""
    out, central = bytearray(), bytearray()
    if rng.random() < 0.05:
        out += b"\x89HDF\r\n\x1a\n" * rng.choice((1, 40))
    for member in members:
        streamed = rng.random() < 0.1
        flags = 8 if streamed else 0
        numbers = struct.pack("<III", zlib.crc32(member.plain), len(member.data), len(member.plain))
        if rng.random() < 0.03:
            numbers = havoc(numbers, rng)[:12].ljust(12, b"\0")
        place = len(out)
        own = bytes(12) if streamed else numbers
        out += (
            _LOCAL
            + struct.pack("<HHHI", 20, flags, member.method, 0)
            + own
            + struct.pack("<HH", len(member.name), 0)
        )
        out += member.name + member.data
        if streamed:
            out += (b"PK\7\x08" if rng.random() < 0.5 else b"") + numbers
        central += _CENTRAL + struct.pack("<HHHHI", 20, 20, flags, member.method, 0) + numbers
        central += struct.pack("<HHHHHII", len(member.name), 0, 0, 0, 0, 0, place) + member.name
    count = len(members) % 65_536
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(central), len(out), 0)
    if rng.random() < 0.05:
        end = havoc(end, rng)[:18].ljust(18, b"\0")
    return bytes(out + central + _END + end) + (b"\0" * 30 if rng.random() < 0.03 else b"")


def _tamper(data: bytes, rng: Rng) -> bytes:
    """Change fields of headers where they are."""
    changed = bytearray(data)
    places = [at for mark in (_LOCAL, _CENTRAL, _END) for at in _all(data, mark)]
    if not places:
        return havoc(data, rng)
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.choice(places) + 4 + rng.randrange(42)
        width = rng.choice((1, 2, 4))
        value = near(int.from_bytes(changed[place : place + width], "little"), rng, len(data), width)
        if place + width <= len(changed):
            changed[place : place + width] = value.to_bytes(width, "little")
    return bytes(changed)


def _all(data: bytes, mark: bytes) -> list[int]:
    found: list[int] = []
    at = data.find(mark)
    while at >= 0 and len(found) < 400:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-15).decompress(data, LARGEST)
    except zlib.error:
        return b""
