"""Choose regions of an artifact: all of them, those of a member or a range, the one at an offset."""

from __future__ import annotations

from modelinspect.core.artifact import Artifact, Member
from modelinspect.errors import SelectionError
from modelinspect.reports.map import MapReport, ReadBytes, Selection
from modelinspect.reports.pictures import Pictures
from modelinspect.sources.files import FileSet


def map_regions(
    artifact: Artifact,
    *,
    member: str | None = None,
    at: int | None = None,
    offset: int | None = None,
    size: int | None = None,
    read: ReadBytes | None = None,
    drawn: Pictures | None = None,
) -> MapReport:
    """Make the report of the chosen regions; ``read`` gives it the bytes for a hexdump, ``drawn`` its
    pictures.

    Raises `SelectionError` where the artifact has no such member or byte.
    """
    if at is not None:
        chosen = _the_member(artifact, member)
        _require_byte(chosen, at)
        index = chosen.map.index_at(at)
        span = chosen.map[index].span
        return MapReport(
            artifact, (Selection(chosen, index, index + 1, span.offset, span.end),), read, at, drawn=drawn
        )
    if offset is None and size is None:
        members = artifact.members if member is None else (_the_member(artifact, member),)
        return MapReport(
            artifact,
            tuple(Selection(one, 0, len(one.map), 0, one.size) for one in members),
            read,
            drawn=drawn,
        )
    chosen = _the_member(artifact, member)
    begin = offset or 0
    if begin or chosen.size:
        _require_byte(chosen, begin)
    end = chosen.size if size is None else min(begin + size, chosen.size)
    first = chosen.map.index_at(begin) if chosen.size else 0
    last = chosen.map.index_at(end - 1) + 1 if end > begin else first
    return MapReport(
        artifact, (Selection(chosen, first, last, begin, end),), read, whole=size is not None, drawn=drawn
    )


def _the_member(artifact: Artifact, name: str | None) -> Member:
    if name is None and len(artifact.members) == 1:
        return artifact.members[0]
    names = [member.name for member in artifact.members]
    if name is None:
        raise SelectionError(
            f"{artifact.location} has {len(names):,} files; name one with --member: {_some(names)}"
        )
    for member in artifact.members:
        if member.name == name:
            return member
    raise SelectionError(f"{artifact.location} has no file {name}; it has {_some(names)}")


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"


def _require_byte(member: Member, offset: int) -> None:
    if not 0 <= offset < member.size:
        raise SelectionError(
            f"{member.name} has no byte {offset:,} ({offset:#x}): its bytes are 0 to {member.size - 1:,}"
            if member.size
            else f"{member.name} is empty"
        )


def reader(files: FileSet) -> ReadBytes:
    """Return a function that reads bytes of the members that are open."""
    return lambda member, offset, size: files.open(member).read_at(offset, size)
