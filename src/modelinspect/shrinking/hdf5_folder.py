"""Shrink folders of Keras models: every HDF5 file in them is written again, and all other files are
copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from modelinspect.core.limits import MIB
from modelinspect.shrinking.hdf5 import record, write
from modelinspect.shrinking.hdf5_copy import Rewrite, Tally
from modelinspect.shrinking.hdf5_survey import survey
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.proof import UnprovedError
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, Witness
from modelinspect.shrinking.zip_files import copy_source
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet

_HDF5 = (".h5", ".hdf5")


def shrink_hdf5_folder(job: Job) -> Witness:
    """Write a ``.keras`` folder, weights in shards or a preset again. Raises `NotShrinkableError`."""
    if job.files.primary is not None:
        raise NotShrinkableError(f"{job.files.primary}: is one file of a model in several; name its folder")
    if job.work.drops(Drop.TRAINING):
        raise NotShrinkableError("training state is dropped from single files, not from folders")
    how = Rewrite(level=job.work.options.level)
    written, copied = [], []
    total, saved = Tally(), 0
    for name in job.files.names():
        source, target = job.files.open(name), job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        tally = _rewritten(job, source, how, name) if name.endswith(_HDF5) else None
        if tally is None or target.stat().st_size >= source.size:
            copy_source(source, target)
            copied.append(name)
            continue
        saved += source.size - target.stat().st_size
        for key in ("linked", "links", "deflated", "filtered"):
            setattr(total, key, getattr(total, key) + getattr(tally, key))
        written.append(name)
    record(job.work, saved, total)

    def witness(after: FileSet) -> Mapping[str, int]:
        for name in copied:
            if _digest(job.files.open(name)) != _digest(after.open(name)):
                raise UnprovedError(f"{name} differs in the result")
        return {
            "h5py": sum(compare_hdf5(job.files.open(name), after.open(name), how) for name in written),
            "files": len(copied),
        }

    return witness


def _rewritten(job: Job, source: Source, how: Rewrite, name: str) -> Tally | None:
    """Write one file again; one that the library should not write stays as it is."""
    try:
        survey(source, job.work.limits)
        return write(source, job.folder / name, how, job.work.tick)
    except NotShrinkableError as reason:
        job.work.notes.append(f"{reason}; it stays as it is")
        return None


def _digest(source: Source) -> str:
    found = hashlib.sha256()
    for at in range(0, source.size, MIB):
        found.update(source.read_at(at, min(MIB, source.size - at)))
    return found.hexdigest()
