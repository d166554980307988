"""Shrink HDF5 files: Keras models, Keras weights, and any other."""

from __future__ import annotations

from collections.abc import Mapping

from modelinspect.shrinking.hdf5_copy import Rewrite, Tally, rewrite_hdf5
from modelinspect.shrinking.hdf5_survey import survey
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.steps import Job, StepName, Witness, Work
from modelinspect.sources.files import FileSet


def shrink_hdf5(job: Job) -> Witness:
    """Write the artifact's HDF5 file again. Raises `NotShrinkableError`."""
    name, work = job.primary, job.work
    source = job.files.open(name)
    survey(source, work.limits)
    how = Rewrite(level=work.options.level)
    target = job.folder / name
    tally = rewrite_hdf5(source, target, how, work.tick)
    record(work, source.size - target.stat().st_size, tally)

    def witness(after: FileSet) -> Mapping[str, int]:
        return {"h5py": compare_hdf5(source, after.open(name), how)}

    return witness


def record(work: Work, saved: int, tally: Tally) -> None:
    """Record what rewriting saved, shared out over its steps; the shares add up to ``saved``."""
    linked = min(tally.linked, max(saved, 0))
    deflated = min(tally.deflated, max(saved - linked, 0))
    work.add(StepName.HDF5_LINK, linked, note=f"{tally.links:,} datasets that equal another are stored once")
    work.add(StepName.HDF5_DEFLATE, deflated, note=f"{tally.filtered:,} datasets deflated")
    work.add(StepName.HDF5_REPACK, saved - linked - deflated, note="newest structures and no free space")
