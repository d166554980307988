"""Write an HDF5 file again: in the newest layout, and with compressed datasets that still load."""

from __future__ import annotations

from collections.abc import Iterator

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Option, Outcome, Planning
from modelinspect.core.artifact import FormatName
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.measure.compressors import GZIP_FRAME
from modelinspect.measure.rewrite import LEAST_GZIPPED, library_version, repacked_size
from modelinspect.remedies import Remedy, advise

_UNREAD = ("links", "elsewhere", "committed_datatypes")


def _find(planning: Planning) -> Iterator[Outcome]:
    if planning.subject.is_in_archive:
        yield LeftOut(("hdf5-gzip", "hdf5-repack"), "not available inside an archive: unpack it first")
        return
    if not planning.subject.is_file:
        return
    for name, gzip in (("hdf5-gzip", True), ("hdf5-repack", False)):
        if not planning.wants(name):
            continue
        try:
            size, deflated = _sizes(planning, gzip=gzip)
        except (UnmeasurableError, FormatError) as error:
            yield LeftOut((name,), f"not computed: {error}")
            continue
        if size >= planning.subject.size:
            yield LeftOut((name,), f"not smaller: {size:,} bytes")
            continue
        yield _option(planning, name, size, deflated, gzip=gzip)


def _sizes(planning: Planning, *, gzip: bool) -> tuple[int, int | None]:
    facts = planning.subject.artifact.facts
    fact = facts.get("hdf5")
    if planning.subject.artifact.diagnostics:
        raise UnmeasurableError("the file is damaged and is not passed to the HDF5 library")
    if any(key in facts or (isinstance(fact, dict) and key in fact) for key in _UNREAD):
        raise UnmeasurableError("it has links, references to other files or named types")
    return repacked_size(
        planning.subject.files.open(planning.subject.artifact.members[0].name),
        planning.subject.limits,
        gzip=gzip,
    )


def _option(planning: Planning, name: str, size: int, deflated: int | None, *, gzip: bool) -> Option:
    advice = advise(Remedy.REPACK_GZIP_HDF5 if gzip else Remedy.REPACK_HDF5, planning.subject.artifact)
    notes = (
        f"datasets of {LEAST_GZIPPED:,} bytes or more deflated, without shuffle, which makes zeros compress"
        " worse"
        if gzip
        else "newest structures, no free space"
    )
    loads = (
        "as before, with load_model"
        if planning.subject.artifact.format is FormatName.KERAS_HDF5
        else "as before, with load_weights or h5py"
    )
    notes += f"; measured with HDF5 {library_version()}, other versions write other structures"
    download = None if deflated is None else deflated + GZIP_FRAME + len(advice.made) + 1
    return Option(name, size, Basis.MEASURED, True, loads, advice.code, notes, download_size=download)


FAMILY = Family(
    ("hdf5-gzip", "hdf5-repack"),
    _find,
    formats=frozenset((FormatName.KERAS_HDF5, FormatName.WEIGHTS_HDF5, FormatName.HDF5)),
)
