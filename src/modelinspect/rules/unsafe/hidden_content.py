"""Finds free space that holds something which looks like code or a file."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core.artifact import Severity
from modelinspect.errors import FormatError
from modelinspect.remedies import Remedy, example
from modelinspect.remedies.choose import shown_bytes
from modelinspect.rules.unsafe.base import Located, Place, Subject, UnsafeRule
from modelinspect.rules.unsafe.signatures import looks_like
from modelinspect.rules.unsafe.trailing_data import OUTSIDE

_LOOKED_AT = 64 << 10


def _find(subject: Subject) -> Iterator[Located]:
    hidden = subject.context.hidden
    for region in hidden.regions if hidden is not None else ():
        if region.path[-1:] and region.path[-1] in OUTSIDE:  # told by another rule
            continue
        try:
            data = subject.files.open(region.member).read_at(region.first, min(region.span.end - region.first, _LOOKED_AT))
        except FormatError:  # it became shorter
            continue
        what = looks_like(data)
        if what:
            place = Place(region.member, region.first, region.span.end - region.first)
            message = f"free space ({' / '.join(region.path)}) holds {region.count:,} bytes that are not zero and look like {what}"
            yield Located(message, region.count, shown_bytes(subject.artifact, region.member, region.first).text, place)


RULE = UnsafeRule(
    "hidden-content",
    Severity.WARNING,
    "Free space is where something is put that no reader of the format shows.",
    _find,
    remedy=example(Remedy.LOOK).text,
    example="free space (global heap collection 0x800 / free object) holds 36 bytes that are not zero and look like a script",
)
