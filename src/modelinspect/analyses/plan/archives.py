"""Deflate the members of a ``.keras`` archive, which Keras stores as they are."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.core.artifact import FormatName
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import BLOCK, deflated_size
from modelinspect.measure.rewrite import ZIP_ERRORS, as_file
from modelinspect.remedies import Remedy, advise

_LOCAL, _CENTRAL, _END = 30, 46, 22
_MOST = 2**31 - 1
"""Larger members or archives get records of Zip64."""


def _find(planning: Planning) -> Iterator[Outcome]:
    if planning.subject.is_in_archive:
        yield LeftOut(("zip-deflate",), "not available inside an archive: unpack it first")
        return
    if not planning.subject.is_file:
        return
    try:
        size = _deflated(planning)
    except (UnmeasurableError, FormatError, *ZIP_ERRORS) as error:
        yield LeftOut(("zip-deflate",), f"not computed: {error}")
        return
    if size >= planning.subject.size:
        yield LeftOut(("zip-deflate",), f"not smaller: {size:,} bytes")
        return
    notes = (
        "each member deflated with zlib level 9; another compressor does not make it smaller; "
        "Keras refuses members above 256 MiB that expand more than 100 times"
    )
    command = advise(Remedy.DEFLATE_KERAS, planning.subject.artifact).code
    yield Option("zip-deflate", size, Basis.MEASURED, True, "as before, with load_model", command, notes, download_size=size)


def _deflated(planning: Planning) -> int:
    """Return the size of the archive once zipfile wrote it again."""
    source = planning.subject.files.open(planning.subject.artifact.members[0].name)
    total = _END
    with zipfile.ZipFile(as_file(source)) as archive:
        for name in archive.namelist():
            stored = deflated_size(_blocks(planning, archive, name))
            total += _LOCAL + _CENTRAL + 2 * len(name.encode()) + (0 if name.endswith("/") else stored)
    if total > _MOST:
        raise UnmeasurableError("the archive would need Zip64")
    return total


def _blocks(planning: Planning, archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    done = 0
    with archive.open(name) as member:
        while block := member.read(BLOCK):
            done += len(block)
            planning.subject.limits.allow(
                f"the member {name}", done, min(planning.subject.limits.decompressed_size, _MOST), planning.subject.file_name
            )
            yield block


FAMILY = Family(("zip-deflate",), _find, formats=frozenset((FormatName.KERAS_ZIP,)))
