"""Shrink HDF5 files: Keras models, Keras weights, and any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.reports.wording import plural
from modelinspect.shrinking.hdf5_copy import Rewrite, Tally, rewrite_hdf5
from modelinspect.shrinking.hdf5_survey import survey
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.steps import Drop, Job, NotShrinkableError, StepName, Witness, Work
from modelinspect.shrinking.training import Strip, strip_model, strip_store
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet
from modelinspect.sources.local import LocalSource


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
