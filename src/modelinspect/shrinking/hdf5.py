"""Shrink HDF5 files: Keras models, Keras weights, and any other.

The HDF5 library follows references out of the file and allocates what a file asks for. So our own walk is
first: nothing may be damaged, everything must be inside the file, and variable-length data must be in
proportion to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from modelinspect.core.artifact import FormatName
from modelinspect.core.builder import ByteMapBuilder
from modelinspect.core.bytemap import NO_TENSOR, RegionKind, TensorId
from modelinspect.core.limits import MIB, Limits
from modelinspect.core.records import dataclass, field
from modelinspect.core.tensors import Role
from modelinspect.encodings.hdf5 import walk_hdf5
from modelinspect.encodings.hdf5.element_types import Datatype, TypeClass
from modelinspect.encodings.hdf5.model import Attribute, Dataset, Hdf5File, LayoutKind, LinkKind
from modelinspect.encodings.walk import Walk
from modelinspect.encodings.zip import find_end_record
from modelinspect.errors import FormatError
from modelinspect.reports.wording import plural
from modelinspect.shrinking.hdf5_copy import Rewrite, Tally, rewrite_hdf5
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness, Work
from modelinspect.shrinking.training import Strip, strip_model, strip_store
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet
from modelinspect.sources.local_files import LocalSource


def shrink_hdf5(job: Job) -> Witness:
    """Write the artifact's HDF5 file again. Raises `NotShrinkableError`."""
    name, work = job.primary, job.work
    source = job.files.open(name)
    survey(source, work.limits)
    how = Rewrite(level=work.options.level)
    strip = _strip(job, source) if work.drops(Drop.TRAINING) else Strip()
    how = stripped(how, strip) if work.drops(Drop.TRAINING) else how
    target = job.folder / name
    tally = write(source, target, how, work.tick)
    saved = source.size - target.stat().st_size
    dropped = record_dropped(work, saved, tally.dropped, strip)
    record(work, saved - dropped, tally)

    def witness(after: FileSet) -> Mapping[str, int]:
        return {"h5py": compare_hdf5(source, after.open(name), how)}

    return witness


def write(source: Source, target: Path, how: Rewrite, tick: Callable[[int], None]) -> Tally:
    """Write a file again.

    Where objects are removed or moved, it is first written without them: the same result then has the same
    bytes.
    """
    if how.attributes is None:
        return rewrite_hdf5(source, target, how, tick)
    part = target.with_name(f"{target.name}.part")
    try:
        dropped = rewrite_hdf5(source, part, replace(how, level=0, link_equal=False)).dropped
        with LocalSource(part, source.name) as rest:
            tally = rewrite_hdf5(rest, target, Rewrite(level=how.level, hosted=how.hosted), tick)
    finally:
        part.unlink(missing_ok=True)
    tally.dropped = dropped
    return tally


def stripped(how: Rewrite, strip: Strip) -> Rewrite:
    """Return how to write a file without what only training needs."""
    return replace(how, keep=strip.keep, rename=strip.rename, attributes=strip.attributes)


def record_dropped(work: Work, saved: int, dropped: Mapping[str, int], strip: Strip) -> int:
    """Record what dropping training state saved: the stored bytes of its datasets.

    Returns their sum, at most ``saved``.
    """
    left = max(saved, 0)
    for step, role in ((StepName.STRIP_OPTIMIZER, Role.OPTIMIZER), (StepName.STRIP_PRUNING, Role.PRUNING)):
        held = min(sum(size for path, size in dropped.items() if strip.role(path) is role), left)
        work.add(step, held, Drop.TRAINING, _WHAT[role])
        left -= held
    return max(saved, 0) - left


WRAPPERS_STAY = (
    "pruning wrappers and masks stay: the names of the variables depend on the classes of the wrapped layers,"
    " which a file of only weights does not hold; strip the model and save its weights again"
)
_WHAT = {
    Role.OPTIMIZER: "optimizer state and metrics",
    Role.PRUNING: "masks, thresholds, steps and copies of pruning wrappers",
}


def _strip(job: Job, source: Source) -> Strip:
    match job.artifact.format:
        case FormatName.KERAS_HDF5:
            job.work.changed_documents = True
            return strip_model(source)
        case FormatName.WEIGHTS_HDF5:
            strip = strip_store(source, None)
            if strip.wrappers_stay:
                job.work.notes.append(WRAPPERS_STAY)
            return strip
        case _:
            raise NotShrinkableError(
                f"{source.name}: is not a Keras file, so which parts are only for training is unknown"
            )


def record(work: Work, saved: int, tally: Tally) -> None:
    """Record what rewriting saved, shared out over its steps; the shares add up to ``saved``."""
    linked = min(tally.linked, max(saved, 0))
    deflated = min(tally.deflated, max(saved - linked, 0))
    work.add(
        StepName.HDF5_LINK, linked, note=f"{plural(tally.links, 'dataset')} stored as a link to an equal one"
    )
    work.add(StepName.HDF5_DEFLATE, deflated, note=f"{plural(tally.filtered, 'dataset')} deflated")
    work.add(StepName.HDF5_REPACK, saved - linked - deflated, note="newest structures and no free space")


