"""Rules about bytes that are not part of the model: after its end, in free space, unread, or programs among
its assets.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from modelinspect.core import signatures
from modelinspect.core.artifact import Member, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.dtypes import PICKLED
from modelinspect.core.span import Span
from modelinspect.errors import Code, FormatError
from modelinspect.networks.subject import Subject
from modelinspect.remedies import Remedy, example
from modelinspect.remedies.choose import shown_bytes
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.configs import configs_of
from modelinspect.rules.unsafe.diagnostics import with_code

OUTSIDE = frozenset(("trailing bytes", "outside the archive", "before the archive", "user block"))
"""What parsers call bytes before or after what they read."""
_TRAILING_DATA_LOOKED_AT = 64 << 10
_REMEDY = "cut them off, or save the model again"
_behind_tar = with_code(Code.TRAILING, _REMEDY)


def _find_trailing_data(subject: Subject) -> Iterator[Finding]:
    yield from _behind_tar(subject)
    for member in subject.artifact.members:
        table = member.map.path_table
        named = [index for index, name in enumerate(table.names) if name in OUTSIDE]
        for row in np.flatnonzero(np.isin(member.map.columns.paths, named)).tolist():
            region = member.map[row]
            span = region.span
            try:
                data = subject.files.open(member.name).read_at(
                    span.offset, min(span.size, _TRAILING_DATA_LOOKED_AT)
                )
            except FormatError:  # it became shorter
                continue
            if span.size <= _TRAILING_DATA_LOOKED_AT and not any(data):
                continue
            what = looks_like(data)
            like = f" and look like {what}" if what else ""
            message = f"{span.size:,} bytes are not part of the model ({region.path[-1]}){like}"
            yield Finding(message, span.size, _REMEDY, Place(member.name, span.offset, span.size))


TRAILING_DATA = Rule(
    "trailing-data",
    Severity.WARNING,
    "Bytes that readers of the format pass over can be anything, a second file too.",
    _find_trailing_data,
    advice="cut them off, or save the model again",
    example="148 bytes are not part of the model (trailing bytes) and look like a zip archive",
    group=Group.UNSAFE,
)


_HIDDEN_CONTENT_LOOKED_AT = 64 << 10


def _find_hidden_content(subject: Subject) -> Iterator[Finding]:
    hidden = subject.hidden
    for region in hidden.regions if hidden is not None else ():
        if region.path[-1:] and region.path[-1] in OUTSIDE:  # reported by another rule
            continue
        try:
            data = subject.files.open(region.member).read_at(
                region.first, min(region.span.end - region.first, _HIDDEN_CONTENT_LOOKED_AT)
            )
        except FormatError:  # it became shorter
            continue
        what = looks_like(data)
        if what:
            place = Place(region.member, region.first, region.span.end - region.first)
            message = (
                f"free space ({' / '.join(region.path)}) holds {region.count:,} bytes that are not zero and"
                f" look like {what}"
            )
            yield Finding(
                message, region.count, shown_bytes(subject.artifact, region.member, region.first).text, place
            )


HIDDEN_CONTENT = Rule(
    "hidden-content",
    Severity.WARNING,
    "Free space is where something is put that no reader of the format shows.",
    _find_hidden_content,
    advice=example(Remedy.LOOK).text,
    example=(
        "free space (global heap collection 0x800 / free object) holds 36 bytes that are not zero and look"
        " like a script"
    ),
    group=Group.UNSAFE,
)


def _find_unread_bytes(subject: Subject) -> Iterator[Finding]:
    for member in subject.artifact.members:
        spans = unread_spans(member)
        if spans:
            size = sum(span.size for span in spans)
            message = (
                f"{size:,} of the {member.size:,} bytes of {member.name} do not follow the format and were"
                " not checked"
            )
            problems = [
                found.problem for found in subject.artifact.diagnostics if found.member == member.name
            ]
            message += f": {problems[0]}" if problems else ""
            yield Finding(
                message,
                size,
                "load it only where it can do no harm",
                Place(member.name, spans[0].offset, spans[0].size),
            )

    for unread in subject.once(configs_of).unread:
        if not unread.is_limit:
            message = f"{unread.problem}, and was not checked"
            yield Finding(
                message, unread.place.size or 0, "load it only where it can do no harm", unread.place
            )


def unread_spans(member: Member) -> list[Span]:
    """Return the unattributed runs of a member."""
    columns = member.map.columns
    rows = np.flatnonzero(columns.kinds == RegionKind.UNATTRIBUTED.code)
    return [Span(int(columns.offsets[row]), int(columns.sizes[row])) for row in rows]


UNREAD_BYTES = Rule(
    "unread-bytes",
    Severity.WARNING,
    "A lenient reader may find in them what was not checked here.",
    _find_unread_bytes,
    advice="load it only where it can do no harm",
    example=(
        "1,584 of the 2,048 bytes of m.h5 do not follow the format and were not checked: the checksum of an"
        " object header is wrong"
    ),
    group=Group.UNSAFE,
)


_SUFFIXES = (
    *(".py", ".pyc", ".pyo", ".so", ".dll", ".dylib", ".exe", ".sh", ".bat", ".ps1", ".js", ".jar"),
    *(".pkl", ".pickle", ".joblib", ".dill", ".pt"),
)


def _find_asset_code(subject: Subject) -> Iterator[Finding]:
    for member in subject.artifact.members:
        rows = np.flatnonzero(member.map.columns.kinds == RegionKind.ASSET.code)
        for row in rows.tolist():
            region = member.map[row]
            name = member.name if len(subject.artifact.members) > 1 else "/".join(region.path)
            if name.lower().endswith(_SUFFIXES):
                place = Place(member.name, region.span.offset, region.span.size)
                yield Finding(
                    f"{name} is a program or a pickle among the model's files",
                    region.span.size,
                    "take it out",
                    place,
                )


ASSET_CODE = Rule(
    "asset-code",
    Severity.WARNING,
    "A program that comes with a model is there to be run.",
    _find_asset_code,
    advice="take it out",
    example="setup.py is a program or a pickle among the model's files",
    group=Group.UNSAFE,
)

_PICKLE = "load it with allow_pickle=False, and only what you know"


def _find_pickled_array(subject: Subject) -> Iterator[Finding]:
    for tensor in subject.artifact.tensors:
        if tensor.dtype.name == PICKLED:
            place = (
                Place(tensor.extents[0].member, tensor.extents[0].span.offset, tensor.extents[0].span.size)
                if tensor.extents
                else None
            )
            message = (
                f"the array {tensor.name} is a pickle of Python objects, which runs code when it is loaded"
            )
            yield Finding(message, tensor.stored_size, _PICKLE, place)


PICKLED_ARRAY = Rule(
    "pickled-array",
    Severity.WARNING,
    "numpy.load with allow_pickle=True runs what a pickle says.",
    _find_pickled_array,
    advice=_PICKLE,
    example="the array __root__ is a pickle of Python objects, which runs code when it is loaded",
    group=Group.UNSAFE,
)

RULES = (TRAILING_DATA, HIDDEN_CONTENT, UNREAD_BYTES, ASSET_CODE, PICKLED_ARRAY)


_MAGIC = {
    signatures.ELF: "a Linux program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a Java class or macOS program",
    signatures.ZIP: "a zip archive",
    signatures.GZIP_DEFLATE: "gzip",
    signatures.BZIP2: "bzip2",
    signatures.XZ: "xz",
    signatures.HDF5: "HDF5",
    b"#!/": "a script",
    signatures.PDF: "a PDF",
    b"<?php": "PHP",
    b"<script": "a script",
    b"\xe3\x00\x00\x00\x00": "marshalled Python code",
}
_WORDS = (
    b"import os",
    b"import subprocess",
    b"import socket",
    b"__import__(",
    b"exec(",
    b"eval(",
    b"os.system",
    b"/bin/sh",
    b"powershell",
)
_PROTOCOLS = tuple(bytes((0x80, version)) for version in (2, 3, 4, 5))


def looks_like(data: bytes) -> str:
    """Return what bytes look like; nothing where they look like nothing known."""
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data.startswith(signatures.WINDOWS) and b"PE\0\0" in data:
        return "a Windows program"
    if data.startswith(_PROTOCOLS) and (
        data[2:3] in (b"\x95", b"c", b"}", b"]", b"(", b"q") or b"." in data[-2:]
    ):
        return "a pickle"
    return "Python or shell code" if any(word in data for word in _WORDS) else ""
