"""Shrink ``.keras`` files: the HDF5 inside written again, and every member deflated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelinspect.measure.rewrite import ZIP_ERRORS
from modelinspect.shrinking.hdf5_copy import Rewrite, Tally, rewrite_hdf5
from modelinspect.shrinking.hdf5_survey import survey
from modelinspect.shrinking.hdf5_witness import compare_hdf5
from modelinspect.shrinking.steps import Job, NotShrinkableError, StepName, Witness
from modelinspect.shrinking.zip_files import Archive, beyond_guard, compare_members, remove
from modelinspect.sources.base import Source
from modelinspect.sources.files import FileSet
from modelinspect.sources.local import LocalSource


def shrink_keras_zip(job: Job) -> Witness:
    """Write a ``.keras`` archive again. Raises `NotShrinkableError`."""
    source = job.files.open(job.primary)
    archive = Archive(source, job.work.limits, job.work.options.level, job.work.tick)
    scratch = job.folder / ".scratch"
    scratch.mkdir()
    try:
        return _Shrinking(job, archive, scratch).run()
    except ZIP_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise NotShrinkableError(f"{source.name}: zipfile does not read it: {error}") from error
    finally:
        remove(scratch)


class _Shrinking:
    def __init__(self, job: Job, archive: Archive, scratch: Path) -> None:
        self._job = job
        self._archive = archive
        self._scratch = scratch
        self._how = Rewrite(level=job.work.options.level, hosted=True)
        self._inner: dict[str, Path] = {}

    def run(self) -> Witness:
        job, name = self._job, self._job.primary
        names = [info.filename for info in self._archive.members() if info.filename.endswith(".h5")]
        tallies = [tally for tally in map(self._rewrite, names) if tally is not None]
        target = job.folder / name
        self._archive.write(target)
        if beyond_guard(target):
            self._how = Rewrite(level=self._how.level)
            tallies = [tally for tally in map(self._rewrite, names) if tally is not None]
            self._archive.write(target)
            if odd := beyond_guard(target):
                raise NotShrinkableError(f"{name}: member {odd[0]} would expand more than Keras allows")
        source = job.files.open(name)
        saved = source.size - target.stat().st_size
        linked = min(sum(tally.linked for tally in tallies), max(saved, 0))
        job.work.add(StepName.HDF5_LINK, linked, note="datasets that equal another are stored once")
        job.work.add(StepName.ZIP_DEFLATE, saved - linked, note="the HDF5 inside without free space, every member deflated")
        changed = tuple(self._archive.replaced)
        how = self._how

        def witness(after: FileSet) -> Mapping[str, int]:
            equal = compare_members(source, after.open(name), dict.fromkeys(changed))
            return {"zipfile": equal, **({"h5py": _compare_inner(source, after.open(name), changed, how, job)} if changed else {})}

        return witness

    def _rewrite(self, name: str) -> Tally | None:
        """Write one HDF5 member again; one that the library should not write stays as it is."""
        original = self._scratch / f"{len(self._inner)}.h5"
        if name not in self._inner:
            self._inner[name] = original
            self._archive.extract(name, original)
        target = self._inner[name].with_suffix(".new")
        with LocalSource(self._inner[name], name) as source:
            try:
                survey(source, self._job.work.limits)
                tally = rewrite_hdf5(source, target, self._how, self._job.work.tick)
            except NotShrinkableError as reason:
                self._job.work.notes.append(f"{reason}; deflated as it is")
                return None
        self._archive.replaced[name] = target
        return tally


def _compare_inner(before: Source, after: Source, names: tuple[str, ...], how: Rewrite, job: Job) -> int:
    """Compare the HDF5 members of two archives with h5py, unpacked beside each other."""
    scratch = job.folder / ".witness"
    scratch.mkdir()
    total = 0
    try:
        for name in names:
            places = scratch / "before.h5", scratch / "after.h5"
            for source, place in zip((before, after), places, strict=True):
                Archive(source, job.work.limits, 0).extract(name, place)
            with LocalSource(places[0], name) as old, LocalSource(places[1], name) as new:
                total += compare_hdf5(old, new, how)
    finally:
        remove(scratch)
    return total