_HEAP_FACTOR, _HEAP_MORE = 4, 16 * MIB
"""Variable-length data that a file may hold: so many times its size, and so many bytes more."""
_EXPANSION = 1_100
"""Decoded bytes for each byte of the file; deflate cannot exceed 1,032."""


def survey(source: Source, limits: Limits) -> Hdf5File:
    """Walk an HDF5 file and return its structure.

    Raises `NotShrinkableError` where the library should not write it again.
    """
    trouble: list[FormatError] = []
    file = walk_hdf5(
        Walk(source, ByteMapBuilder(source.name, source.size, limits), limits, trouble.append), _Quiet()
    )
    if trouble or not file.complete:
        problem = trouble[0].problem if trouble else "a part of its structure could not be read"
        raise NotShrinkableError(f"{source.name}: damaged: {problem}")
    if file.superblock.offset:
        raise NotShrinkableError(
            f"{source.name}: has {file.superblock.offset:,} bytes before its HDF5 content, which are not HDF5"
        )
    if file.superblock.end_of_file < source.size:
        extra = source.size - file.superblock.end_of_file
        raise NotShrinkableError(
            f"{source.name}: {extra:,} bytes after its HDF5 content are not HDF5; they may be another file"
        )
    if find_end_record(source) is not None:
        raise NotShrinkableError(
            f"{source.name}: ends as a zip archive does, and programs may read it as one"
        )
    _check_links(file, source)
    _check_sizes(file, source, limits)
    return file


@dataclass(slots=True)
class _Quiet:
    """A policy that names nothing."""

    seen: list[str] = field(default_factory=list)

    def attribute_kind(self, object_path: str, name: str) -> RegionKind:
        return RegionKind.METADATA

    def survey(self, file: Hdf5File) -> None:
        return

    def dataset(self, dataset: Dataset) -> TensorId:
        return NO_TENSOR


def _check_links(file: Hdf5File, source: Source) -> None:
    for link in file.links:
        if link.kind is not LinkKind.SOFT:
            raise NotShrinkableError(
                f"{source.name}: {link.path} is an {link.kind} link; its target is not part of the file"
            )
    if file.datatypes:
        raise NotShrinkableError(
            f"{source.name}: has {plural(len(file.datatypes), 'named datatype')}, such as"
            f" {file.datatypes[0].path}; a new file would hold a separate type for each dataset, so the"
            " file is left as it is"
        )
    for dataset in file.datasets:
        if dataset.layout in (LayoutKind.EXTERNAL, LayoutKind.VIRTUAL, LayoutKind.UNKNOWN):
            raise NotShrinkableError(
                f"{source.name}: the elements of {dataset.path} are stored elsewhere ({dataset.layout}"
                " layout)"
            )
        if _has_references(dataset.datatype) or any(
            _has_references(each.datatype) for each in dataset.attributes.values()
        ):
            raise NotShrinkableError(f"{source.name}: {dataset.path} holds references to places in the file")
    for group in file.groups:
        if any(_has_references(each.datatype) for each in group.attributes.values()):
            raise NotShrinkableError(
                f"{source.name}: an attribute of {group.path} holds references to places in the file"
            )


def _has_references(datatype: Datatype) -> bool:
    """Return whether elements are addresses, on any level: a file that is written again has others."""
    pending = [datatype]
    while pending:
        one = pending.pop()
        if one.type_class is TypeClass.REFERENCE:
            return True
        pending += [member.datatype for member in one.members]
        pending += [one.base] if one.base is not None else []
    return False


def _check_sizes(file: Hdf5File, source: Source, limits: Limits) -> None:
    attributes: list[Attribute] = []
    heap = decoded = 0
    for dataset in file.datasets:
        attributes += dataset.attributes.values()
        heap += _heap_size(dataset, source, limits)
        decoded += dataset.logical_size
        if dataset.datatype.has_heap_data:
            limits.allow(
                f"dataset {dataset.path}", dataset.dataspace.count * 64, limits.structure_size, source.name
            )
    for group in file.groups:
        attributes += group.attributes.values()
    heap += sum(span.size for attribute in attributes for span in attribute.heap_spans)
    limits.allow("variable-length data", heap, _HEAP_FACTOR * source.size + _HEAP_MORE, source.name)
    limits.allow(
        "decoding all datasets",
        decoded,
        min(limits.decompressed_size, _EXPANSION * source.size + MIB),
        source.name,
    )


def _heap_size(dataset: Dataset, source: Source, limits: Limits) -> int:
    """Return the bytes that a dataset's elements are once the library has copied what each leads to: objects
    may be shared.
    """
    if not dataset.heap_spans:
        return 0
    datatype = dataset.datatype
    if datatype.type_class is not TypeClass.VLEN or dataset.filters:
        return dataset.dataspace.count * max(span.size for span in dataset.heap_spans)
    width = datatype.base.size if datatype.base is not None else 1
    total = 0
    for span in dataset.raw_spans():
        limits.allow(
            f"the pointers of {dataset.path}", span.size, limits.structure_size, source.name, span.offset
        )
        pointers = source.read_at(span.offset, span.size // datatype.size * datatype.size)
        lengths = np.frombuffer(pointers, dtype=np.uint8).reshape(-1, datatype.size)[:, :4].copy().view("<u4")
        total += int(lengths.sum(dtype=np.int64)) * width
    return total
