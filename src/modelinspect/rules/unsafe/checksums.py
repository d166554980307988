"""The rule about checksums that do not match."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.core import signatures
from modelinspect.core.artifact import Severity
from modelinspect.errors import Code
from modelinspect.networks.subject import Subject
from modelinspect.rules.base import Finding, Group, Place, Rule
from modelinspect.rules.unsafe.diagnostics import with_code

_REMEDY = "get it again: it was damaged on its way, or changed by hand"
_code_reported = with_code(Code.CHECKSUM, _REMEDY)


def _find_checksum(subject: Subject) -> Iterator[Finding]:
    findings = list(_code_reported(subject))
    yield from findings
    if subject.measurements is None:
        return
    yield from _tensors(subject)
    seen = {found.place.offset for found in findings if found.place is not None}
    yield from _members(subject, seen)


def _tensors(subject: Subject) -> Iterator[Finding]:
    names = [member.name for member in subject.artifact.members]
    indexes = [name for name in names if name.endswith(".index")]
    if not indexes:
        return
    from modelinspect.rules.unsafe.stated_checksums import wrong_tensors  # the readers of files

    for message, place in wrong_tensors(subject.files, indexes, names):
        yield Finding(message, place.size or 0, _REMEDY, place)


def _members(subject: Subject, seen: set[int | None]) -> Iterator[Finding]:
    for member in subject.artifact.members:
        source = subject.files.open(member.name)
        if source.size < len(signatures.ZIP) or source.read_at(0, len(signatures.ZIP)) != signatures.ZIP:
            continue
        from modelinspect.rules.unsafe.stated_checksums import wrong_members

        for message, data in wrong_members(source, subject.limits):
            if data.offset not in seen:
                yield Finding(message, data.size, _REMEDY, Place(member.name, data.offset, data.size))


CHECKSUM = Rule(
    "checksum",
    Severity.ERROR,
    "Bytes that do not fit their checksum are not those that were saved.",
    _find_checksum,
    advice="get it again: it was damaged on its way, or changed by hand",
    example="the checksum of the object header is wrong",
    group=Group.UNSAFE,
)

RULES = (CHECKSUM,)
