"""Stream an artifact's bytes: a file as it is or gunzipped, several files as a tar archive that is always the
same.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping

from modelinspect.analyses.plan.base import Planning
from modelinspect.core.span import Span
from modelinspect.core.tensors import DecompressStep, Stream, Tensor
from modelinspect.measure.compressors import BLOCK
from modelinspect.measure.rewrite import MOST_DEFLATED
from modelinspect.measure.tarball import TAR, tar_stream
from modelinspect.sources.base import Source, WindowSource
from modelinspect.sources.decoders import Codec

Reader = Callable[[str], Iterator[bytes]]
_NOTHING: Mapping[str, int] = {}
PREDICTED = "the gzipped size is predicted, within 3 %"
"""What is reported about a form that was put together to be compressed, and not by the tool that makes it."""


def is_gzipped(planning: Planning) -> bool:
    """Return whether options that leave tensors out say what gzip makes of the rest: that reads all
    elements.
    """
    return (
        planning.downloads
        and planning.subject.measurements is not None
        and planning.subject.size <= MOST_DEFLATED
    )


def read_member(planning: Planning, name: str) -> Iterator[bytes]:
    """Yield the bytes of a member in blocks."""
    return _blocks(planning.subject.files.open(name))


def _blocks(source: Source) -> Iterator[bytes]:
    for start in range(0, source.size, BLOCK):
        yield source.read_at(start, min(BLOCK, source.size - start))


def gunzipped(planning: Planning) -> Stream | None:
    """Return what the artifact's file decodes to where it is gzip from end to end, which no compressor makes
    smaller; None for others.
    """
    wrapped = planning.subject.artifact.facts.get("wrapped_in")
    if not planning.subject.is_file or not isinstance(wrapped, tuple) or wrapped[0] != Codec.GZIP:
        return None
    member = planning.subject.artifact.members[0]
    whole = next(
        (run for run in member.logical if run.codec == Codec.GZIP and run.span.size == member.size), None
    )
    return (
        None
        if whole is None
        else Stream(member.name, (DecompressStep(0, member.size, whole.codec, whole.map.size),))
    )


def stream(planning: Planning, read: Reader | None = None) -> Iterator[bytes]:
    """Yield the bytes that a compressor gets; ``read`` gives those of a member."""
    inner = gunzipped(planning)
    if inner is not None and read is None:
        return _blocks(planning.subject.files.open_stream(inner))
    reader = read or (lambda name: read_member(planning, name))
    members = planning.subject.artifact.members
    if len(members) == 1 and planning.subject.files.primary is not None:
        return reader(members[0].name)
    return tar_stream(_entries(planning, reader))


def without(planning: Planning, tensors: Iterable[Tensor]) -> Iterator[bytes] | None:
    """Yield what a compressor gets once tensors are cut out; None where they are not in the files as they are
    in memory.
    """
    gone: dict[str, list[Span]] = {}
    for extent in (extent for tensor in tensors for extent in tensor.extents):
        if extent.encoding != "raw":
            return None
        gone.setdefault(extent.member, []).append(extent.span)
    kept = {
        name: list(_rest(sorted(spans), planning.subject.artifact.member(name).size))
        for name, spans in gone.items()
    }

    def read(name: str) -> Iterator[bytes]:
        if name not in kept:
            return read_member(planning, name)
        source = planning.subject.files.open(name)
        return (
            block for span in kept[name] for block in _blocks(WindowSource(source, span.offset, span.size))
        )

    members = planning.subject.artifact.members
    if len(members) == 1 and planning.subject.files.primary is not None:
        return read(members[0].name)
    return tar_stream(
        _entries(planning, read, {name: sum(span.size for span in spans) for name, spans in kept.items()})
    )


def _rest(gone: list[Span], size: int) -> Iterator[Span]:
    """Yield what is between spans, in order."""
    reached = 0
    for span in gone:
        if span.offset > reached:
            yield Span(reached, span.offset - reached)
        reached = max(reached, span.end)
    if size > reached:
        yield Span(reached, size - reached)


def _entries(
    planning: Planning, read: Reader, changed: Mapping[str, int] = _NOTHING
) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Yield the files in the order of their names' bytes; folders are left out, as those without files are
    not known.
    """
    prefix = "" if planning.subject.files.primary is not None else f"{planning.subject.file_name}/"
    sizes = {member.name: member.size for member in planning.subject.artifact.members} | dict(changed)
    for name in sorted(sizes, key=os.fsencode):
        yield prefix + name, sizes[name], read(name)


def pipe(planning: Planning, command: str, suffix: str) -> str:
    """Return the shell command that compresses the artifact, ``command`` reading standard input and writing
    standard output.

    That of several files has a line for each stage; a shell goes on reading after a pipe.
    """
    if gunzipped(planning) is not None:
        made = planning.subject.file_name.removesuffix(".gz") + suffix
        made = made if made != planning.subject.file_name else f"smaller-{made}"
        return f"gunzip -c {planning.subject.shell_name} | {command} > {shlex.quote(made)}"
    if planning.subject.is_file:
        return (
            f"{command} < {planning.subject.shell_name} > {shlex.quote(planning.subject.file_name + suffix)}"
        )
    settings = TAR.replace(" --numeric-owner", " \\\n  --numeric-owner")
    end = f"{command} > {shlex.quote(planning.subject.file_name + '.tar' + suffix)}"
    if planning.subject.files.primary is None:
        return f"find {planning.subject.shell_name} -type f | LC_ALL=C sort |\n{settings} -T - |\n{end}"
    names = sorted((member.name for member in planning.subject.artifact.members), key=os.fsencode)
    return f"{settings} \\\n  {' '.join(map(shlex.quote, names))} |\n{end}"


def loads_as(planning: Planning, tool: str) -> str:
    """Say how a compressed artifact is loaded."""
    wrapped = planning.subject.artifact.facts.get("wrapped_in")
    is_tar = not planning.subject.is_file or (isinstance(wrapped, tuple) and "tar" in wrapped)
    return f"after {tool} and tar -x" if is_tar else f"after {tool}"
